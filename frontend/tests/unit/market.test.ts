import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { MarketClient } from "../../src/market/client";
import type { SocketConstructor } from "../../src/market/connection";
import { createMarketClient, type MarketOptions } from "../../src/market/shared";
import { AccessRefused } from "../../src/market/source";
import { MockProxy } from "../mock/proxy";

const SBIN = { symbol: "SBIN", exchange: "NSE" };
const INFY = { symbol: "INFY", exchange: "NSE" };

let proxy: MockProxy;
const clients: MarketClient[] = [];

function client(options: MarketOptions = {}): MarketClient {
  const where = options.source ? {} : { url: proxy.url, apiKey: "good-key" };
  const made = createMarketClient({
    WebSocket: WebSocket as unknown as SocketConstructor,
    backoff: { first: 10, longest: 40 },
    linger: 5,
    schedule: (flush) => setImmediate(flush),
    ...where,
    ...options,
  });
  clients.push(made);
  return made;
}

function reached(made: MarketClient, test: () => boolean): Promise<void> {
  if (test()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = made.listen(() => {
      if (!test()) return;
      end();
      resolve();
    });
  });
}

const ready = (made: MarketClient): Promise<void> => reached(made, () => made.state.phase === "ready");

function ltp(made: MarketClient, key: string, wanted: number): Promise<void> {
  return new Promise((resolve) => {
    const end = made.store.listen([key], "LTP", () => {
      if (made.store.get(key, "LTP")?.data.ltp !== wanted) return;
      end();
      resolve();
    });
  });
}

beforeEach(async () => {
  proxy = await MockProxy.start();
});

afterEach(async () => {
  for (const made of clients.splice(0)) made.close();
  await proxy.stop();
});

describe("subscriptions", () => {
  test("claims of one turn go out in one request, after authentication", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    made.hold([INFY], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length > 0);
    expect(proxy.requests.map(({ action }) => action)).toEqual(["authenticate", "subscribe"]);
    expect(proxy.asked("subscribe")[0]).toMatchObject({ symbols: [SBIN, INFY], mode: "LTP" });
  });

  test("two holders of one instrument and mode subscribe once, and only the last one's release unsubscribes", async () => {
    const made = client();
    const first = made.hold([SBIN], "LTP");
    const second = made.hold([SBIN, INFY], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length > 0);
    second();
    await proxy.until(() => proxy.asked("unsubscribe").length === 1);
    expect(proxy.asked("unsubscribe")[0]?.symbols).toEqual([INFY]);
    first();
    first();
    await proxy.until(() => proxy.sockets.size === 0);
    expect(proxy.asked("subscribe")).toHaveLength(1);
    expect(made.state.phase).toBe("idle");
  });

  test("modes of one instrument are counted apart", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    const quote = made.hold([SBIN], "QUOTE");
    await proxy.until(() => proxy.asked("subscribe").length === 2);
    quote();
    await proxy.until(() => proxy.asked("unsubscribe").length === 1);
    expect(proxy.asked("unsubscribe")[0]).toMatchObject({ symbols: [SBIN], mode: "QUOTE" });
  });

  test("what is released and held again within the linger time is neither unsubscribed nor subscribed again", async () => {
    const made = client({ linger: 30 });
    const release = made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const other = made.hold([INFY], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 2);
    release();
    other();
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("unsubscribe").length === 1);
    expect(proxy.asked("unsubscribe")[0]?.symbols).toEqual([INFY]);
    expect(proxy.asked("subscribe").map(({ symbols }) => symbols)).toEqual([[SBIN], [INFY]]);
  });

  test("the deepest book wanted is asked for, and the level that is really given is known", async () => {
    proxy.levels = 20;
    const made = client();
    made.hold([SBIN], "DEPTH", { depth: 5 });
    await reached(made, () => made.grantedDepth("NSE:SBIN") === 5);
    made.hold([SBIN], "DEPTH", { depth: 50 });
    await reached(made, () => made.grantedDepth("NSE:SBIN") === 20);
    expect(proxy.asked("subscribe").map(({ depth }) => depth)).toEqual([5, 50]);
  });

  test("long lists are split into several requests", async () => {
    const made = client({ batch: 100 });
    made.hold(
      Array.from({ length: 250 }, (_, i) => ({ symbol: `S${i}`, exchange: "NSE" })),
      "LTP",
    );
    await proxy.until(() => proxy.asked("subscribe").length === 3);
    expect(proxy.asked("subscribe").map(({ symbols }) => symbols?.length)).toEqual([100, 100, 50]);
  });

  test("a refused instrument says why, and the others are served", async () => {
    proxy.refuse = (symbol) => (symbol === "NOPE" ? { code: "SYMBOL_NOT_FOUND", message: "no such symbol" } : null);
    const made = client();
    made.hold([SBIN, { symbol: "NOPE", exchange: "NSE" }], "LTP");
    await reached(made, () => made.error("NSE:NOPE", "LTP") !== null);
    expect(made.error("NSE:NOPE", "LTP")).toEqual({ code: "SYMBOL_NOT_FOUND", message: "no such symbol" });
    expect(made.error("NSE:SBIN", "LTP")).toBeNull();
  });

  test("what was refused as too fast is asked for again", async () => {
    let refusals = 0;
    proxy.refuse = () => (refusals++ === 0 ? { code: "RATE_LIMITED", message: "slower" } : null);
    const made = client({ retryDelay: 10 });
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 2);
    await reached(made, () => made.error("NSE:SBIN", "LTP") === null && made.state.verdicts === 2);
  });
});

