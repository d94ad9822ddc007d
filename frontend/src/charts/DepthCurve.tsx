/** How much is bid and offered up to each price: the book's cumulative curve. */

import { useCallback } from "react";
import { colour, useTheme } from "../app/theme";
import { compact, price } from "../format/numbers";
import type { Depth, DepthLevel } from "../market/types";
import { useCanvas } from "./canvas";

const MARGIN = 0.06;

export function DepthCurve({ depth, exchange }: { depth: Depth | undefined; exchange: string }) {
  const theme = useTheme();
  const ref = useCanvas(
    // biome-ignore lint/correctness/useExhaustiveDependencies: a new theme asks for a new drawing
    useCallback(
      (context, width, height) => {
        const bids = cumulate(depth?.buy ?? []);
        const asks = cumulate(depth?.sell ?? []);
        const prices = [...bids, ...asks].map(([at]) => at);
        if (prices.length < 2) return;
        const span = Math.max(...prices) - Math.min(...prices);
        // Room beyond the last levels, whose steps would otherwise be lines on the edge.
        const low = Math.min(...prices) - span * MARGIN;
        const high = Math.max(...prices) + span * MARGIN;
        const most = Math.max(...bids.map(([, sum]) => sum), ...asks.map(([, sum]) => sum), 1);
        const base = height - 18;
        const x = (at: number): number => ((at - low) / (high - low || 1)) * width;
        const y = (sum: number): number => base - (sum / most) * (base - 8);
        step(context, bids, "up", { x, y, base, end: 0 });
        step(context, asks, "down", { x, y, base, end: width });
        context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
        context.fillStyle = colour("faint");
        context.textBaseline = "bottom";
        context.textAlign = "left";
        context.fillText(price(Math.min(...prices), exchange), 0, height);
        context.textAlign = "right";
        context.fillText(price(Math.max(...prices), exchange), width, height);
        context.textBaseline = "top";
        context.fillText(compact(most), width, 0);
      },
      [depth, exchange, theme],
    ),
  );
  return <canvas ref={ref} className="depth-curve" role="img" aria-label="Cumulative quantity by price" />;
}

type Point = readonly [price: number, sum: number];

function cumulate(levels: readonly DepthLevel[]): Point[] {
  let sum = 0;
  return levels.map(({ price: at, quantity }) => {
    sum += quantity;
    return [at, sum];
  });
}

interface Scale {
  x: (at: number) => number;
  y: (sum: number) => number;
  base: number;
  /** Where the last step ends. */
  end: number;
}

function step(
  context: CanvasRenderingContext2D,
  points: readonly Point[],
  name: string,
  { x, y, base, end }: Scale,
): void {
  const first = points[0];
  if (!first) return;
  context.beginPath();
  context.moveTo(x(first[0]), base);
  let before = base;
  for (const [at, sum] of points) {
    context.lineTo(x(at), before);
    before = y(sum);
    context.lineTo(x(at), before);
  }
  context.lineTo(end, before);
  context.strokeStyle = colour(name);
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(end, base);
  context.globalAlpha = 0.12;
  context.fillStyle = colour(name);
  context.fill();
  context.globalAlpha = 1;
}
