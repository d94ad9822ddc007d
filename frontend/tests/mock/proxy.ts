/** A WebSocket server on loopback that speaks the client protocol, for tests: every reaction can be set from outside. */

import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface Request {
  action?: string;
  api_key?: string;
  options?: Record<string, unknown>;
  symbols?: { symbol: string; exchange: string }[];
  mode?: string;
  depth?: number;
  request_id?: string;
  _pingId?: string;
  timestamp?: number;
}

export class MockProxy {
  readonly requests: Request[] = [];
  readonly sockets = new Set<WebSocket>();
  connections = 0;
  keys = new Set(["good-key"]);
  answersAuth = true;
  answersPing = true;
  feed: { state: string; message: string; broker: string } | null = null;
  /** The levels that DEPTH really gets. */
  levels = 5;
  refuse: (symbol: string, mode: string) => { code: string; message: string } | null = () => null;
  onSubscribed: (socket: WebSocket, request: Request) => void = () => {};
  onUnsubscribed: (socket: WebSocket, request: Request) => void = () => {};
  #waiters: { test: () => boolean; resolve: () => void }[] = [];

  private constructor(private readonly server: WebSocketServer) {
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async start(port = 0): Promise<MockProxy> {
    const server = new WebSocketServer({ port, host: "127.0.0.1" });
    await new Promise((resolve) => server.once("listening", resolve));
    return new MockProxy(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Requests of one action, over all connections. */
  asked(action: string): Request[] {
    return this.requests.filter((request) => request.action === action);
  }

  /** Resolves as soon as `test` holds, checked after every event here. */
  until(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ test, resolve }));
  }

  send(message: unknown): void {
    const frame = typeof message === "string" ? message : JSON.stringify(message);
    for (const socket of this.sockets) socket.send(frame);
  }

  tick(
    symbol: string,
    ltp: number,
    { exchange = "NSE", mode = 1, ...more }: Record<string, unknown> & { exchange?: string; mode?: number } = {},
  ): void {
    const { snapshot, ...data } = more;
    this.send({
      type: "market_data",
      symbol,
      exchange,
      mode,
      broker: "mock",
      data: { symbol, exchange, mode: ["ltp", "quote", "depth"][mode - 1], ltp, timestamp: Date.now(), ...data },
      ...(snapshot === true && { snapshot }),
    });
  }

  status(state: string, message = ""): void {
    this.feed = { state, message, broker: "mock" };
    this.send({ type: "feed_status", broker: "mock", state, since: Date.now(), message, symbols: 1 });
  }

  /** Cuts every connection: with a close code, or without a word. */
  cut(code?: number): void {
    for (const socket of this.sockets) code === undefined ? socket.terminate() : socket.close(code);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #serve(socket: WebSocket): void {
    this.connections += 1;
    this.sockets.add(socket);
    socket.on("close", () => {
      this.sockets.delete(socket);
      this.#progress();
    });
    socket.on("message", (raw) => {
      const request = JSON.parse(String(raw)) as Request;
      this.requests.push(request);
      this.#answer(socket, request);
      this.#progress();
    });
    this.#progress();
  }

  #answer(socket: WebSocket, request: Request): void {
    const reply = (message: unknown): void => socket.send(JSON.stringify(message));
    if (request.action === "authenticate" && this.answersAuth) {
      if (!this.keys.has(request.api_key ?? "")) {
        reply({ type: "auth", status: "error", code: "AUTHENTICATION_ERROR", message: "unknown key" });
        return;
      }
      reply({ type: "auth", status: "success", message: "success", broker: "mock", user_id: "test" });
      if (request.options?.feed_status && this.feed)
        reply({ type: "feed_status", since: 0, symbols: 0, ...this.feed });
    } else if (request.action === "subscribe") {
      const mode = request.mode ?? "QUOTE";
      const subscriptions = (request.symbols ?? []).map(({ symbol, exchange }) => {
        const error = this.refuse(symbol, mode);
        if (error) return { symbol, exchange, status: "error", ...error };
        const depth = mode === "DEPTH" ? Math.min(request.depth ?? 5, this.levels) : undefined;
        return {
          symbol,
          exchange,
          status: "success",
          mode: { LTP: "LTP", QUOTE: "Quote", DEPTH: "Depth" }[mode],
          depth,
          broker: "mock",
        };
      });
      const failed = subscriptions.filter(({ status }) => status === "error").length;
      const status = failed === 0 ? "success" : failed === subscriptions.length ? "error" : "partial";
      reply({
        type: "subscribe",
        status,
        subscriptions,
        message: status,
        broker: "mock",
        request_id: request.request_id,
      });
      this.onSubscribed(socket, request);
    } else if (request.action === "unsubscribe") {
      reply({
        type: "unsubscribe",
        status: "success",
        successful: request.symbols,
        failed: [],
        request_id: request.request_id,
      });
      this.onUnsubscribed(socket, request);
    } else if (request.action === "ping" && this.answersPing) {
      reply({
        type: "pong",
        status: "success",
        server_timestamp: Date.now(),
        client_timestamp: request.timestamp,
        _pingId: request._pingId,
      });
    }
  }

  #progress(): void {
    this.#waiters = this.#waiters.filter(({ test, resolve }) => {
      if (!test()) return true;
      resolve();
      return false;
    });
  }
}
