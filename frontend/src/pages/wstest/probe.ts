/**
 * A client of the proxy that does nothing by itself: it connects, authenticates and subscribes when told to, and shows every frame.
 *
 * Bounded: the newest `MOST_FRAMES` frames, and one book and price for each instrument and mode that was subscribed.
 */

import { authFrame, pingFrame, readFrame, subscribeFrame, unsubscribeFrame } from "../../market/protocol";
import { nextFrame } from "../../market/store";
import { type Instrument, instrumentKey, type MarketData, type Mode } from "../../market/types";

export interface Frame {
  id: number;
  at: number;
  direction: "in" | "out" | "note";
  text: string;
  /** What kind of message, for the eye. */
  kind: string;
}

export interface Subscription extends Instrument {
  mode: Mode;
  requested: number;
  granted: number | null;
  /** Null while the server has not answered. */
  error: string | null;
}

export type ProbeStatus = "closed" | "connecting" | "open" | "authenticated";

export interface ProbeState {
  status: ProbeStatus;
  broker: string;
  frames: readonly Frame[];
  subscriptions: readonly Subscription[];
  ticks: ReadonlyMap<string, MarketData>;
  received: number;
  bytes: number;
  malformed: number;
  /** Of the last whole second. */
  messageRate: number;
  byteRate: number;
  /** The last ping's time there and back. */
  roundTrip: number | null;
  /** From the exchange's time in a message to its arrival here: median and worst of the newest messages.
   * `coarse`: those times have all been whole seconds. */
  age: { median: number; worst: number; coarse: boolean } | null;
}

const MOST_FRAMES = 500;
const MOST_AGES = 200;

