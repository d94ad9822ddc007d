/**
 * Live market data in a component.
 *
 *     const { data, isConnected } = useMarketData([{ symbol: "SBIN", exchange: "NSE" }], "LTP");
 *     data.get("NSE:SBIN")?.data.ltp
 *
 * All components share one socket. However many ticks come, a component renders at most once per frame of the screen. For long lists let each
 * row use `useTick` for its own instrument instead, so that only rows that changed render.
 */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { ClientState, MarketClient } from "../market/client";
import type { Phase } from "../market/connection";
import { sharedClient } from "../market/shared";
import {
  type FeedStatus,
  type Instrument,
  instrumentKey,
  type MarketData,
  type MarketError,
  type Mode,
  parseKey,
} from "../market/types";

export type ModeName = Mode | "Ltp" | "Quote" | "Depth";

export interface UseMarketDataOptions {
  symbols: readonly Instrument[];
  /** Default LTP. */
  mode?: ModeName | undefined;
  /** Levels wanted in mode DEPTH; default 5. */
  depth?: number | undefined;
  /** False: nothing is subscribed, and no connection is held. */
  enabled?: boolean | undefined;
  /** False: a lost connection is replaced only if another component wants it so. */
  autoReconnect?: boolean | undefined;
  /** A client of your own instead of the shared one. */
  client?: MarketClient | undefined;
}

export interface UseMarketDataResult {
  /** Keyed `EXCHANGE:SYMBOL`; holds what has come so far. A new Map whenever something in it changed. */
  data: ReadonlyMap<string, MarketData>;
  /** Why an instrument was refused, keyed like `data`. */
  errors: ReadonlyMap<string, MarketError>;
  /** The socket is open. */
  isConnected: boolean;
  isAuthenticated: boolean;
  isConnecting: boolean;
  /** The page is hidden, and the socket closed until it is shown again. */
  isPaused: boolean;
  /** Prices on display may be out of date: no connection, or the broker's feed is lost. */
  isStale: boolean;
  /** What the broker's feed is doing; null while unknown. */
  feedStatus: FeedStatus | null;
  phase: Phase;
  error: string | null;
  /** Connects after `disconnect()` or a refused key, or now instead of after the back-off. */
  connect: () => void;
  /** Closes the shared socket, for all components, until `connect()`. */
  disconnect: () => void;
}

const NO_ERRORS: ReadonlyMap<string, MarketError> = new Map();
const STALE_FEEDS: ReadonlySet<string> = new Set([
  "connecting",
  "stalled",
  "reconnecting",
  "auth_expired",
  "stopped",
]);

export function useMarketData(symbols: readonly Instrument[], mode?: ModeName): UseMarketDataResult;
export function useMarketData(options: UseMarketDataOptions): UseMarketDataResult;
export function useMarketData(
  first: readonly Instrument[] | UseMarketDataOptions,
  plainMode?: ModeName,
): UseMarketDataResult {
  const options = isOptions(first) ? first : { symbols: first, mode: plainMode };
  const { symbols, depth, enabled = true, autoReconnect, client = sharedClient() } = options;
  const mode = (options.mode ?? "LTP").toUpperCase() as Mode;

  useSubscription(symbols, mode, { depth, enabled, autoReconnect, client });
  const keys = useKeys(symbols);
  const state = useClientState(client);
  const data = useData(client, keys, mode, enabled);
  const connect = useCallback(() => client.connect(), [client]);
  const disconnect = useCallback(() => client.disconnect(), [client]);

  return {
    data,
    errors: readErrors(client, keys, mode),
    isConnected: state.phase === "ready" || state.phase === "authenticating",
    isAuthenticated: state.phase === "ready",
    isConnecting: state.phase === "connecting" || state.phase === "authenticating",
    isPaused: state.phase === "paused",
    isStale: isLost(state),
    feedStatus: state.feed,
    phase: state.phase,
    error: state.error?.message ?? null,
    connect,
    disconnect,
  };
}

