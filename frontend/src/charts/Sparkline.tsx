/** The way of a price in the last minutes, in the space of a table cell. */

import { memo } from "react";

interface Props {
  /** Filled in place; `version` changes when it did. */
  points: readonly number[];
  version: unknown;
  label: string;
}

const WIDTH = 92;
const HEIGHT = 26;

/** An SVG and no canvas: every canvas is a layer of its own, and a hundred of them slow down the page. */
export const Sparkline = memo(function Sparkline({ points, label }: Props) {
  const rises = (points.at(-1) ?? 0) >= (points[0] ?? 0);
  return (
    <svg
      className={rises ? "sparkline up" : "sparkline down"}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={label}
    >
      {points.length > 1 && (
        <polyline points={line(points)} fill="none" stroke="currentColor" strokeWidth="1.3" strokeLinejoin="round" />
      )}
    </svg>
  );
});

function line(points: readonly number[]): string {
  const low = Math.min(...points);
  const high = Math.max(...points);
  const x = (i: number): string => (1 + (i * (WIDTH - 2)) / (points.length - 1)).toFixed(1);
  const y = (value: number): string =>
    (high === low ? HEIGHT / 2 : 2 + ((high - value) * (HEIGHT - 4)) / (high - low)).toFixed(1);
  return points.map((value, i) => `${x(i)},${y(value)}`).join(" ");
}
