/** Made-up prices for the pages' tests: random walks, sent to whoever subscribed, at a rate that is set. Deterministic by its seed. */

import type { WebSocket } from "ws";
import type { MockProxy, Request } from "./proxy";

export interface MockInstrument {
  symbol: string;
  exchange: string;
  name: string;
  instrumenttype: string;
  base: number;
}

const SHARES: [string, string, number][] = [
  ["RELIANCE", "RELIANCE INDUSTRIES LTD", 1412.3],
  ["HDFCBANK", "HDFC BANK LTD", 1948.75],
  ["INFY", "INFOSYS LTD", 1587.1],
  ["SBIN", "STATE BANK OF INDIA", 812.45],
  ["TCS", "TATA CONSULTANCY SERVICES", 3456.9],
  ["ITC", "ITC LTD", 428.6],
  ["ICICIBANK", "ICICI BANK LTD", 1289.2],
  ["LT", "LARSEN & TOUBRO LTD", 3610],
  ["MRF", "MRF LTD", 142_380],
  ["IDEA", "VODAFONE IDEA LTD", 7.85],
];

export const INSTRUMENTS: readonly MockInstrument[] = [
  { symbol: "NIFTY", exchange: "NSE_INDEX", name: "NIFTY 50", instrumenttype: "INDEX", base: 24_812.05 },
  { symbol: "BANKNIFTY", exchange: "NSE_INDEX", name: "NIFTY BANK", instrumenttype: "INDEX", base: 55_460.3 },
  ...SHARES.flatMap(([symbol, name, base]) =>
    ["NSE", "BSE"].map((exchange) => ({ symbol, exchange, name, instrumenttype: "EQ", base })),
  ),
  ...Array.from({ length: 40 }, (_, i) => ({
    symbol: `NIFTY28AUG25${24_000 + i * 50}CE`,
    exchange: "NFO",
    name: "NIFTY",
    instrumenttype: "CE",
    base: Math.max(5, 900 - i * 20),
  })),
  ...Array.from({ length: 150 }, (_, i) => ({
    symbol: `SHARE${i}`,
    exchange: "NSE",
    name: `SHARE NUMBER ${i}`,
    instrumenttype: "EQ",
    base: 50 + i * 13.35,
  })),
  { symbol: "USDINR28AUG25FUT", exchange: "CDS", name: "USDINR", instrumenttype: "FUT", base: 87.4125 },
];

interface Walk {
  instrument: MockInstrument;
  ltp: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

interface Claim {
  walk: Walk;
  mode: "LTP" | "QUOTE" | "DEPTH";
  depth: number;
}

export class MockMarket {
  readonly #walks = new Map<string, Walk>();
  readonly #claims = new Map<WebSocket, Map<string, Claim>>();
  readonly #timer: ReturnType<typeof setInterval>;
  #seed: number;
  /** Messages a second for each client. */
  rate: number;
  sent = 0;
  paused = false;

