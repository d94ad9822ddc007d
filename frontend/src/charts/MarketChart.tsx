/** Candles and volume of one instrument, live. Loaded only where it is shown: the chart library is the largest part of the app. */

import {
  CandlestickSeries,
  ColorType,
  createChart,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { useEffect, useRef } from "react";
import { colour, useTheme } from "../app/theme";
import { price, priceDigits } from "../format/numbers";
import { clock, day, hourMinute } from "../format/time";
import { aggregate, type Candle, type Recording } from "../market/history";

interface Props {
  recording: Recording | undefined;
  /** Changes when the recording has grown. */
  version: unknown;
  seconds: number;
  exchange: string;
  label: string;
}

interface Parts {
  chart: IChartApi;
  candles: ISeriesApi<"Candlestick">;
  volume: ISeriesApi<"Histogram">;
}

const milliseconds = (time: Time): number => (time as number) * 1000;

export default function MarketChart({ recording, version, seconds, exchange, label }: Props) {
  const box = useRef<HTMLElement>(null);
  const parts = useRef<Parts | null>(null);
  const drawn = useRef({ count: 0, seconds: 0, recording: undefined as Recording | undefined });
  const theme = useTheme();

  useEffect(() => {
    if (!box.current) return;
    const chart = createChart(box.current, {
      autoSize: true,
      localization: {
        priceFormatter: (value: number) => price(value, exchange),
        timeFormatter: (time: Time) => `${day(milliseconds(time))} ${clock(milliseconds(time))} IST`,
      },
      timeScale: {
        timeVisible: true,
        secondsVisible: true,
        rightOffset: 4,
        barSpacing: 8,
        tickMarkFormatter: (time: Time) => (milliseconds(time) % 60_000 ? clock : hourMinute)(milliseconds(time)),
      },
    });
    const candles = chart.addSeries(CandlestickSeries, { borderVisible: false });
    const volume = chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    parts.current = { chart, candles, volume };
    drawn.current = { count: 0, seconds: 0, recording: undefined };
    return () => {
      parts.current = null;
      chart.remove();
    };
  }, [exchange]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new theme changes what colour() says
  useEffect(() => {
    const { chart, candles } = parts.current ?? {};
    chart?.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: colour("panel") },
        textColor: colour("faint"),
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
      },
      grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      rightPriceScale: { borderColor: colour("line") },
      timeScale: { borderColor: colour("line") },
    });
    candles?.applyOptions({
      upColor: colour("up"),
      wickUpColor: colour("up"),
      downColor: colour("down"),
      wickDownColor: colour("down"),
    });
    drawn.current.count = 0;
  }, [theme]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version or theme asks for a new drawing
  useEffect(() => {
    if (!parts.current) return;
    const { candles, volume, chart } = parts.current;
    const digits = priceDigits(exchange);
    candles.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
    const source = recording?.candles ?? [];
    const before = drawn.current;
    const same =
      before.recording === recording &&
      before.seconds === seconds &&
      before.count > 0 &&
      source.length >= before.count;
    if (same) {
      // Only what can have changed: the base candles since the last bar that was drawn.
      const from = source[before.count - 1]?.time ?? 0;
      const start = Math.floor(from / seconds) * seconds;
      for (const bar of aggregate(source.slice(firstFrom(source, start)), seconds)) {
        candles.update(candleBar(bar));
        volume.update(volumeBar(bar));
      }
    } else {
      const bars = aggregate(source, seconds);
      candles.setData(bars.map(candleBar));
      volume.setData(bars.map(volumeBar));
      if (before.recording !== recording || before.seconds !== seconds) chart.timeScale().scrollToRealTime();
    }
    // An index has no volume: a row of empty bars would say that nothing was traded.
    const traded = source.some((candle) => candle.volume > 0);
    volume.applyOptions({ visible: traded });
    candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: traded ? 0.24 : 0.08 } });
    drawn.current = { count: source.length, seconds, recording };
  }, [recording, version, seconds, exchange, theme]);

  return <figure ref={box} className="market-chart" aria-label={label} />;
}

/** The index of the first candle at or after `time`; searched from the end, where it is. */
function firstFrom(candles: readonly Candle[], time: number): number {
  let index = candles.length;
  while (index > 0 && (candles[index - 1]?.time ?? 0) >= time) index -= 1;
  return index;
}

function candleBar({ time, open, high, low, close }: Candle) {
  return { time: time as UTCTimestamp, open, high, low, close };
}

function volumeBar({ time, volume, open, close }: Candle) {
  return { time: time as UTCTimestamp, value: volume, color: colour(close >= open ? "up-flash" : "down-flash") };
}
