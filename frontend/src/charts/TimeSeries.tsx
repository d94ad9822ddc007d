/** A small chart of one or two quantities over the last minutes. Gaps in time stay gaps. */

import { useCallback, useState } from "react";
import { colour, useTheme } from "../app/theme";
import { clock, hourMinute } from "../format/time";
import { useCanvas } from "./canvas";

export interface Sample {
  at: number;
  /** One value for each series; null where it is not known. */
  values: readonly (number | null)[];
}

export interface Series {
  name: string;
  /** A colour variable. */
  colour: string;
  fill?: boolean;
}

interface Props {
  samples: readonly Sample[];
  series: readonly Series[];
  /** Milliseconds shown. */
  span: number;
  format: (value: number) => string;
  label: string;
}

const GAP = 5_000;
const LEFT = 52;
const BOTTOM = 18;

export function TimeSeries({ samples, series, span, format, label }: Props) {
  const theme = useTheme();
  const [pointer, setPointer] = useState<number | null>(null);
  const end = samples.at(-1)?.at ?? 0;

  const ref = useCanvas(
    // biome-ignore lint/correctness/useExhaustiveDependencies: a new theme asks for a new drawing
    useCallback(
      (context, width, height) => {
        const start = end - span;
        const shown = samples.filter(({ at }) => at >= start);
        const top = niceCeiling(Math.max(0, ...shown.flatMap(({ values }) => values.map((value) => value ?? 0))));
        const x = (at: number): number => LEFT + ((at - start) * (width - LEFT - 4)) / span;
        const y = (value: number): number => 6 + (1 - value / top) * (height - BOTTOM - 6);
        context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
        context.lineWidth = 1;
        drawGrid(context, { width, height, top, start, end, x, y, format });
        for (const [index, one] of series.entries()) drawLine(context, shown, index, one, { x, y });
        const hit =
          pointer === null ? undefined : nearest(shown, start + ((pointer - LEFT) * span) / (width - LEFT - 4));
        if (hit) drawPointer(context, hit, series, { width, height, x, y, format });
      },
      [samples, series, span, format, end, pointer, theme],
    ),
  );

  return (
    <canvas
      ref={ref}
      className="time-series"
      role="img"
      aria-label={label}
      onPointerMove={(event) => setPointer(event.nativeEvent.offsetX)}
      onPointerLeave={() => setPointer(null)}
    />
  );
}

interface Scale {
  x: (at: number) => number;
  y: (value: number) => number;
}

type Frame = Scale & { width: number; height: number; format: (value: number) => string };

function drawGrid(
  context: CanvasRenderingContext2D,
  frame: Frame & { top: number; start: number; end: number },
): void {
  const { width, height, top, start, end, x, y, format } = frame;
  context.strokeStyle = colour("line");
  context.fillStyle = colour("faint");
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(y(top * share)) + 0.5;
    context.beginPath();
    context.moveTo(LEFT, at);
    context.lineTo(width, at);
    context.stroke();
    context.fillText(format(top * share), LEFT - 8, at);
  }
  context.textBaseline = "bottom";
  context.textAlign = "center";
  for (let minute = Math.ceil(start / 60_000) * 60_000; minute <= end; minute += 60_000) {
    if (x(minute) > LEFT + 14 && x(minute) < width - 16) context.fillText(hourMinute(minute), x(minute), height);
  }
}

function drawLine(
  context: CanvasRenderingContext2D,
  samples: readonly Sample[],
  index: number,
  { colour: name, fill }: Series,
  { x, y }: Scale,
): void {
  const hue = colour(name);
  for (const run of runs(samples, index)) {
    context.beginPath();
    for (const [at, value] of run) context.lineTo(x(at), y(value));
    context.strokeStyle = hue;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.stroke();
    const first = run[0];
    const last = run[run.length - 1];
    if (!fill || !first || !last) continue;
    context.lineTo(x(last[0]), y(0));
    context.lineTo(x(first[0]), y(0));
    context.globalAlpha = 0.12;
    context.fillStyle = hue;
    context.fill();
    context.globalAlpha = 1;
  }
}

/** The unbroken stretches of one series. */
function runs(samples: readonly Sample[], index: number): [number, number][][] {
  const found: [number, number][][] = [];
  let run: [number, number][] = [];
  let before = 0;
  for (const { at, values } of samples) {
    const value = values[index] ?? null;
    if (value === null || at - before > GAP) {
      if (run.length) found.push(run);
      run = [];
    }
    if (value !== null) run.push([at, value]);
    before = at;
  }
  if (run.length) found.push(run);
  return found;
}

function drawPointer(context: CanvasRenderingContext2D, hit: Sample, series: readonly Series[], frame: Frame): void {
  const { width, height, x, format } = frame;
  const at = Math.round(x(hit.at)) + 0.5;
  context.strokeStyle = colour("line-strong");
  context.beginPath();
  context.moveTo(at, 6);
  context.lineTo(at, height - BOTTOM);
  context.stroke();
  const parts = series.map(({ name }, i) => {
    const value = hit.values[i] ?? null;
    return `${series.length > 1 ? `${name} ` : ""}${value === null ? "–" : format(value)}`;
  });
  const text = `${clock(hit.at)}   ${parts.join("   ")}`;
  const room = context.measureText(text).width + 16;
  const left = Math.min(Math.max(LEFT, at - room / 2), width - room);
  context.fillStyle = colour("raised");
  context.strokeStyle = colour("line-strong");
  context.beginPath();
  context.roundRect(left, 2, room, 20, 4);
  context.fill();
  context.stroke();
  context.fillStyle = colour("text");
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, left + 8, 12.5);
}

function nearest(samples: readonly Sample[], at: number): Sample | undefined {
  let best: Sample | undefined;
  for (const sample of samples) if (!best || Math.abs(sample.at - at) < Math.abs(best.at - at)) best = sample;
  return best;
}

/** The next of 1, 2, 2.5, 4, 5 or 10 times a power of ten. */
function niceCeiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 4, 5, 10].find((step) => step * power >= value) ?? 10;
  return factor * power;
}
