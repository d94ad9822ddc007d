/**
 * The shared market data client: one connection, one store, and the subscriptions of everybody who uses it. Framework-free.
 *
 * Claims made in one turn of the event loop go out in one request. A claim that is given up is kept for `linger`, so that moving from page to
 * page neither unsubscribes and subscribes again nor closes the socket.
 */

import { type ConnectionOptions, type ConnectionState, MarketConnection } from "./connection";
import { Ledger } from "./ledger";
import { type Incoming, type SubscriptionResult, subscribeFrame, unsubscribeFrame } from "./protocol";
import { nextFrame, type Scheduler, TickStore } from "./store";
import { type FeedStatus, type Instrument, instrumentKey, type MarketError, type Mode } from "./types";

export interface ClientOptions extends ConnectionOptions {
  /** How long the page may be hidden before the socket is closed, in milliseconds; `Infinity`: never. Default 5,000. */
  pauseDelay?: number | undefined;
  /** How long what nobody wants any more is kept, in milliseconds. Default 1,000. */
  linger?: number | undefined;
  /** Instruments in one request. Default 200. */
  batch?: number | undefined;
  /** Delay before asking again for what was refused as RATE_LIMITED, in milliseconds. Default 1,000. */
  retryDelay?: number | undefined;
  schedule?: Scheduler | undefined;
}

export interface ClientState extends ConnectionState {
  /** Null until the server has said something, and while there is no connection. */
  feed: FeedStatus | null;
  /** Changes whenever a subscription is accepted or refused. */
  verdicts: number;
}

export interface ClientCounts {
  frames: number;
  ticks: number;
  malformed: number;
  /** Ticks that nobody asked for, as after an unsubscribe. */
  unwanted: number;
}

/** What a feed in these states delivered before may be out of date. */
const LOST_FEED: ReadonlySet<string> = new Set(["connecting", "stalled", "reconnecting", "auth_expired", "stopped"]);

interface Pending {
  instruments: Instrument[];
  mode: Mode;
}

export class MarketClient {
  readonly store: TickStore;
  readonly counts: ClientCounts = { frames: 0, ticks: 0, malformed: 0, unwanted: 0 };
  readonly #connection: MarketConnection;
  readonly #ledger = new Ledger();
  readonly #listeners = new Set<() => void>();
  readonly #pending = new Map<string, Pending>();
  #state: ClientState;
  #reconnecting = 0;
  #requests = 0;
  #sendScheduled = false;
  #lingering: ReturnType<typeof setTimeout> | undefined;
  #retrying: ReturnType<typeof setTimeout> | undefined;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | null = null;

