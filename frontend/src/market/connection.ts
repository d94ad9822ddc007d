/**
 * One socket's whole life: endpoint and key, connect, authenticate, keep alive, reconnect. It knows no subscriptions and no React.
 *
 * It owns at most one socket and one timer of each kind at a time; a new attempt makes everything of the old one void (`#attempt`).
 * A key that was refused is never tried twice: the source is asked for another one, once, and then the connection rests in
 * `rejected` until `connect()`.
 */

import { Backoff, type BackoffOptions } from "./backoff";
import { authFrame, type Incoming, pingFrame, readFrame } from "./protocol";
import { AccessRefused, type EndpointSource } from "./source";
import type { MarketError } from "./types";

/**
 * idle:      nobody wants data.
 * waiting:   an attempt failed; the next one is at `retryAt`.
 * paused:    the page is hidden.
 * rejected:  the key was refused, or a reconnect would fail the same way; `connect()` tries again.
 * stopped:   `disconnect()` was called, or the connection was lost and reconnecting is off.
 */
export type Phase =
  | "idle"
  | "connecting"
  | "authenticating"
  | "ready"
  | "waiting"
  | "paused"
  | "rejected"
  | "stopped";

export interface ConnectionState {
  phase: Phase;
  error: MarketError | null;
  /** Failed attempts since the last healthy connection. */
  attempt: number;
  retryAt: number | null;
  /** The broker behind the proxy, once authenticated. */
  broker: string;
  /** Connections that became ready so far. */
  sessions: number;
}

/** The part of WebSocket that is used; the browser's, and that of the npm package `ws`. */
export interface Socket {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

export type SocketConstructor = new (url: string) => Socket;

/** All durations in milliseconds. */
export interface ConnectionOptions {
  source: EndpointSource;
  WebSocket?: SocketConstructor | undefined;
  backoff?: BackoffOptions | undefined;
  /** Least delay after the server said that it is full. */
  busyDelay?: number | undefined;
  connectTimeout?: number | undefined;
  pingInterval?: number | undefined;
  /** Silence after a ping that means a dead connection. */
  pongTimeout?: number | undefined;
  /** A connection that lived this long starts its backoff afresh. */
  healthyAfter?: number | undefined;
  /** Ask for feed status messages. */
  feedStatus?: boolean | undefined;
  /** Default throttle of this client's subscriptions; the server's own where undefined. */
  throttleMs?: number | undefined;
  random?: (() => number) | undefined;
}

export interface ConnectionEvents {
  frame(message: Incoming): void;
  /** Authenticated: subscriptions of this session are to be sent now. */
  ready(): void;
  /** A ready session ended, for whatever reason. */
  lost(): void;
  state(state: ConnectionState): void;
}

const OPEN = 1;
const REJECTED_CODES: ReadonlySet<string> = new Set(["AUTHENTICATION_ERROR", "NOT_AUTHENTICATED"]);
const CLOSE_MESSAGES: Readonly<Record<number, string>> = {
  1001: "the server is restarting",
  1009: "the server refused a message as too large",
  1013: "the server is full",
  4401: "the server ended the session: the key is no longer valid",
  4408: "this page did not read fast enough",
};

export class MarketConnection {
  #state: ConnectionState = { phase: "idle", error: null, attempt: 0, retryAt: null, broker: "", sessions: 0 };
  #wanted = false;
  #hidden = false;
  #reconnects = true;
  #attempt = 0;
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pinger: ReturnType<typeof setTimeout> | undefined;
  #healthy: ReturnType<typeof setTimeout> | undefined;
  #heard = false;
  #pingId = 0;
  #pingSent = 0;
  #roundTrip: number | null = null;
  #key = "";
  #refusedKey: string | null = null;
  readonly #backoff: Backoff;

  constructor(
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    this.#backoff = new Backoff(options.backoff ?? { first: 500, longest: 30_000 }, options.random ?? Math.random);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The last ping's time there and back in milliseconds, null before the first answer. */
  get roundTrip(): number | null {
    return this.#roundTrip;
  }

  /** Whether anybody needs data, and whether a lost connection is to be replaced. */
  want(wanted: boolean, reconnects: boolean): void {
    this.#wanted = wanted;
    this.#reconnects = reconnects;
    const { phase } = this.#state;
    if (phase === "rejected" || phase === "stopped") return;
    this.#follow();
  }

  /** Hidden: the socket is closed until the page is shown again. */
  hide(hidden: boolean): void {
    this.#hidden = hidden;
    const { phase } = this.#state;
    if (phase === "rejected" || phase === "stopped") return;
    this.#follow();
  }

  /** Connects now: after `disconnect()`, a refusal, or instead of waiting. */
  connect(): void {
    const { phase } = this.#state;
    if (phase === "connecting" || phase === "authenticating" || phase === "ready") return;
    this.#refusedKey = null;
    this.#backoff.reset();
    this.#drop();
    this.#set({ phase: "idle", error: null, retryAt: null, attempt: 0 });
    this.#follow();
  }

  /** Closes and stays closed until `connect()`. */
  disconnect(): void {
    this.#drop();
    this.#set({ phase: "stopped", error: null, retryAt: null });
  }

  /** The network is back: no reason to wait any longer. */
  hurry(): void {
    if (this.#state.phase === "waiting") void this.#open();
  }

  send(frame: string): boolean {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(frame);
    return true;
  }

  /** Makes the connection what is wanted of it. */
  #follow(): void {
    const { phase } = this.#state;
    const running = phase === "connecting" || phase === "authenticating" || phase === "ready" || phase === "waiting";
    if (this.#wanted && !this.#hidden) {
      if (!running) void this.#open();
      return;
    }
    if (running) this.#drop();
    this.#set({ phase: this.#wanted ? "paused" : "idle", error: null, retryAt: null });
  }

  async #open(): Promise<void> {
    const attempt = this.#begin();
    this.#set({ phase: "connecting", retryAt: null });
    this.#timer = setTimeout(
      () => this.#fail({ code: "TIMEOUT", message: "the server did not answer in time" }),
      this.options.connectTimeout ?? 10_000,
    );
    try {
      const { url, apiKey } = await this.options.source();
      if (attempt !== this.#attempt) return;
      if (apiKey === this.#refusedKey) {
        this.#reject(this.#state.error ?? { code: "AUTHENTICATION_ERROR", message: "the key was refused" });
        return;
      }
      this.#key = apiKey;
      this.#attach(new (this.options.WebSocket ?? (WebSocket as unknown as SocketConstructor))(url), attempt);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof AccessRefused) this.#reject({ code: "ACCESS_REFUSED", message });
      else this.#fail({ code: "SOURCE_FAILED", message });
    }
  }

