/** The chosen instrument: its price large, its chart, and everything that the feed says of it. */

import { useState } from "react";
import { Link } from "wouter";
import MarketChart from "../../charts/MarketChart";
import { compact, integer, percent, price, priceDigits, signed } from "../../format/numbers";
import { tradeTime } from "../../format/time";
import { useTick } from "../../hooks/useMarketData";
import { type Instrument, instrumentKey } from "../../market/types";
import { Segmented } from "../../ui/controls";
import { Flash, tone } from "../../ui/Live";
import { recorder } from "./recorder";

const INTERVALS = [
  { value: 5, label: "5s" },
  { value: 15, label: "15s" },
  { value: 60, label: "1m" },
  { value: 300, label: "5m" },
];

export default function Details({ instrument }: { instrument: Instrument }) {
  const { symbol, exchange } = instrument;
  const tick = useTick(instrument, "QUOTE", { every: 250 });
  const [seconds, setSeconds] = useState(5);
  const data = tick?.data;
  const facts: [string, string][] = [
    ["Open", price(data?.open, exchange)],
    ["High", price(data?.high, exchange)],
    ["Low", price(data?.low, exchange)],
    ["Prev. close", price(data?.close, exchange)],
    ["Average", price(data?.average_price ?? data?.avg_trade_price, exchange)],
    ["Volume", compact(data?.volume)],
    ["Last quantity", integer(data?.last_quantity ?? data?.last_trade_quantity)],
    ["Last trade", tradeTime(data?.ltt, tick?.lastUpdate ?? 0)],
    ["Bids, total", compact(data?.total_buy_quantity)],
    ["Offers, total", compact(data?.total_sell_quantity)],
    ["Open interest", compact(data?.oi)],
    [
      "Circuit",
      data?.lower_circuit === undefined
        ? "–"
        : `${price(data.lower_circuit, exchange)} – ${price(data.upper_circuit, exchange)}`,
    ],
  ];

  return (
    <section className="panel details" aria-label={`${symbol} on ${exchange}`}>
      <header>
        <h2>{symbol}</h2>
        <span className="tag">{exchange}</span>
        <Price instrument={instrument} />
        <span className="spacer" />
        <Segmented label="Length of a candle" value={seconds} options={INTERVALS} onChange={setSeconds} />
        {!exchange.endsWith("_INDEX") && (
          <Link className="button small" href={`/depth?symbol=${encodeURIComponent(symbol)}&exchange=${exchange}`}>
            Depth
          </Link>
        )}
      </header>
      <MarketChart
        recording={recorder.get(instrumentKey(instrument))}
        version={tick}
        seconds={seconds}
        exchange={exchange}
        label={`Candles of ${symbol}`}
      />
      <p className="chart-note">
        Made of live ticks since this page was opened: the broker’s feed carries no history.
      </p>
      <dl className="details-facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** The price alone follows every frame. */
function Price({ instrument }: { instrument: Instrument }) {
  const tick = useTick(instrument, "QUOTE");
  const { exchange } = instrument;
  const data = tick?.data;
  return (
    <>
      <strong className={tick?.stale ? "big stale" : "big"}>
        <Flash value={data?.ltp} text={price(data?.ltp, exchange)} />
      </strong>
      <span className={`tabular ${tone(data?.change)}`}>
        {signed(data?.change, priceDigits(exchange))} ({percent(data?.change_percent)})
      </span>
    </>
  );
}