describe("ticks", () => {
  test("many ticks are one notification, with the newest value", async () => {
    let flush = (): void => {};
    const made = client({ schedule: (run) => (flush = run) });
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const heard = vi.fn();
    made.store.listen(["NSE:SBIN"], "LTP", heard);
    const all = new Promise<void>((resolve) => made.store.tap(({ data }) => data.ltp === 1_000 && resolve()));
    for (let i = 1; i <= 1_000; i++) proxy.tick("SBIN", i);
    await all;
    expect(heard).not.toHaveBeenCalled();
    flush();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(made.store.get("NSE:SBIN", "LTP")?.data.ltp).toBe(1_000);
  });

  test("malformed frames are counted and harm nothing", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const bad = [
      "{",
      "[]",
      "42",
      "null",
      '{"type":"market_data"}',
      '{"type":"market_data","symbol":"SBIN","exchange":"NSE","mode":9,"data":{}}',
      '{"type":"market_data","symbol":"SBIN","exchange":"NSE","mode":1,"data":{"ltp":"625"}}',
      '{"type":"market_data","symbol":"SBIN","exchange":"NSE","mode":3,"data":{"ltp":1,"depth":{"buy":[{}],"sell":[]}}}',
      '{"type":"feed_status","state":"fine"}',
    ];
    for (const frame of bad) proxy.send(frame);
    for (const socket of proxy.sockets) socket.send(Buffer.from([1, 2, 3]));
    const seen = ltp(made, "NSE:SBIN", 625.5);
    proxy.tick("SBIN", 625.5);
    await seen;
    expect(made.counts.malformed).toBe(bad.length + 1);
    expect(proxy.connections).toBe(1);
  });

  test("ticks that nobody asked for are not kept", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const seen = ltp(made, "NSE:SBIN", 1);
    proxy.tick("INFY", 9);
    proxy.tick("SBIN", 9, { exchange: "BSE" });
    proxy.tick("SBIN", 1);
    await seen;
    expect(made.counts.unwanted).toBe(2);
    expect(made.store.size).toBe(1);
  });

  test("values of an unsubscribed instrument are forgotten", async () => {
    const made = client();
    made.hold([INFY], "LTP");
    const release = made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const seen = ltp(made, "NSE:SBIN", 1);
    proxy.tick("SBIN", 1);
    await seen;
    release();
    await proxy.until(() => proxy.asked("unsubscribe").length === 1);
    expect(made.store.get("NSE:SBIN", "LTP")).toBeUndefined();
  });
});