  #attach(socket: Socket, attempt: number): void {
    const current = (): boolean => attempt === this.#attempt;
    this.#socket = socket;
    socket.onopen = () => {
      if (!current()) return;
      this.#set({ phase: "authenticating" });
      const { feedStatus = true, throttleMs } = this.options;
      socket.send(authFrame(this.#key, { feedStatus, throttleMs }));
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (current()) this.#receive(readFrame(event.data));
    };
    socket.onclose = (event: { code: number }) => {
      if (current()) this.#closed(event.code);
    };
    // The close event that follows says all that there is to say.
    socket.onerror = () => {};
  }

  #receive(message: Incoming): void {
    this.#heard = true;
    if (message.kind === "auth" && this.#state.phase === "authenticating") {
      if (message.error) this.#refused(message.error);
      else this.#ready(message.broker);
      return;
    }
    if (
      message.kind === "error" &&
      this.#state.phase === "authenticating" &&
      REJECTED_CODES.has(message.error.code)
    ) {
      this.#refused(message.error);
      return;
    }
    if (message.kind === "pong" && message.pingId === String(this.#pingId)) {
      this.#roundTrip = performance.now() - this.#pingSent;
    }
    this.events.frame(message);
  }

  #ready(broker: string): void {
    clearTimeout(this.#timer);
    this.#refusedKey = null;
    this.#healthy = setTimeout(() => {
      this.#backoff.reset();
      this.#set({ attempt: 0 });
    }, this.options.healthyAfter ?? 10_000);
    this.#set({ phase: "ready", error: null, retryAt: null, broker, sessions: this.#state.sessions + 1 });
    this.events.ready();
    this.#keepAlive();
  }

  #keepAlive(): void {
    this.#pinger = setTimeout(() => {
      this.#heard = false;
      this.#pingId += 1;
      this.#pingSent = performance.now();
      this.send(pingFrame(String(this.#pingId), Date.now()));
      this.#pinger = setTimeout(() => {
        if (this.#heard) this.#keepAlive();
        else this.#fail({ code: "CONNECTION_LOST", message: "the server has gone silent" });
      }, this.options.pongTimeout ?? 10_000);
    }, this.options.pingInterval ?? 20_000);
  }

  #closed(code: number): void {
    const error = { code: "CONNECTION_LOST", message: CLOSE_MESSAGES[code] ?? `the connection was lost (${code})` };
    if (code === 4401) this.#refused({ code: "AUTHENTICATION_ERROR", message: error.message });
    else if (code === 1009) this.#reject(error);
    else this.#fail(error, code === 1013 ? (this.options.busyDelay ?? 5_000) : 0);
  }

  /** The key was refused: one more attempt if the source knows another key. */
  #refused(error: MarketError): void {
    if (this.#refusedKey !== null) {
      this.#reject(error);
      return;
    }
    this.#refusedKey = this.#key;
    this.#fail(error);
  }

  #reject(error: MarketError): void {
    this.#drop();
    this.#set({ phase: "rejected", error, retryAt: null });
  }

  #fail(error: MarketError, leastDelay = 0): void {
    this.#drop();
    if (!this.#reconnects) {
      this.#set({ phase: "stopped", error, retryAt: null });
      return;
    }
    const delay = Math.max(leastDelay, this.#backoff.next());
    this.#timer = setTimeout(() => void this.#open(), delay);
    this.#set({ phase: "waiting", error, attempt: this.#backoff.attempt, retryAt: Date.now() + delay });
  }

  #begin(): number {
    this.#drop();
    return this.#attempt;
  }

  /** Forgets socket and timers; what they still bring belongs to an attempt that is over. */
  #drop(): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#pinger);
    clearTimeout(this.#healthy);
    const socket = this.#socket;
    this.#socket = null;
    this.#roundTrip = null;
    socket?.close(1000);
    if (this.#state.phase === "ready") this.events.lost();
  }

  #set(change: Partial<ConnectionState>): void {
    const next = { ...this.#state, ...change };
    const keys = Object.keys(next) as (keyof ConnectionState)[];
    if (keys.every((key) => next[key] === this.#state[key])) return;
    this.#state = next;
    this.events.state(next);
  }
}
