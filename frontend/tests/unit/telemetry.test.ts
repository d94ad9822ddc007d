import { expect, test } from "vitest";
import type { Feeds } from "../../src/api/types";
import { EMPTY, observe, span, total } from "../../src/pages/dashboard/telemetry";

function feeds(
  at: number,
  ticks: number | null,
  messages: number,
  latency: { p50: number; p99: number; max: number } | null = null,
): Feeds {
  return {
    server_time: at,
    proxy: { messages, bytes: messages * 100 },
    feeds: [{ ticks, latency_ms: latency }],
  } as Feeds;
}

test("rates are differences over the server's own clock", () => {
  let state = observe(EMPTY, feeds(1_000, 100, 50));
  expect(state.rates).toEqual({ ticks: null, messages: null, bytes: null });
  state = observe(state, feeds(3_000, 300, 150));
  expect(state.rates).toEqual({ ticks: 100, messages: 50, bytes: 5_000 });
});

test("counters of a restarted server give no rate, never a negative one", () => {
  const state = observe(observe(EMPTY, feeds(1_000, 100, 50)), feeds(2_000, 3, 1));
  expect(state.rates.ticks).toBeNull();
  expect(state.ticks.at(-1)?.values).toEqual([null]);
});

test("the same answer twice changes nothing, a clock that went back starts afresh", () => {
  const state = observe(observe(EMPTY, feeds(1_000, 1, 1)), feeds(2_000, 2, 2));
  expect(observe(state, feeds(2_000, 2, 2))).toBe(state);
  expect(observe(state, feeds(500, 2, 2)).ticks).toHaveLength(1);
});

test("lines hold the last five minutes, latency the worst of the feeds", () => {
  let state = EMPTY;
  for (let second = 0; second <= 400; second++)
    state = observe(state, feeds(second * 1000, second, second, { p50: 1, p99: second, max: second }));
  expect(state.ticks[0]?.at).toBe(100_000);
  expect(state.latency.at(-1)?.values).toEqual([1, 400]);
  expect(span(state.ticks)).toBe(300_000);
  expect(span(state.ticks.slice(0, 3))).toBe(60_000);
});

test("what no feed knows is not known", () => {
  expect(total([null, null])).toBeNull();
  expect(total([null, 3, 4])).toBe(7);
});
