/** Frames in, frames out. Pure: no socket, no clock. An incoming frame that is not what it should be is `malformed`, never an exception. */

import type { DepthLevel, FeedState, FeedStatus, Instrument, MarketError, Mode, TickData } from "./types";

export interface SubscriptionResult extends Instrument {
  ok: boolean;
  /** Null where the server did not say. */
  mode: Mode | null;
  depth: number | null;
  error: MarketError | null;
}

export type Incoming =
  | { kind: "tick"; symbol: string; exchange: string; mode: Mode; data: TickData; snapshot: boolean }
  | { kind: "auth"; error: MarketError | null; broker: string }
  | { kind: "subscribed"; results: SubscriptionResult[]; requestId: string | null; error: MarketError | null }
  | { kind: "unsubscribed" }
  | { kind: "feed"; status: FeedStatus }
  | { kind: "pong"; pingId: string | null }
  | { kind: "error"; error: MarketError; requestId: string | null }
  | { kind: "other"; type: string }
  | { kind: "malformed" };

const MODES: readonly Mode[] = ["LTP", "QUOTE", "DEPTH"];
const FEED_STATES: ReadonlySet<string> = new Set<FeedState>([
  "connecting",
  "live",
  "stalled",
  "reconnecting",
  "auth_expired",
  "market_closed",
  "stopped",
]);
const NUMBERS = [
  "ltp",
  "ltt",
  "timestamp",
  "open",
  "high",
  "low",
  "close",
  "volume",
  "change",
  "change_percent",
  "last_trade_quantity",
  "last_quantity",
  "avg_trade_price",
  "average_price",
  "total_buy_quantity",
  "total_sell_quantity",
  "oi",
  "upper_circuit",
  "lower_circuit",
] as const satisfies readonly (keyof TickData)[];
const MALFORMED: Incoming = { kind: "malformed" };

type Fields = Record<string, unknown>;

/** What one text frame says. Anything that is not text is malformed. */
export function readFrame(frame: unknown): Incoming {
  if (typeof frame !== "string") return MALFORMED;
  let message: unknown;
  try {
    message = JSON.parse(frame);
  } catch {
    return frame === "pong" ? { kind: "pong", pingId: null } : MALFORMED;
  }
  if (!isObject(message)) return MALFORMED;
  const type = message.type;
  if (type === "market_data") return readTick(message);
  switch (type) {
    case "auth":
      return {
        kind: "auth",
        error: message.status === "success" ? null : readError(message),
        broker: text(message.broker),
      };
    case "subscribe":
      return readSubscribed(message);
    case "unsubscribe":
      return { kind: "unsubscribed" };
    case "feed_status":
      return readFeed(message);
    case "pong":
      return { kind: "pong", pingId: id(message._pingId) };
  }
  if (message.status === "error")
    return { kind: "error", error: readError(message), requestId: id(message.request_id) };
  return typeof type === "string" ? { kind: "other", type } : MALFORMED;
}

export function readMode(mode: unknown): Mode | null {
  if (typeof mode === "number") return MODES[mode - 1] ?? null;
  if (typeof mode !== "string") return null;
  const upper = mode.toUpperCase() as Mode;
  return MODES.includes(upper) ? upper : null;
}

function readTick(message: Fields): Incoming {
  const { symbol, exchange, data } = message;
  const mode = readMode(message.mode);
  if (typeof symbol !== "string" || typeof exchange !== "string" || mode === null || !isObject(data))
    return MALFORMED;
  for (const name of NUMBERS) {
    const value = data[name];
    if (value !== undefined && typeof value !== "number") return MALFORMED;
  }
  const depth = data.depth;
  if (depth !== undefined && !(isObject(depth) && isSide(depth.buy) && isSide(depth.sell))) return MALFORMED;
  return {
    kind: "tick",
    symbol,
    exchange,
    mode,
    data: data as unknown as TickData,
    snapshot: message.snapshot === true,
  };
}

function isSide(side: unknown): side is DepthLevel[] {
  if (!Array.isArray(side)) return false;
  for (const level of side) {
    if (!isObject(level) || typeof level.price !== "number" || typeof level.quantity !== "number") return false;
    if (level.orders !== undefined && typeof level.orders !== "number") return false;
  }
  return true;
}

function readSubscribed(message: Fields): Incoming {
  const items = Array.isArray(message.subscriptions) ? message.subscriptions.filter(isObject) : [];
  const results = items.map(
    (item): SubscriptionResult => ({
      symbol: text(item.symbol),
      exchange: text(item.exchange),
      ok: item.status !== "error",
      mode: readMode(item.mode),
      depth: typeof item.depth === "number" ? item.depth : null,
      error: item.status === "error" ? readError(item) : null,
    }),
  );
  const error = results.length === 0 && message.status === "error" ? readError(message) : null;
  return { kind: "subscribed", results, requestId: id(message.request_id), error };
}

function readFeed(message: Fields): Incoming {
  const { state, since, symbols } = message;
  if (typeof state !== "string" || !FEED_STATES.has(state)) return MALFORMED;
  return {
    kind: "feed",
    status: {
      broker: text(message.broker),
      state: state as FeedState,
      since: typeof since === "number" ? since : 0,
      message: text(message.message),
      symbols: typeof symbols === "number" ? symbols : null,
    },
  };
}

function readError(message: Fields): MarketError {
  return { code: text(message.code) || "UNKNOWN", message: text(message.message) || "the server gave no reason" };
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function id(value: unknown): string | null {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : null;
}

export interface AuthOptions {
  feedStatus: boolean;
  throttleMs: number | undefined;
}

export function authFrame(apiKey: string, { feedStatus, throttleMs }: AuthOptions): string {
  const options = {
    ...(feedStatus && { feed_status: true }),
    ...(throttleMs !== undefined && { throttle_ms: throttleMs }),
  };
  return JSON.stringify({
    action: "authenticate",
    api_key: apiKey,
    ...(Object.keys(options).length > 0 && { options }),
  });
}

export function subscribeFrame(
  instruments: readonly Instrument[],
  mode: Mode,
  depth: number,
  requestId: string,
): string {
  return JSON.stringify({
    action: "subscribe",
    symbols: instruments.map(({ symbol, exchange }) => ({ symbol, exchange })),
    mode,
    ...(mode === "DEPTH" && { depth }),
    request_id: requestId,
  });
}

export function unsubscribeFrame(instruments: readonly Instrument[], mode: Mode, requestId: string): string {
  return JSON.stringify({
    action: "unsubscribe",
    symbols: instruments.map(({ symbol, exchange }) => ({ symbol, exchange })),
    mode,
    request_id: requestId,
  });
}

export function pingFrame(pingId: string, now: number): string {
  return JSON.stringify({ action: "ping", timestamp: now, _pingId: pingId });
}
