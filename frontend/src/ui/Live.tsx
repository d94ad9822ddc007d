/** A price that lights up when it changes. */

import { useLayoutEffect, useRef } from "react";

interface FlashProps {
  value: number | undefined;
  text: string;
}

/** How long a light lasts; no other begins meanwhile, since that would be flicker. */
const LIT = 300;

/** What is lit now, oldest first. One timer puts out all; a CSS animation would make the browser work at every frame while it runs. */
const lit: { node: HTMLElement; until: number }[] = [];

export function Flash({ value, text }: FlashProps) {
  const node = useRef<HTMLSpanElement>(null);
  const before = useRef(value);

  useLayoutEffect(() => {
    const last = before.current;
    before.current = value;
    if (value === undefined || last === undefined || value === last || !node.current) return;
    light(node.current, value > last ? "up" : "down");
  }, [value]);

  return (
    <span className="flash" ref={node}>
      {text}
    </span>
  );
}

function light(node: HTMLElement, direction: string): void {
  // By hand and not by rendering: it ends without one.
  if (node.dataset.flash) return;
  node.dataset.flash = direction;
  lit.push({ node, until: performance.now() + LIT });
  if (lit.length === 1) setTimeout(putOut, LIT);
}

function putOut(): void {
  const now = performance.now();
  const keep = lit.findIndex(({ until }) => until > now);
  for (const { node } of lit.splice(0, keep < 0 ? lit.length : keep)) delete node.dataset.flash;
  const next = lit[0];
  // Several at a time: each time costs a paint.
  if (next) setTimeout(putOut, Math.max(80, next.until - now));
}

export function tone(change: number | null | undefined): string {
  return change == null || change === 0 ? "" : change > 0 ? "up" : "down";
}
