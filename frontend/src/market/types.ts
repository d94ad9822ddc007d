/** The words of the client protocol, as this side uses them. Prices are rupees, times epoch milliseconds. */

export type Mode = "LTP" | "QUOTE" | "DEPTH";

export interface Instrument {
  symbol: string;
  exchange: string;
}

export interface DepthLevel {
  price: number;
  quantity: number;
  /** Absent where the broker does not count orders. */
  orders?: number;
}

export interface Depth {
  buy: DepthLevel[];
  sell: DepthLevel[];
}

/** What a message says. A field that the broker's feed does not carry is absent, never 0. */
export interface TickData {
  symbol: string;
  exchange: string;
  mode?: string;
  ltp?: number;
  ltt?: number;
  timestamp?: number;
  open?: number;
  high?: number;
  low?: number;
  close?: number;
  volume?: number;
  change?: number;
  change_percent?: number;
  last_trade_quantity?: number;
  last_quantity?: number;
  avg_trade_price?: number;
  average_price?: number;
  total_buy_quantity?: number;
  total_sell_quantity?: number;
  oi?: number;
  upper_circuit?: number;
  lower_circuit?: number;
  depth?: Depth;
}

/** The newest message of one instrument in one mode. A new object for every change, so it can be compared by identity. */
export interface MarketData extends Instrument {
  data: TickData;
  /** When it arrived here, epoch milliseconds. */
  lastUpdate: number;
  /** It may no longer be true: the connection or the broker's feed was lost after it, and nothing newer has come. */
  stale: boolean;
}

export type FeedState =
  | "connecting"
  | "live"
  | "stalled"
  | "reconnecting"
  | "auth_expired"
  | "market_closed"
  | "stopped";

export interface FeedStatus {
  broker: string;
  state: FeedState;
  since: number;
  message: string;
  symbols: number | null;
}

/** An error of the protocol, or one of ours (`CONNECTION_LOST`, `TIMEOUT`, `SOURCE_FAILED`). */
export interface MarketError {
  code: string;
  message: string;
}

/** `EXCHANGE:SYMBOL`, the key of every map here. */
export function instrumentKey({ exchange, symbol }: Instrument): string {
  return `${exchange}:${symbol}`;
}

export function parseKey(key: string): Instrument {
  const colon = key.indexOf(":");
  return { exchange: key.slice(0, colon), symbol: key.slice(colon + 1) };
}