describe("reconnecting", () => {
  test("a cut connection comes back with all subscriptions, and values are stale until newer ones come", async () => {
    const made = client();
    made.hold([SBIN, INFY], "LTP");
    made.hold([SBIN], "DEPTH", { depth: 20 });
    await proxy.until(() => proxy.asked("subscribe").length === 2);
    const first = ltp(made, "NSE:SBIN", 1);
    proxy.tick("SBIN", 1);
    await first;
    proxy.cut();
    await reached(made, () => made.state.phase === "waiting");
    expect(made.store.get("NSE:SBIN", "LTP")).toMatchObject({ stale: true, data: { ltp: 1 } });
    await proxy.until(() => proxy.asked("subscribe").length === 4);
    expect(proxy.asked("subscribe").slice(2)).toMatchObject([
      { symbols: [SBIN, INFY], mode: "LTP" },
      { symbols: [SBIN], mode: "DEPTH", depth: 20 },
    ]);
    const second = ltp(made, "NSE:SBIN", 2);
    proxy.tick("SBIN", 2);
    await second;
    expect(made.store.get("NSE:SBIN", "LTP")?.stale).toBe(false);
    expect(made.state.sessions).toBe(2);
  });

  test("a server that is away for a while is found again, with growing delays", async () => {
    const { port } = proxy;
    const made = client();
    made.hold([SBIN], "LTP");
    await ready(made);
    await proxy.stop();
    await reached(made, () => made.state.attempt >= 3);
    proxy = await MockProxy.start(port);
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    expect(made.state.phase).toBe("ready");
  });

  test("a server that says it is full is left alone for the longer delay", async () => {
    const made = client({ busyDelay: 60_000 });
    made.hold([SBIN], "LTP");
    await ready(made);
    const before = Date.now();
    proxy.cut(1013);
    await reached(made, () => made.state.phase === "waiting");
    expect((made.state.retryAt ?? 0) - before).toBeGreaterThanOrEqual(60_000);
  });

  test("a connection that went silent is replaced", async () => {
    proxy.answersPing = false;
    const made = client({ pingInterval: 10, pongTimeout: 10 });
    made.hold([SBIN], "LTP");
    await reached(made, () => made.state.error?.message === "the server has gone silent");
    await proxy.until(() => proxy.connections >= 2);
  });

  test("a server that accepts and never answers is given up in time", async () => {
    proxy.answersAuth = false;
    const made = client({ connectTimeout: 20 });
    made.hold([SBIN], "LTP");
    await reached(made, () => made.state.error?.code === "TIMEOUT");
    proxy.answersAuth = true;
    await ready(made);
  });

  test("with autoReconnect off a lost connection stays lost until connect()", async () => {
    const made = client();
    made.hold([SBIN], "LTP", { autoReconnect: false });
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    proxy.cut();
    await reached(made, () => made.state.phase === "stopped");
    expect(made.state.error?.code).toBe("CONNECTION_LOST");
    made.connect();
    await proxy.until(() => proxy.asked("subscribe").length === 2);
  });

  test("disconnect() holds for everybody, and connect() brings everything back", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    await ready(made);
    made.disconnect();
    await proxy.until(() => proxy.sockets.size === 0);
    made.hold([INFY], "LTP");
    expect(made.state.phase).toBe("stopped");
    made.connect();
    await proxy.until(() => proxy.asked("subscribe").some(({ symbols }) => symbols?.length === 2));
  });
});