export class Probe {
  #state: ProbeState = {
    status: "closed",
    broker: "",
    frames: [],
    subscriptions: [],
    ticks: new Map(),
    received: 0,
    bytes: 0,
    malformed: 0,
    messageRate: 0,
    byteRate: 0,
    roundTrip: null,
    age: null,
  };
  readonly #listeners = new Set<() => void>();
  readonly #frames: Frame[] = [];
  readonly #ticks = new Map<string, MarketData>();
  readonly #ages: number[] = [];
  #coarse = true;
  #subscriptions: Subscription[] = [];
  #socket: WebSocket | null = null;
  #frameId = 0;
  #requestId = 0;
  #received = 0;
  #bytes = 0;
  #malformed = 0;
  #pingSent = 0;
  #scheduled = false;
  #meter: ReturnType<typeof setInterval> | undefined;
  #before = { received: 0, bytes: 0 };

  get state(): ProbeState {
    return this.#state;
  }

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  connect(url: string): void {
    this.close();
    this.#note(`connecting to ${url}`);
    this.#change({ status: "connecting", broker: "", roundTrip: null });
    let socket: WebSocket;
    try {
      socket = new WebSocket(url);
    } catch {
      this.#note("this is not a WebSocket address: it has to begin with ws:// or wss://");
      this.#change({ status: "closed" });
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      this.#note("connected");
      this.#change({ status: "open" });
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#note(`closed: ${code}${reason ? ` ${reason}` : ""}`);
      this.#ended();
    };
    this.#meter = setInterval(() => this.#measure(), 1000);
  }

  close(): void {
    if (!this.#socket) return;
    const socket = this.#socket;
    this.#ended();
    socket.close(1000);
    this.#note("disconnected");
  }

  authenticate(apiKey: string): void {
    const frame = authFrame(apiKey, { feedStatus: true, throttleMs: undefined });
    this.#send(frame, frame.replace(JSON.stringify(apiKey), '"•••"'));
  }

  subscribe(instrument: Instrument, mode: Mode, depth: number): void {
    this.#subscriptions = [
      ...this.#subscriptions.filter((one) => !isFor(one, instrument, mode)),
      {
        symbol: instrument.symbol,
        exchange: instrument.exchange,
        mode,
        requested: depth,
        granted: null,
        error: null,
      },
    ];
    this.#send(subscribeFrame([instrument], mode, depth, this.#nextId()));
  }

  unsubscribe(instrument: Instrument, mode: Mode): void {
    this.#subscriptions = this.#subscriptions.filter((one) => !isFor(one, instrument, mode));
    this.#ticks.delete(`${instrumentKey(instrument)}|${mode}`);
    this.#send(unsubscribeFrame([instrument], mode, this.#nextId()));
  }

  ping(): void {
    this.#pingSent = performance.now();
    this.#send(pingFrame(this.#nextId(), Date.now()));
  }

  /** Sends whatever text it is given, as it is. */
  sendRaw(text: string): void {
    this.#send(text);
  }

  clear(): void {
    this.#frames.length = 0;
    this.#changed();
  }

  #send(frame: string, shown = frame): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      this.#note("not connected: nothing was sent");
      return;
    }
    this.#socket.send(frame);
    this.#add("out", shown, "request");
  }

  #receive(raw: unknown): void {
    const text = typeof raw === "string" ? raw : "(a binary frame)";
    const message = readFrame(raw);
    this.#received += 1;
    this.#bytes += text.length;
    this.#add("in", text, message.kind);
    switch (message.kind) {
      case "tick": {
        const { symbol, exchange, mode, data } = message;
        if (!this.#subscriptions.some((one) => isFor(one, message, mode))) return;
        const now = Date.now();
        this.#ticks.set(`${exchange}:${symbol}|${mode}`, { symbol, exchange, data, lastUpdate: now, stale: false });
        if (data.timestamp !== undefined && !message.snapshot) {
          this.#ages.push(now - data.timestamp);
          this.#coarse &&= data.timestamp % 1000 === 0;
        }
        if (this.#ages.length > MOST_AGES) this.#ages.shift();
        return;
      }
      case "auth":
        if (!message.error) this.#change({ status: "authenticated", broker: message.broker });
        return;
      case "subscribed":
        for (const { symbol, exchange, mode, depth, error } of message.results) {
          this.#subscriptions = this.#subscriptions.map((one) =>
            one.symbol === symbol && one.exchange === exchange && (mode === null || one.mode === mode)
              ? { ...one, granted: depth, error: error && `${error.code}: ${error.message}` }
              : one,
          );
        }
        return;
      case "pong":
        if (this.#pingSent > 0) this.#change({ roundTrip: performance.now() - this.#pingSent });
        this.#pingSent = 0;
        return;
      case "malformed":
        this.#malformed += 1;
    }
  }

  #ended(): void {
    clearInterval(this.#meter);
    this.#socket = null;
    this.#subscriptions = [];
    this.#ticks.clear();
    this.#ages.length = 0;
    this.#coarse = true;
    this.#change({ status: "closed", messageRate: 0, byteRate: 0 });
  }

  #measure(): void {
    this.#change({ messageRate: this.#received - this.#before.received, byteRate: this.#bytes - this.#before.bytes });
    this.#before = { received: this.#received, bytes: this.#bytes };
  }

  #note(text: string): void {
    this.#add("note", text, "");
  }

  #add(direction: Frame["direction"], text: string, kind: string): void {
    this.#frameId += 1;
    this.#frames.push({ id: this.#frameId, at: Date.now(), direction, text, kind });
    if (this.#frames.length > MOST_FRAMES) this.#frames.shift();
    this.#changed();
  }

  #change(change: Partial<ProbeState>): void {
    this.#state = { ...this.#state, ...change };
    this.#changed();
  }

  /** One new state for all that happened since the last frame of the screen. */
  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    nextFrame(() => {
      this.#scheduled = false;
      this.#state = {
        ...this.#state,
        frames: [...this.#frames],
        subscriptions: this.#subscriptions,
        ticks: new Map(this.#ticks),
        received: this.#received,
        bytes: this.#bytes,
        malformed: this.#malformed,
        age: this.#age(),
      };
      for (const listener of this.#listeners) listener();
    });
  }

  #age(): ProbeState["age"] {
    const ages = [...this.#ages].sort((a, b) => a - b);
    const worst = ages.at(-1);
    return worst === undefined ? null : { median: ages[ages.length >> 1] ?? 0, worst, coarse: this.#coarse };
  }

  #nextId(): string {
    this.#requestId += 1;
    return `t${this.#requestId}`;
  }
}

function isFor(one: Subscription, { symbol, exchange }: Instrument, mode: Mode): boolean {
  return one.symbol === symbol && one.exchange === exchange && one.mode === mode;
}
