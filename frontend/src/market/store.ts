/**
 * The newest message of each (instrument, mode), and who wants to hear of it.
 *
 * However many ticks arrive between two frames of the screen, a listener is called once a frame, after all of them are in. Bounded by the
 * number of subscriptions: `delete` follows every unsubscribe.
 */

import type { MarketData, Mode, TickData } from "./types";

export type Listener = () => void;
/** Calls back once, soon. */
export type Scheduler = (flush: () => void) => void;

/** The next animation frame; a timer where there is none, or while the page is hidden and gets no frames. */
export const nextFrame: Scheduler = (flush) => {
  const shown = typeof requestAnimationFrame === "function" && (typeof document === "undefined" || !document.hidden);
  if (shown) requestAnimationFrame(flush);
  else setTimeout(flush, 250);
};

/** Frames at least `gap` milliseconds apart: numbers that change sixty times a second are not read, but each change costs a paint. */
export function calmFrames(gap: number): Scheduler {
  let last = 0;
  return (flush) => {
    const wait = last + gap - performance.now();
    const run = (): void =>
      nextFrame(() => {
        last = performance.now();
        flush();
      });
    if (wait <= 0) run();
    else setTimeout(run, wait);
  };
}

export class TickStore {
  readonly #entries = new Map<string, MarketData>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #taps = new Set<(entry: MarketData, mode: Mode) => void>();
  readonly #dirty = new Set<string>();
  #scheduled = false;

  constructor(private readonly schedule: Scheduler = nextFrame) {}

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, mode: Mode): MarketData | undefined {
    return this.#entries.get(slot(key, mode));
  }

  set(key: string, mode: Mode, data: TickData, now: number, stale: boolean): void {
    const entry = { symbol: data.symbol, exchange: data.exchange, data, lastUpdate: now, stale };
    const name = slot(key, mode);
    this.#entries.set(name, entry);
    this.#touch(name);
    for (const tap of this.#taps) tap(entry, mode);
  }

  delete(key: string, mode: Mode): void {
    const name = slot(key, mode);
    if (this.#entries.delete(name)) this.#touch(name);
  }

  /** What is shown may no longer be true. Cleared instrument by instrument, as newer messages come. */
  markStale(): void {
    for (const [name, entry] of this.#entries) {
      if (entry.stale) continue;
      this.#entries.set(name, { ...entry, stale: true });
      this.#touch(name);
    }
  }

  /** Calls `listener` once in a frame in which any of `keys` changed; returns how to end it. */
  listen(keys: readonly string[], mode: Mode, listener: Listener): () => void {
    for (const key of keys) {
      const name = slot(key, mode);
      const known = this.#listeners.get(name);
      if (known) known.add(listener);
      else this.#listeners.set(name, new Set([listener]));
    }
    return () => {
      for (const key of keys) {
        const name = slot(key, mode);
        const known = this.#listeners.get(name);
        known?.delete(listener);
        if (known?.size === 0) this.#listeners.delete(name);
      }
    };
  }

  /** Every message as it comes, for what must not miss one (candles). Keep it cheap. */
  tap(listener: (entry: MarketData, mode: Mode) => void): () => void {
    this.#taps.add(listener);
    return () => this.#taps.delete(listener);
  }

  #touch(name: string): void {
    if (!this.#listeners.has(name)) return;
    this.#dirty.add(name);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.schedule(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const due = new Set<Listener>();
    for (const name of this.#dirty) for (const listener of this.#listeners.get(name) ?? []) due.add(listener);
    this.#dirty.clear();
    for (const listener of due) listener();
  };
}

function slot(key: string, mode: Mode): string {
  return `${key}|${mode}`;
}