describe("authentication", () => {
  test("a refused key is never tried twice", async () => {
    const source = vi.fn(async () => ({ url: proxy.url, apiKey: "bad-key" }));
    const made = client({ source });
    made.hold([SBIN], "LTP");
    await reached(made, () => made.state.phase === "rejected");
    expect(made.state.error).toEqual({ code: "AUTHENTICATION_ERROR", message: "unknown key" });
    expect(proxy.asked("authenticate")).toHaveLength(1);
    expect(source).toHaveBeenCalledTimes(2);
  });

  test("a new key from the source is tried once, and works", async () => {
    const keys = ["old-key", "good-key"];
    const made = client({ source: async () => ({ url: proxy.url, apiKey: keys.shift() ?? "none" }) });
    made.hold([SBIN], "LTP");
    await ready(made);
    expect(proxy.asked("authenticate").map(({ api_key }) => api_key)).toEqual(["old-key", "good-key"]);
  });

  test("a second refused key is the last", async () => {
    let n = 0;
    const made = client({ source: async () => ({ url: proxy.url, apiKey: `bad-${n++}` }) });
    made.hold([SBIN], "LTP");
    await reached(made, () => made.state.phase === "rejected");
    expect(proxy.asked("authenticate")).toHaveLength(2);
    made.hold([INFY], "LTP");
    expect(made.state.phase).toBe("rejected");
  });

  test("an ended web session stops at once, and connect() tries again", async () => {
    let open = false;
    const source = vi.fn(async () => {
      if (!open) throw new AccessRefused("log in again");
      return { url: proxy.url, apiKey: "good-key" };
    });
    const made = client({ source });
    made.hold([SBIN], "LTP");
    await reached(made, () => made.state.phase === "rejected");
    expect(made.state.error).toEqual({ code: "ACCESS_REFUSED", message: "log in again" });
    expect(source).toHaveBeenCalledTimes(1);
    open = true;
    made.connect();
    await ready(made);
  });

  test("a key that ends during the session counts as refused", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    await ready(made);
    proxy.cut(4401);
    await reached(made, () => made.state.phase === "rejected");
    expect(proxy.connections).toBe(1);
  });

  test("a message that was too large is not sent again by reconnecting", async () => {
    const made = client();
    made.hold([SBIN], "LTP");
    await ready(made);
    proxy.cut(1009);
    await reached(made, () => made.state.phase === "rejected");
    expect(proxy.connections).toBe(1);
  });
});

describe("feed status", () => {
  test("a feed that dies makes values stale, one by one they become fresh again", async () => {
    const made = client();
    made.hold([SBIN, INFY], "LTP");
    proxy.status("live");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const both = Promise.all([ltp(made, "NSE:SBIN", 1), ltp(made, "NSE:INFY", 1)]);
    proxy.tick("SBIN", 1);
    proxy.tick("INFY", 1);
    await both;
    proxy.status("stalled", "no data for 30 s");
    await reached(made, () => made.state.feed?.state === "stalled");
    expect(made.state.feed).toMatchObject({ broker: "mock", message: "no data for 30 s" });
    expect(made.store.get("NSE:SBIN", "LTP")?.stale).toBe(true);
    proxy.status("live");
    const next = ltp(made, "NSE:SBIN", 2);
    proxy.tick("SBIN", 2);
    await next;
    expect(made.store.get("NSE:SBIN", "LTP")?.stale).toBe(false);
    expect(made.store.get("NSE:INFY", "LTP")?.stale).toBe(true);
  });

  test("a snapshot of a dead feed is stale from the start; after market close it is not", async () => {
    const made = client();
    proxy.feed = { state: "auth_expired", message: "log in again", broker: "mock" };
    made.hold([SBIN], "LTP");
    await proxy.until(() => proxy.asked("subscribe").length === 1);
    const first = ltp(made, "NSE:SBIN", 1);
    proxy.tick("SBIN", 1, { snapshot: true });
    await first;
    expect(made.store.get("NSE:SBIN", "LTP")?.stale).toBe(true);
    proxy.status("market_closed");
    const second = ltp(made, "NSE:SBIN", 2);
    proxy.tick("SBIN", 2, { snapshot: true });
    await second;
    expect(made.store.get("NSE:SBIN", "LTP")?.stale).toBe(false);
  });

  test("what failed for want of a broker session is asked for again when the feed lives", async () => {
    let expired = true;
    proxy.refuse = () => (expired ? { code: "BROKER_AUTH_EXPIRED", message: "log in" } : null);
    const made = client();
    made.hold([SBIN], "LTP");
    await reached(made, () => made.error("NSE:SBIN", "LTP") !== null);
    expired = false;
    proxy.status("live");
    await proxy.until(() => proxy.asked("subscribe").length === 2);
    await reached(made, () => made.error("NSE:SBIN", "LTP") === null);
  });
});