/** Holds subscriptions while the component is mounted, and renders nothing. */
export function useSubscription(
  symbols: readonly Instrument[],
  mode: Mode,
  options: Omit<UseMarketDataOptions, "symbols" | "mode"> = {},
): void {
  const { depth, enabled = true, autoReconnect, client = sharedClient() } = options;
  const keys = useKeys(symbols);
  useEffect(() => {
    if (!enabled || keys.length === 0) return;
    return client.hold(keys.map(parseKey), mode, { depth, autoReconnect });
  }, [client, keys, mode, depth, enabled, autoReconnect]);
}

export interface UseTickOptions {
  client?: MarketClient | undefined;
  /** Renders at most once in so many milliseconds; 0: once a frame. */
  every?: number | undefined;
  /** Renders nothing new, as for a row that is scrolled out of sight. */
  paused?: boolean | undefined;
}

/** The newest message of one instrument; renders only when it changed. Subscribes to nothing: see `useSubscription`. */
export function useTick(
  instrument: Instrument,
  mode: Mode,
  { client = sharedClient(), every = 0, paused = false }: UseTickOptions = {},
): MarketData | undefined {
  const key = instrumentKey(instrument);
  const subscribe = useCallback(
    (listener: () => void) => {
      if (paused) return () => {};
      const paced = pace(listener, every);
      const end = client.store.listen([key], mode, paced.call);
      return () => {
        end();
        paced.end();
      };
    },
    [client, key, mode, every, paused],
  );
  return useSyncExternalStore(subscribe, () => client.store.get(key, mode));
}

/**
 * Calls `listener` at once, and what comes afterwards once at the next multiple of `every` milliseconds: all components of one pace then render in
 * one frame of the screen.
 */
function pace(listener: () => void, every: number): { call: () => void; end: () => void } {
  if (every === 0) return { call: listener, end: () => {} };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due = false;
  const run = (): void => {
    due = false;
    listener();
    timer = setTimeout(
      () => {
        timer = undefined;
        if (due) run();
      },
      every - (performance.now() % every),
    );
  };
  return {
    call: () => {
      if (timer === undefined) run();
      else due = true;
    },
    end: () => clearTimeout(timer),
  };
}

/** The state of connection and feed. */
export function useClientState(client = sharedClient()): ClientState {
  const subscribe = useCallback((listener: () => void) => client.listen(listener), [client]);
  return useSyncExternalStore(subscribe, () => client.state);
}

/** Whether prices on display may be out of date. A page that is hidden on purpose counts, since nothing comes in. */
export function isLost(state: ClientState): boolean {
  return state.phase !== "ready" || STALE_FEEDS.has(state.feed?.state ?? "live");
}

function isOptions(value: readonly Instrument[] | UseMarketDataOptions): value is UseMarketDataOptions {
  return !Array.isArray(value);
}

/** The keys of `symbols`, without repetitions; the same array for as long as it says the same, so that inline lists cause no new subscriptions. */
function useKeys(symbols: readonly Instrument[]): readonly string[] {
  const joined = [...new Set(symbols.map(instrumentKey))].join("\n");
  const last = useRef<{ joined: string; keys: readonly string[] }>({ joined: "", keys: [] });
  if (last.current.joined !== joined) last.current = { joined, keys: joined.split("\n") };
  return last.current.keys;
}

function useData(
  client: MarketClient,
  keys: readonly string[],
  mode: Mode,
  enabled: boolean,
): ReadonlyMap<string, MarketData> {
  const [data, setData] = useState<ReadonlyMap<string, MarketData>>(() => new Map());
  useEffect(() => {
    const read = (): void => {
      const next = new Map<string, MarketData>();
      for (const key of keys) {
        const entry = client.store.get(key, mode);
        if (entry) next.set(key, entry);
      }
      setData(next);
    };
    if (!enabled) {
      setData(new Map());
      return;
    }
    read();
    return client.store.listen(keys, mode, read);
  }, [client, keys, mode, enabled]);
  return data;
}

function readErrors(client: MarketClient, keys: readonly string[], mode: Mode): ReadonlyMap<string, MarketError> {
  const errors = new Map<string, MarketError>();
  for (const key of keys) {
    const error = client.error(key, mode);
    if (error) errors.set(key, error);
  }
  return errors.size > 0 ? errors : NO_ERRORS;
}