  constructor(private readonly options: ClientOptions) {
    this.store = new TickStore(options.schedule ?? nextFrame);
    this.#connection = new MarketConnection(options, {
      frame: (message) => this.#receive(message),
      ready: () => this.#send(),
      lost: () => this.#lost(),
      state: (state) => this.#set(state),
    });
    this.#state = { ...this.#connection.state, feed: null, verdicts: 0 };
  }

  get state(): ClientState {
    return this.#state;
  }

  get roundTrip(): number | null {
    return this.#connection.roundTrip;
  }

  /** Calls `listener` at every change of `state`; returns how to end it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Holds subscriptions until the returned function is called; the first holder opens the connection. */
  hold(
    instruments: readonly Instrument[],
    mode: Mode,
    { depth = 5, autoReconnect = true }: { depth?: number | undefined; autoReconnect?: boolean | undefined } = {},
  ): () => void {
    const held = instruments.map(({ symbol, exchange }) => ({ symbol, exchange }));
    for (const instrument of held) this.#ledger.add(instrument, mode, depth);
    if (autoReconnect) this.#reconnecting += 1;
    this.#follow();
    this.#sendSoon();
    let released = false;
    return () => {
      if (released) return;
      released = true;
      for (const instrument of held) this.#ledger.remove(instrument, mode, depth);
      if (autoReconnect) this.#reconnecting -= 1;
      this.#lingering ??= setTimeout(() => this.#giveUp(), this.options.linger ?? 1_000);
    };
  }

  /** Why this subscription was refused, if it was. */
  error(key: string, mode: Mode): MarketError | null {
    return this.#ledger.error(key, mode);
  }

  /** The number of book levels that the server said it sends, null if it said none. */
  grantedDepth(key: string): number | null {
    return this.#ledger.granted(key, "DEPTH");
  }

  connect(): void {
    this.#connection.connect();
  }

  /** Closes the shared socket, for everybody, until `connect()`. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  /** Ends everything at once; for tests and for a client that is thrown away. */
  close(): void {
    for (const timer of [this.#lingering, this.#retrying, this.#hiding]) clearTimeout(timer);
    this.#unwatch?.();
    this.#unwatch = null;
    this.#connection.disconnect();
  }

  #follow(): void {
    const wanted = this.#ledger.size > 0;
    if (wanted) this.#watch();
    this.#connection.want(wanted, this.#reconnecting > 0);
  }

  /** Follows the page's visibility and the network, from the first use on. */
  #watch(): void {
    if (this.#unwatch || typeof document === "undefined") return;
    const shown = (): void => {
      clearTimeout(this.#hiding);
      if (!document.hidden) this.#connection.hide(false);
      else if (this.options.pauseDelay !== Number.POSITIVE_INFINITY) {
        this.#hiding = setTimeout(() => this.#connection.hide(true), this.options.pauseDelay ?? 5_000);
      }
    };
    const online = (): void => this.#connection.hurry();
    document.addEventListener("visibilitychange", shown);
    window.addEventListener("online", online);
    this.#unwatch = () => {
      document.removeEventListener("visibilitychange", shown);
      window.removeEventListener("online", online);
    };
    shown();
  }

  #sendSoon(): void {
    if (this.#sendScheduled) return;
    this.#sendScheduled = true;
    queueMicrotask(() => {
      this.#sendScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#connection.state.phase !== "ready") return;
    for (const { mode, depth, instruments } of this.#ledger.takeAdditions()) {
      for (const batch of this.#batches(instruments)) {
        const id = this.#nextId();
        this.#pending.set(id, { instruments: batch, mode });
        this.#connection.send(subscribeFrame(batch, mode, depth, id));
      }
    }
  }

  #giveUp(): void {
    this.#lingering = undefined;
    const { asked, gone } = this.#ledger.takeRemovals();
    for (const { key, mode } of gone) this.store.delete(key, mode);
    if (this.#connection.state.phase === "ready") {
      for (const { mode, instruments } of asked) {
        for (const batch of this.#batches(instruments)) {
          this.#connection.send(unsubscribeFrame(batch, mode, this.#nextId()));
        }
      }
    }
    this.#follow();
  }

  #receive(message: Incoming): void {
    this.counts.frames += 1;
    switch (message.kind) {
      case "tick": {
        const key = `${message.exchange}:${message.symbol}`;
        if (!this.#ledger.has(key, message.mode)) {
          this.counts.unwanted += 1;
          return;
        }
        this.counts.ticks += 1;
        // A snapshot repeats what was known before: while the feed is lost it confirms nothing.
        const stale = message.snapshot && LOST_FEED.has(this.#state.feed?.state ?? "live");
        this.store.set(key, message.mode, message.data, Date.now(), stale);
        return;
      }
      case "malformed":
        this.counts.malformed += 1;
        return;
      case "feed":
        this.#feedChanged(message.status);
        return;
      case "subscribed":
        this.#answered(message.results, message.requestId, message.error);
        return;
      case "error":
        if (message.requestId !== null) this.#answered([], message.requestId, message.error);
    }
  }

  /** The verdicts of one request. A request that failed as a whole failed for each of its instruments. */
  #answered(results: SubscriptionResult[], requestId: string | null, error: MarketError | null): void {
    const request = requestId === null ? undefined : this.#pending.get(requestId);
    if (requestId !== null) this.#pending.delete(requestId);
    if (error) {
      for (const instrument of request?.instruments ?? []) {
        if (request) this.#ledger.refuse(instrumentKey(instrument), request.mode, error);
      }
    }
    for (const result of results) {
      const mode = result.mode ?? request?.mode;
      if (!mode) continue;
      if (result.error) this.#ledger.refuse(instrumentKey(result), mode, result.error);
      else this.#ledger.accept(instrumentKey(result), mode, result.depth);
    }
    const limited = error?.code === "RATE_LIMITED" || results.some(({ error }) => error?.code === "RATE_LIMITED");
    if (limited) this.#retrying ??= setTimeout(() => this.#retryLimited(), this.options.retryDelay ?? 1_000);
    this.#set({ verdicts: this.#state.verdicts + 1 });
  }

  #retryLimited(): void {
    this.#retrying = undefined;
    if (this.#ledger.retry((code) => code === "RATE_LIMITED") > 0) this.#send();
  }

  #feedChanged(feed: FeedStatus): void {
    const before = this.#state.feed?.state;
    if (LOST_FEED.has(feed.state)) this.store.markStale();
    this.#set({ feed });
    // What the broker could not do without a session it can do now.
    if (feed.state === "live" && before !== "live" && this.#ledger.retry((code) => code.startsWith("BROKER_")) > 0) {
      this.#send();
    }
  }

  #lost(): void {
    this.#ledger.forgetSession();
    this.#pending.clear();
    this.store.markStale();
    this.#set({ feed: null });
  }

  #set(change: Partial<ClientState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }

  #batches(instruments: Instrument[]): Instrument[][] {
    const size = this.options.batch ?? 200;
    const batches: Instrument[][] = [];
    for (let at = 0; at < instruments.length; at += size) batches.push(instruments.slice(at, at + size));
    return batches;
  }

  #nextId(): string {
    this.#requests += 1;
    return `m${this.#requests}`;
  }
}
