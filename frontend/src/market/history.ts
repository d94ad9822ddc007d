/**
 * Candles and short price lines, made here of the ticks that came in: brokers' feeds carry no history. They live as long as the page does.
 *
 * Bounded: `MOST_CANDLES` of 5 seconds (a trading day and more) and `LINE_POINTS` seconds of line for each instrument that is recorded.
 */

import type { MarketClient } from "./client";
import { instrumentKey, type MarketData, type Mode } from "./types";

/** `time` is the start of the candle, epoch seconds. */
export interface Candle {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export const BASE_SECONDS = 5;
const MOST_CANDLES = 6_000;
const LINE_POINTS = 180;

export class Recording {
  readonly candles: Candle[] = [];
  /** One price a second at most, oldest first. */
  readonly line: number[] = [];
  #lineSecond = 0;
  #volume: number | null = null;
  #started = false;

  add({ data, lastUpdate, stale }: MarketData): void {
    const { ltp, volume } = data;
    if (ltp === undefined || stale) return;
    const traded = volume !== undefined && this.#volume !== null ? Math.max(0, volume - this.#volume) : 0;
    if (volume !== undefined) this.#volume = volume;
    this.#addLine(ltp, lastUpdate);
    // The first message may be the last trade of another day: it sets the volume to count from, and is no trade of now.
    if (!this.#started) {
      this.#started = true;
      return;
    }
    this.#addCandle(ltp, traded, data.timestamp ?? lastUpdate);
  }

  #addLine(ltp: number, now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#lineSecond) this.line[this.line.length - 1] = ltp;
    else this.line.push(ltp);
    this.#lineSecond = second;
    if (this.line.length > LINE_POINTS) this.line.shift();
  }

  #addCandle(ltp: number, traded: number, at: number): void {
    const time = Math.floor(at / 1000 / BASE_SECONDS) * BASE_SECONDS;
    const last = this.candles.at(-1);
    if (last && time <= last.time) {
      last.high = Math.max(last.high, ltp);
      last.low = Math.min(last.low, ltp);
      last.close = ltp;
      last.volume += traded;
      return;
    }
    this.candles.push({ time, open: ltp, high: ltp, low: ltp, close: ltp, volume: traded });
    if (this.candles.length > MOST_CANDLES) this.candles.splice(0, MOST_CANDLES / 10);
  }
}

export class Recorder {
  readonly #recordings = new Map<string, Recording>();
  #end: (() => void) | null = null;

  constructor(
    private readonly client: MarketClient,
    private readonly mode: Mode,
  ) {}

  /** Records exactly these instruments from now on; what was recorded of others is forgotten. */
  record(keys: readonly string[]): void {
    const wanted = new Set(keys);
    for (const key of this.#recordings.keys()) if (!wanted.has(key)) this.#recordings.delete(key);
    for (const key of wanted) if (!this.#recordings.has(key)) this.#recordings.set(key, new Recording());
    if (wanted.size > 0) this.#end ??= this.client.store.tap(this.#add);
    else {
      this.#end?.();
      this.#end = null;
    }
  }

  get(key: string): Recording | undefined {
    return this.#recordings.get(key);
  }

  readonly #add = (entry: MarketData, mode: Mode): void => {
    if (mode === this.mode) this.#recordings.get(instrumentKey(entry))?.add(entry);
  };
}

/** Candles of `seconds`, a multiple of the base, made of base candles. */
export function aggregate(candles: readonly Candle[], seconds: number): Candle[] {
  if (seconds === BASE_SECONDS) return candles.map((candle) => ({ ...candle }));
  const result: Candle[] = [];
  for (const candle of candles) {
    const time = Math.floor(candle.time / seconds) * seconds;
    const last = result.at(-1);
    if (last?.time !== time) {
      result.push({ ...candle, time });
      continue;
    }
    last.high = Math.max(last.high, candle.high);
    last.low = Math.min(last.low, candle.low);
    last.close = candle.close;
    last.volume += candle.volume;
  }
  return result;
}
