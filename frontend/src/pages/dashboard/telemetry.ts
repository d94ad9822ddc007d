/** Rates and lines made of the counters that `/api/feeds` gives each second. Pure. */

import type { Feeds } from "../../api/types";
import type { Sample } from "../../charts/TimeSeries";

export interface Rates {
  ticks: number | null;
  messages: number | null;
  bytes: number | null;
}

export interface Telemetry {
  last: Feeds | null;
  rates: Rates;
  ticks: Sample[];
  messages: Sample[];
  latency: Sample[];
}

export const SPAN = 300_000;
/** Milliseconds worth showing: all that is known, but not less than a minute. */
export function span(samples: readonly Sample[]): number {
  const first = samples[0]?.at ?? 0;
  const last = samples.at(-1)?.at ?? 0;
  return Math.min(SPAN, Math.max(60_000, last - first));
}

export const EMPTY: Telemetry = {
  last: null,
  rates: { ticks: null, messages: null, bytes: null },
  ticks: [],
  messages: [],
  latency: [],
};

/** What is known after one more answer. Counters that went back belong to a server that has been restarted: no rate. */
export function observe(before: Telemetry, feeds: Feeds): Telemetry {
  const { last } = before;
  const at = feeds.server_time;
  if (last && at <= last.server_time) return at === last.server_time ? before : observe(EMPTY, feeds);
  const rate = (read: (feeds: Feeds) => number | null): number | null => {
    const now = read(feeds);
    const then = last && read(last);
    if (!last || now === null || then === null || now < then) return null;
    return ((now - then) * 1000) / (at - last.server_time);
  };
  const rates = {
    ticks: rate(({ feeds: all }) => total(all.map(({ ticks }) => ticks))),
    messages: rate(({ proxy }) => proxy.messages),
    bytes: rate(({ proxy }) => proxy.bytes),
  };
  const latencies = feeds.feeds.map(({ latency_ms }) => latency_ms).filter((latency) => latency !== null);
  const worst = (read: (latency: { p50: number; p99: number }) => number): number | null =>
    latencies.length > 0 ? Math.max(...latencies.map(read)) : null;
  const add = (samples: Sample[], ...values: (number | null)[]): Sample[] =>
    [...samples, { at, values }].filter((sample) => sample.at >= at - SPAN);
  return {
    last: feeds,
    rates,
    ticks: add(before.ticks, rates.ticks),
    messages: add(before.messages, rates.messages),
    latency: add(
      before.latency,
      worst(({ p50 }) => p50),
      worst(({ p99 }) => p99),
    ),
  };
}

/** The sum of what is known; null where nothing is. */
export function total(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : null;
}
