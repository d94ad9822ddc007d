// @vitest-environment jsdom
import { act, cleanup, render, renderHook, waitFor } from "@testing-library/react";
import { Profiler } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { type UseMarketDataOptions, useMarketData, useTick } from "../../src/hooks/useMarketData";
import type { MarketClient } from "../../src/market/client";
import type { SocketConstructor } from "../../src/market/connection";
import { createMarketClient, type MarketOptions } from "../../src/market/shared";
import { MockProxy } from "../mock/proxy";

const SBIN = { symbol: "SBIN", exchange: "NSE" };
const INFY = { symbol: "INFY", exchange: "NSE" };

let proxy: MockProxy;
let client: MarketClient;

function make(options: MarketOptions = {}): MarketClient {
  return createMarketClient({
    url: proxy.url,
    apiKey: "good-key",
    WebSocket: WebSocket as unknown as SocketConstructor,
    backoff: { first: 10, longest: 40 },
    linger: 5,
    ...options,
  });
}

function use(options: Partial<UseMarketDataOptions> = {}) {
  return renderHook((props: Partial<UseMarketDataOptions>) => useMarketData({ symbols: [SBIN], client, ...props }), {
    initialProps: options,
  });
}

function setHidden(hidden: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(async () => {
  proxy = await MockProxy.start();
  client = make();
});

afterEach(async () => {
  cleanup();
  vi.restoreAllMocks();
  client.close();
  await proxy.stop();
});

test("a component gets its data by key, and says what the connection does", async () => {
  proxy.onSubscribed = () => proxy.tick("SBIN", 625.5);
  const { result } = use();
  expect(result.current).toMatchObject({
    isConnecting: true,
    isConnected: false,
    isAuthenticated: false,
    isStale: true,
  });
  await waitFor(() => expect(result.current.data.get("NSE:SBIN")?.data.ltp).toBe(625.5));
  expect(result.current).toMatchObject({
    isConnecting: false,
    isConnected: true,
    isAuthenticated: true,
    isPaused: false,
    isStale: false,
    error: null,
  });
  expect(result.current.data.get("NSE:SBIN")).toMatchObject({ symbol: "SBIN", exchange: "NSE", stale: false });
  expect(result.current.data.get("NSE:SBIN")?.lastUpdate).toBeTypeOf("number");
});

test("mode names are understood in any case", async () => {
  use({ mode: "Quote" });
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  expect(proxy.asked("subscribe")[0]?.mode).toBe("QUOTE");
});

test("components share one socket and one subscription", async () => {
  const first = use();
  const second = use();
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  proxy.tick("SBIN", 7);
  await waitFor(() => {
    expect(first.result.current.data.get("NSE:SBIN")?.data.ltp).toBe(7);
    expect(second.result.current.data.get("NSE:SBIN")?.data.ltp).toBe(7);
  });
  first.unmount();
  second.unmount();
  await proxy.until(() => proxy.sockets.size === 0);
  expect(proxy.connections).toBe(1);
  expect(proxy.asked("subscribe")).toHaveLength(1);
});

test("a list written inline causes no new subscription at every render, a changed one only the difference", async () => {
  const { rerender, result } = use({ symbols: [{ ...SBIN }] });
  await waitFor(() => expect(result.current.isAuthenticated).toBe(true));
  rerender({ symbols: [{ ...SBIN }] });
  rerender({ symbols: [{ ...SBIN }, { ...INFY }] });
  await proxy.until(() => proxy.asked("subscribe").length === 2);
  expect(proxy.asked("subscribe").map(({ symbols }) => symbols)).toEqual([[SBIN], [INFY]]);
  expect(proxy.asked("unsubscribe")).toHaveLength(0);
});

test("enabled: false holds no connection", async () => {
  const { rerender, result } = use({ enabled: false });
  expect(result.current.phase).toBe("idle");
  rerender({ enabled: true });
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  rerender({ enabled: false });
  await proxy.until(() => proxy.sockets.size === 0);
  expect(result.current.data.size).toBe(0);
});

test("an empty list holds no connection", () => {
  expect(use({ symbols: [] }).result.current.phase).toBe("idle");
});

test("a hidden page closes the socket after the delay, and a shown one gets everything back", async () => {
  client = make({ pauseDelay: 10 });
  const { result } = use();
  await waitFor(() => expect(result.current.isAuthenticated).toBe(true));
  act(() => setHidden(true));
  await waitFor(() => expect(result.current.isPaused).toBe(true));
  await proxy.until(() => proxy.sockets.size === 0);
  expect(result.current.isConnected).toBe(false);
  act(() => setHidden(false));
  await proxy.until(() => proxy.asked("subscribe").length === 2);
  await waitFor(() => expect(result.current).toMatchObject({ isPaused: false, isAuthenticated: true }));
});

test("a page that is hidden for less than the delay keeps its socket", async () => {
  client = make({ pauseDelay: 40_000 });
  const { result } = use();
  await waitFor(() => expect(result.current.isAuthenticated).toBe(true));
  const timers = vi.spyOn(globalThis, "setTimeout");
  const cleared = vi.spyOn(globalThis, "clearTimeout");
  act(() => setHidden(true));
  const pause = timers.mock.results[timers.mock.calls.findIndex(([, delay]) => delay === 40_000)];
  act(() => setHidden(false));
  expect(pause?.value).toBeDefined();
  expect(cleared).toHaveBeenCalledWith(pause?.value);
  expect(result.current.isAuthenticated).toBe(true);
});

test("a thousand ticks render once a frame, not once a tick", async () => {
  let frame: FrameRequestCallback = () => {};
  vi.stubGlobal("requestAnimationFrame", (run: FrameRequestCallback) => {
    frame = run;
    return 1;
  });
  let renders = 0;
  const { result } = renderHook(() => {
    renders += 1;
    return useMarketData({ symbols: [SBIN], client });
  });
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  await waitFor(() => expect(client.state.verdicts).toBe(1));
  const before = renders;
  const all = new Promise<void>((resolve) => client.store.tap(({ data }) => data.ltp === 1_000 && resolve()));
  for (let i = 1; i <= 1_000; i++) proxy.tick("SBIN", i);
  await all;
  expect(renders).toBe(before);
  act(() => frame(0));
  expect(renders).toBe(before + 1);
  expect(result.current.data.get("NSE:SBIN")?.data.ltp).toBe(1_000);
  vi.unstubAllGlobals();
});

const rendered: string[] = [];

function Row({ symbol }: { symbol: string }) {
  const tick = useTick({ symbol, exchange: "NSE" }, "LTP", { client });
  return (
    <Profiler id={symbol} onRender={(id) => rendered.push(id)}>
      <span data-testid={symbol}>{tick?.data.ltp ?? "–"}</span>
    </Profiler>
  );
}

test("a row renders for its own instrument only", async () => {
  client.hold([SBIN, INFY], "LTP");
  const { getByTestId } = render(
    <>
      <Row symbol="SBIN" />
      <Row symbol="INFY" />
    </>,
  );
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  rendered.length = 0;
  proxy.tick("SBIN", 5);
  await waitFor(() => expect(getByTestId("SBIN").textContent).toBe("5"));
  expect(rendered).toEqual(["SBIN"]);
});

test("a refused key is said, and connect() tries again", async () => {
  proxy.keys.clear();
  const { result } = use();
  await waitFor(() => expect(result.current.error).toBe("unknown key"));
  await waitFor(() => expect(result.current.phase).toBe("rejected"));
  expect(proxy.asked("authenticate")).toHaveLength(1);
  proxy.keys.add("good-key");
  act(() => result.current.connect());
  await waitFor(() => expect(result.current.isAuthenticated).toBe(true));
  act(() => result.current.disconnect());
  expect(result.current.phase).toBe("stopped");
});

test("the feed's state and an instrument's refusal reach the component", async () => {
  proxy.refuse = (symbol) => (symbol === "INFY" ? { code: "SYMBOL_NOT_FOUND", message: "no such symbol" } : null);
  const { result } = use({ symbols: [SBIN, INFY] });
  await waitFor(() => expect(result.current.errors.get("NSE:INFY")?.code).toBe("SYMBOL_NOT_FOUND"));
  expect(result.current.isStale).toBe(false);
  act(() => proxy.status("stalled", "silent"));
  await waitFor(() => expect(result.current.feedStatus).toMatchObject({ state: "stalled", message: "silent" }));
  expect(result.current.isStale).toBe(true);
});

test("a paced component shows the first value at once and the newest one after the pause", async () => {
  client.hold([SBIN], "LTP");
  let renders = 0;
  const { result } = renderHook(() => {
    renders += 1;
    return useTick(SBIN, "LTP", { client, every: 50 });
  });
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  proxy.tick("SBIN", 1);
  await waitFor(() => expect(result.current?.data.ltp).toBe(1));
  const before = renders;
  const all = new Promise<void>((resolve) => client.store.tap(({ data }) => data.ltp === 100 && resolve()));
  for (let i = 2; i <= 100; i++) proxy.tick("SBIN", i);
  await all;
  await waitFor(() => expect(result.current?.data.ltp).toBe(100));
  expect(renders - before).toBeLessThanOrEqual(2);
});

test("a paused component renders nothing new, and the newest value when it goes on", async () => {
  client.hold([SBIN], "LTP");
  const { result, rerender } = renderHook(({ paused }) => useTick(SBIN, "LTP", { client, paused }), {
    initialProps: { paused: true },
  });
  await proxy.until(() => proxy.asked("subscribe").length === 1);
  const arrived = new Promise<void>((resolve) => client.store.tap(() => resolve()));
  proxy.tick("SBIN", 5);
  await arrived;
  expect(result.current).toBeUndefined();
  rerender({ paused: false });
  expect(result.current?.data.ltp).toBe(5);
});