  constructor(
    private readonly proxy: MockProxy,
    { rate = 100, seed = 7 } = {},
  ) {
    this.rate = rate;
    this.#seed = seed;
    for (const instrument of INSTRUMENTS) {
      const { base } = instrument;
      const open = round(base * (1 + (this.#random() - 0.5) * 0.01));
      const walk = {
        instrument,
        ltp: base,
        open,
        high: Math.max(open, base),
        low: Math.min(open, base),
        close: round(base * (1 + (this.#random() - 0.5) * 0.02)),
        volume: Math.floor(this.#random() * 2e7),
      };
      for (let i = 0; i < 200; i++) this.#step(walk);
      this.#walks.set(`${instrument.exchange}:${instrument.symbol}`, walk);
    }
    proxy.refuse = (symbol) =>
      INSTRUMENTS.some((one) => one.symbol === symbol)
        ? null
        : { code: "SYMBOL_NOT_FOUND", message: `${symbol} is not in the broker's list; nearest: SBIN` };
    proxy.onSubscribed = (socket, request) => this.#subscribed(socket, request);
    proxy.onUnsubscribed = (socket, request) => {
      for (const { symbol, exchange } of request.symbols ?? [])
        this.#claims.get(socket)?.delete(`${exchange}:${symbol}|${request.mode}`);
    };
    let before = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#run((now - before) / 1000);
      before = now;
    }, 10);
  }

  /** Subscriptions over all clients. */
  get subscriptions(): number {
    return [...this.#claims.values()].reduce((sum, claims) => sum + claims.size, 0);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #subscribed(socket: WebSocket, request: Request): void {
    let claims = this.#claims.get(socket);
    if (!claims) {
      claims = new Map();
      this.#claims.set(socket, claims);
      socket.on("close", () => this.#claims.delete(socket));
    }
    const mode = (request.mode ?? "QUOTE") as Claim["mode"];
    for (const { symbol, exchange } of request.symbols ?? []) {
      const walk = this.#walks.get(`${exchange}:${symbol}`);
      if (!walk) continue;
      const claim = { walk, mode, depth: Math.min(request.depth ?? 5, this.proxy.levels) };
      claims.set(`${exchange}:${symbol}|${mode}`, claim);
      this.#send(socket, claim, true);
    }
  }

  #run(seconds: number): void {
    if (this.paused) return;
    const count = Math.min(this.rate * seconds, this.rate);
    for (const [socket, claims] of this.#claims) {
      const all = [...claims.values()];
      if (all.length === 0) continue;
      const due = Math.floor(count + this.#random());
      for (let i = 0; i < due; i++) {
        const claim = all[Math.floor(this.#random() * all.length)]!;
        this.#step(claim.walk);
        this.#send(socket, claim, false);
      }
    }
  }

  #send(socket: WebSocket, { walk, mode, depth }: Claim, snapshot: boolean): void {
    const { instrument, ltp, open, high, low, close, volume } = walk;
    const { symbol, exchange } = instrument;
    const now = Date.now();
    const index = exchange.endsWith("_INDEX");
    const data: Record<string, unknown> = {
      symbol,
      exchange,
      mode: mode.toLowerCase(),
      ltp,
      ltt: now - 20,
      timestamp: now,
    };
    if (mode !== "LTP") {
      Object.assign(data, {
        open,
        high,
        low,
        close,
        change: round(ltp - close),
        change_percent: round(((ltp - close) / close) * 100),
      });
      if (!index) {
        const quantity = 1 + Math.floor(this.#random() * 400);
        Object.assign(data, {
          volume,
          last_quantity: quantity,
          last_trade_quantity: quantity,
          average_price: round((open + ltp) / 2),
          total_buy_quantity: 300_000 + Math.floor(this.#random() * 90_000),
          total_sell_quantity: 280_000 + Math.floor(this.#random() * 90_000),
          upper_circuit: round(close * 1.1),
          lower_circuit: round(close * 0.9),
        });
      }
    }
    if (mode === "DEPTH") data.depth = this.#book(ltp, depth);
    this.sent += 1;
    socket.send(
      JSON.stringify({
        type: "market_data",
        symbol,
        exchange,
        mode: { LTP: 1, QUOTE: 2, DEPTH: 3 }[mode],
        broker: "mock",
        data,
        ...(snapshot && { snapshot }),
      }),
    );
  }

  #book(ltp: number, depth: number): unknown {
    const side = (sign: number): unknown[] =>
      Array.from({ length: depth }, (_, i) => ({
        price: round(ltp + sign * 0.05 * (i + 1)),
        quantity: 50 + Math.floor(this.#random() * (400 + i * 90)),
        orders: 1 + Math.floor(this.#random() * 24),
      }));
    return { buy: side(-1), sell: side(1) };
  }

  #step(walk: Walk): void {
    const tick = walk.ltp > 1000 ? 0.1 : 0.05;
    const move = Math.round((this.#random() - 0.5) * 6) * tick;
    walk.ltp = Math.max(tick, round(walk.ltp + move));
    walk.high = Math.max(walk.high, walk.ltp);
    walk.low = Math.min(walk.low, walk.ltp);
    walk.volume += Math.floor(this.#random() * 500);
  }

  #random(): number {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return this.#seed / 2_147_483_648;
  }
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
