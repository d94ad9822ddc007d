/** A canvas that keeps the size of its box and the sharpness of the screen. */

import { type RefObject, useEffect, useRef } from "react";

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

/** Draws when `draw` changes and when the box changes size. Coordinates are CSS pixels. */
export function useCanvas(draw: Draw): RefObject<HTMLCanvasElement | null> {
  const ref = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;

  useEffect(() => {
    const canvas = ref.current;
    if (!canvas) return;
    const observer = new ResizeObserver(() => paint(canvas, latest.current));
    observer.observe(canvas);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (ref.current) paint(ref.current, draw);
  }, [draw]);

  return ref;
}

function paint(canvas: HTMLCanvasElement, draw: Draw): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const context = canvas.getContext("2d");
  if (!context || width === 0 || height === 0) return;
  const w = Math.round(width * ratio);
  const h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  draw(context, width, height);
}
