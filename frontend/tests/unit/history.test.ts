import { expect, test } from "vitest";
import { aggregate, Recorder, Recording } from "../../src/market/history";
import { createMarketClient } from "../../src/market/shared";
import type { MarketData } from "../../src/market/types";

const START = 1_705_294_800_000;

function tick(ltp: number | undefined, seconds: number, volume?: number, stale = false): MarketData {
  const at = START + seconds * 1000;
  const data = {
    symbol: "SBIN",
    exchange: "NSE",
    timestamp: at,
    ...(ltp !== undefined && { ltp }),
    ...(volume !== undefined && { volume }),
  };
  return { symbol: "SBIN", exchange: "NSE", data, lastUpdate: at, stale };
}

test("the first message sets where to count from, and is no trade", () => {
  const recording = new Recording();
  recording.add(tick(100, 0, 5_000));
  expect(recording.candles).toEqual([]);
  recording.add(tick(101, 1, 5_010));
  expect(recording.candles).toEqual([{ time: START / 1000, open: 101, high: 101, low: 101, close: 101, volume: 10 }]);
});

test("candles hold open, high, low, close and what was traded", () => {
  const recording = new Recording();
  for (const [ltp, at, volume] of [
    [100, 0, 10],
    [102, 1, 12],
    [99, 2, 15],
    [101, 4, 15],
    [103, 5, 20],
  ] as const) {
    recording.add(tick(ltp, at, volume));
  }
  const time = START / 1000;
  expect(recording.candles).toEqual([
    { time, open: 102, high: 102, low: 99, close: 101, volume: 5 },
    { time: time + 5, open: 103, high: 103, low: 103, close: 103, volume: 5 },
  ]);
});

test("a late message changes the candle that is open, and time never goes back", () => {
  const recording = new Recording();
  for (const [ltp, at] of [
    [100, 0],
    [100, 10],
    [98, 3],
  ] as const)
    recording.add(tick(ltp, at));
  expect(recording.candles).toHaveLength(1);
  expect(recording.candles[0]).toMatchObject({ low: 98, close: 98 });
});

test("messages without a price, and those of a lost feed, make nothing", () => {
  const recording = new Recording();
  recording.add(tick(undefined, 0));
  recording.add(tick(100, 1, 1, true));
  recording.add(tick(100, 2, 1, true));
  expect(recording.line).toEqual([]);
  expect(recording.candles).toEqual([]);
});

test("a volume that starts afresh is not a negative trade", () => {
  const recording = new Recording();
  for (const [ltp, at, volume] of [
    [100, 0, 900],
    [100, 1, 1_000],
    [100, 2, 50],
  ] as const)
    recording.add(tick(ltp, at, volume));
  expect(recording.candles[0]?.volume).toBe(100);
});

test("the line has one price a second, and both are bounded", () => {
  const recording = new Recording();
  for (let i = 0; i < 40_000; i++) recording.add(tick(i, i * 2.5));
  expect(recording.line.length).toBe(180);
  expect(recording.candles.length).toBeLessThanOrEqual(6_000);
  expect(recording.candles.at(-1)?.close).toBe(39_999);
});

test("longer candles are made of short ones", () => {
  const recording = new Recording();
  for (let i = 0; i <= 60; i++) recording.add(tick(100 + (i % 7), i, i));
  const minutes = aggregate(recording.candles, 60);
  expect(minutes).toHaveLength(2);
  expect(minutes[0]).toMatchObject({ open: 101, high: 106, low: 100, volume: 59 });
  expect(recording.candles[0]?.volume).toBe(4);
});

test("a recorder keeps what is wanted and forgets the rest", () => {
  const client = createMarketClient({ url: "ws://unused", apiKey: "unused" });
  const recorder = new Recorder(client, "QUOTE");
  recorder.record(["NSE:SBIN"]);
  const { data } = tick(1, 0);
  client.store.set("NSE:SBIN", "QUOTE", data, START, false);
  client.store.set("NSE:SBIN", "LTP", { ...data, ltp: 9 }, START + 1_000, false);
  expect(recorder.get("NSE:SBIN")?.line).toEqual([1]);
  recorder.record([]);
  expect(recorder.get("NSE:SBIN")).toBeUndefined();
});
