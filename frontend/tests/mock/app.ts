/** The JSON API and the built pages, as `docs/openapi.json` describes them, with everything in memory; for the pages' tests alone. */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { ApiKey, Broker, Brokers, Feeds, LoginOutcome } from "../../src/api/types";
import { INSTRUMENTS, MockMarket } from "./market";
import { MockProxy } from "./proxy";

const STATIC = fileURLToPath(new URL("../../../src/tickmux/web/static/", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".json": "application/json",
};
const POLICY =
  "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields?: Record<string, string>,
  ) {
    super(message);
  }
}

type Body = Record<string, unknown>;
type Answer = [status: number, body: object];

export class MockApp {
  user: { username: string; password: string } | null = null;
  /** What the first user has to know, if anything. */
  setupCode: string | null = null;
  authenticated = false;
  csrf = "csrf-0";
  brokers: Brokers = { active: null, fixed: null, redirect_base: "", brokers: BROKERS() };
  keys: ApiKey[] = [];
  outcome: LoginOutcome = { state: "none", message: "" };
  feedState: Feeds["feeds"][number]["state"] = "live";
  #keys = 0;
  #started = Date.now() - 5_400_000;

  private constructor(
    private readonly server: Server,
    readonly proxy: MockProxy,
    readonly market: MockMarket,
  ) {
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async start({ port = 0, proxyPort = 0, rate = 100 } = {}): Promise<MockApp> {
    const proxy = await MockProxy.start(proxyPort);
    proxy.feed = { state: "live", message: "", broker: "zerodha" };
    proxy.levels = 50;
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new MockApp(server, proxy, new MockMarket(proxy, { rate }));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** A user who is logged in, and a source of data. */
  ready(): void {
    this.user = { username: "asha", password: "correct horse" };
    this.authenticated = true;
    this.brokers.active = { broker: "zerodha", simulated: true };
  }

  setFeed(state: MockApp["feedState"], message = ""): void {
    this.feedState = state;
    this.market.paused = state !== "live";
    this.proxy.status(state, message);
  }

  async stop(): Promise<void> {
    this.market.stop();
    await this.proxy.stop();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    if (!url.pathname.startsWith("/api/")) return this.#file(url.pathname, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    let answer: Answer;
    try {
      const method = request.method ?? "GET";
      if (method !== "GET" && request.headers["x-csrf-token"] !== this.csrf)
        throw new Refusal(403, "CSRF_FAILED", "stale token");
      const body = chunks.length ? (JSON.parse(Buffer.concat(chunks).toString()) as Body) : {};
      answer = this.#answer(`${method} ${url.pathname}`, body, url.searchParams);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer = [error.status, { status: "error", code: error.code, message: error.message, fields: error.fields }];
    }
    response.writeHead(answer[0], { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(JSON.stringify({ status: "success", ...answer[1] }));
  }

  async #file(path: string, response: ServerResponse): Promise<void> {
    const name = extname(path) ? normalize(path) : "/index.html";
    try {
      const content = await readFile(join(STATIC, name));
      response.writeHead(200, {
        "Content-Type": TYPES[extname(name)] ?? "application/octet-stream",
        "Content-Security-Policy": POLICY,
      });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }

  #session(): object {
    return {
      setup_required: this.user === null,
      setup_code_required: this.user === null && this.setupCode !== null,
      authenticated: this.authenticated,
      username: this.authenticated ? this.user?.username : null,
      csrf_token: this.csrf,
      version: "0.1.0",
    };
  }

  #answer(call: string, body: Body, query: URLSearchParams): Answer {
    switch (call) {
      case "GET /api/session":
        return [200, this.#session()];
      case "POST /api/setup":
        if (this.user) throw new Refusal(409, "ALREADY_SET_UP", "There is a user already.");
        if (this.setupCode !== null && body.code !== this.setupCode)
          throw new Refusal(403, "SETUP_FORBIDDEN", "the setup code is wrong", {
            code: "code: the setup code is wrong",
          });
        this.user = { username: String(body.username), password: String(body.password) };
        return this.#login();
      case "POST /api/login":
        if (body.username !== this.user?.username || body.password !== this.user?.password)
          throw new Refusal(401, "INVALID_CREDENTIALS", "User name or password is wrong.");
        return this.#login();
    }
    if (!this.authenticated) throw new Refusal(401, "LOGIN_REQUIRED", "Log in first.");
    const broker = /^(\w+) \/api\/brokers\/(\w+)(\/[a-z/]+)?$/.exec(call);
    if (broker && broker[2] !== "active")
      return this.#broker(`${broker[1]} ${broker[3] ?? ""}`, broker[2] ?? "", body);
    const key = /^(PATCH|DELETE) \/api\/keys\/(\w+)$/.exec(call);
    if (key) return this.#key(key[1] ?? "", key[2] ?? "", body);
    switch (call) {
      case "POST /api/logout":
        this.authenticated = false;
        this.csrf = `csrf-${Math.random()}`;
        return [200, this.#session()];
      case "POST /api/password":
        if (body.password !== this.user?.password)
          throw new Refusal(403, "WRONG_PASSWORD", "the present password is wrong", {
            password: "password: the present password is wrong",
          });
        this.user = { username: this.user?.username ?? "", password: String(body.new_password) };
        this.csrf = `csrf-${Math.random()}`;
        return [200, this.#session()];
      case "GET /api/websocket/config":
        return [200, { websocket_url: this.proxy.url, is_secure: false, original_url: this.proxy.url }];
      case "GET /api/websocket/apikey":
        return [200, { api_key: "good-key", expires_at: Date.now() + 3_600_000 }];
      case "GET /api/feeds":
        return [200, this.#feeds()];
      case "GET /api/symbols":
        return [200, this.#symbols(query)];
      case "GET /api/brokers":
        return [200, this.brokers];
      case "POST /api/brokers/active":
        this.brokers.active = { broker: String(body.broker), simulated: body.simulated === true };
        return [200, { active: this.brokers.active }];
      case "GET /api/keys":
        return [200, { keys: this.keys }];
      case "POST /api/keys": {
        if (this.keys.some(({ name, revoked_at }) => name === body.name && !revoked_at))
          throw new Refusal(409, "NAME_TAKEN", "There is a key of that name.");
        const id = `k${++this.#keys}`;
        const made = {
          id,
          name: String(body.name),
          prefix: `tm_${id}`,
          created_at: Date.now(),
          last_used_at: null,
          revoked_at: null,
        };
        this.keys = [made, ...this.keys];
        return [201, { key: made, api_key: `tm_${id}_w7Qm2Zc0rYp5Jx8VhLs3Nd6Tb9Fg1Ka4` }];
      }
    }
    throw new Refusal(404, "NOT_FOUND", `there is nothing at ${call}`);
  }

  #login(): Answer {
    this.authenticated = true;
    this.csrf = `csrf-${Math.random()}`;
    return [200, this.#session()];
  }

  #key(method: string, id: string, body: Body): Answer {
    const key = this.keys.find((one) => one.id === id);
    if (!key) throw new Refusal(404, "NOT_FOUND", "no such key");
    if (method === "PATCH") key.name = String(body.name);
    else key.revoked_at ??= Date.now();
    return [200, { key }];
  }

  #broker(call: string, name: string, body: Body): Answer {
    const broker = this.brokers.brokers.find((one) => one.name === name);
    if (!broker) throw new Refusal(404, "UNKNOWN_BROKER", "no such broker");
    const values = (body.values ?? {}) as Record<string, string>;
    switch (call) {
      case "GET /login":
        return [200, this.outcome];
      case "POST /login": {
        const missing = broker.fields.filter(
          (field) => !field.optional && !values[field.name] && !broker.remembered.includes(field.name),
        );
        if (missing.length)
          throw new Refusal(
            422,
            "INVALID_PARAMETERS",
            "Something is missing.",
            Object.fromEntries(missing.map((field) => [field.name, "Needed."])),
          );
        if (broker.login === "redirect") {
          this.outcome = { state: "succeeded", message: "" };
          this.#loggedIn(broker);
          return [
            200,
            {
              step: "redirect",
              url: `${this.url}/settings/broker/${name}?login=done`,
              expires_at: Date.now() + 600_000,
            },
          ];
        }
        if (values.pin === "5555") {
          this.outcome = { state: "question", message: "a code was sent to ******1234", ...QUESTION() };
          return [200, { step: "answer", ...this.outcome }];
        }
        if (values.totp === "000000")
          throw new Refusal(400, "LOGIN_FAILED", "The broker refused the one-time password: check the clock.");
        this.#loggedIn(broker);
        return [200, { step: "done", broker }];
      }
      case "POST /login/answer":
        if (this.outcome.state !== "question")
          throw new Refusal(409, "NO_LOGIN_PENDING", "no login is waiting for this: start the login again");
        if (body.answer === "1") {
          this.outcome = { state: "question", message: "that code is wrong", ...QUESTION() };
          return [200, { step: "answer", ...this.outcome }];
        }
        if (body.answer === "2") {
          this.outcome = { state: "failed", message: "the broker has locked the account" };
          throw new Refusal(400, "LOGIN_FAILED", this.outcome.message);
        }
        this.outcome = { state: "succeeded", message: "" };
        this.#loggedIn(broker);
        return [200, { step: "done", broker }];
      case "POST /login/finish":
      case "POST /token":
        this.#loggedIn(broker);
        return [200, { step: "done", broker }];
      case "DELETE /session":
        broker.session = null;
        broker.remembered = [];
        return [200, { broker }];
      case "POST /instruments":
        broker.instruments = { count: 98_213, updated_at: Date.now(), updating: false, message: "" };
        return [202, { broker }];
    }
    throw new Refusal(404, "NOT_FOUND", call);
  }

  #loggedIn(broker: Broker): void {
    broker.session = {
      account: "AB1234",
      created_at: Date.now(),
      expires_at: Date.now() + 11 * 3_600_000 + 60_000,
      state: "valid",
    };
    broker.remembered = broker.fields.filter(({ remember }) => remember).map(({ name }) => name);
  }

  #symbols(query: URLSearchParams): object {
    const q = (query.get("q") ?? "").toUpperCase();
    const exchange = query.get("exchange");
    const found = INSTRUMENTS.filter(
      (one) => (one.symbol.includes(q) || one.name.includes(q)) && (!exchange || one.exchange === exchange),
    ).sort(
      (a, b) =>
        Number(b.symbol === q) - Number(a.symbol === q) ||
        Number(b.symbol.startsWith(q)) - Number(a.symbol.startsWith(q)) ||
        a.symbol.length - b.symbol.length,
    );
    const results = found
      .slice(0, Number(query.get("limit") ?? 20))
      .map(({ symbol, exchange: on, name, instrumenttype }) => ({
        symbol,
        exchange: on,
        name,
        instrumenttype,
        expiry: on === "NFO" ? "28-AUG-25" : "",
        strike: 0,
        lotsize: 1,
        tick_size: 0.05,
        depth_levels: on.endsWith("_INDEX") ? [] : on === "NSE" ? [5, 20, 50] : [5],
      }));
    return { query: q, broker: "zerodha", total: found.length, results };
  }

  #feeds(): Feeds {
    const now = Date.now();
    const { sent, subscriptions } = this.market;
    const jitter = Math.abs(Math.sin(now / 7000)) + 0.2;
    const latency = { p50: 0.4 + jitter * 0.3, p99: 1.6 + jitter * 1.4, max: 6.1 };
    const connection = (id: number, symbols: number) => ({
      id: `main-${id}`,
      channel: "main",
      state: this.feedState,
      since: this.#started,
      symbols,
      max_symbols: 1000,
      reconnects: id === 2 ? 1 : 0,
      last_frame: now - 12,
    });
    return {
      server_time: now,
      proxy: {
        url: this.proxy.url,
        started_at: this.#started,
        clients: this.proxy.sockets.size + 2,
        clients_total: this.proxy.connections + 14,
        subscriptions: subscriptions + 1200,
        instruments: 1180,
        messages: sent * 3 + 812_345 + Math.floor((now - this.#started) * 2.1),
        bytes: sent * 900 + Math.floor((now - this.#started) * 460),
        conflated: 1_203_400,
        latency_ms: latency,
        clients_detail: [
          {
            id: 4,
            user: "asha",
            since: now - 4_200_000,
            subscriptions: 1000,
            messages: 7_612_345,
            behind: 0,
            buffered_bytes: 0,
          },
          {
            id: 9,
            user: "asha",
            since: now - 900_000,
            subscriptions: 200,
            messages: 412_003,
            behind: 12_400,
            buffered_bytes: 1430,
          },
        ],
      },
      feeds: this.brokers.active
        ? [
            {
              broker: "zerodha",
              title: "Zerodha",
              account: "AB1234",
              simulated: this.brokers.active.simulated,
              state: this.feedState,
              since: now - 3_900_000,
              message: this.feedState === "live" ? "" : "no data for 32 s; reconnecting",
              market_open: true,
              symbols: 1180,
              max_symbols: 3000,
              max_connections: 3,
              ticks:
                Math.floor((now - this.#started) * 1.6 + 900 * Math.sin(now / 9000) + 400 * Math.sin(now / 2300)) +
                sent,
              frames: Math.floor((now - this.#started) * 0.12),
              bytes: Math.floor((now - this.#started) * 180),
              reconnects: 1,
              drops: 0,
              decode_errors: 0,
              unknown_frames: 2,
              last_tick: now - 12,
              latency_ms: this.feedState === "live" ? latency : null,
              token_expires_at: now + 12 * 3_600_000,
              connections: [connection(1, 1000), connection(2, 180)],
            },
          ]
        : [],
    };
  }
}

const QUESTION = (): Required<Pick<LoginOutcome, "field" | "expires_at">> => ({
  field: { name: "otp", label: "SMS code", help: "", secret: true, remember: false, optional: false },
  expires_at: Date.now() + 600_000,
});

function BROKERS(): Broker[] {
  const field = (name: string, label: string, more: object = {}) => ({
    name,
    label,
    help: "",
    secret: false,
    remember: true,
    optional: false,
    ...more,
  });
  const broker = (name: string, title: string, login: Broker["login"], more: Partial<Broker> = {}): Broker => ({
    name,
    title,
    transport: "WebSocket, binary",
    modes: ["LTP", "QUOTE", "DEPTH"],
    depth: { NSE: [5], NFO: [5], BSE: [5], NSE_INDEX: [] },
    symbols_per_connection: 1000,
    max_connections: 3,
    login,
    token_life: "until 06:00 IST",
    simulator: true,
    fields: [field("api_key", "API key"), field("api_secret", "API secret", { secret: true })],
    token_fields: [field("access_token", "Access token", { secret: true, remember: false })],
    redirect_uri: `http://127.0.0.1:5000/api/brokers/${name}/callback`,
    remembered: [],
    session: null,
    instruments: { count: 0, updated_at: null, updating: false, message: "" },
    ...more,
  });
  const totp = [
    field("api_key", "API key"),
    field("client_code", "Client code"),
    field("pin", "PIN", { secret: true }),
    field("totp", "One-time password", { remember: false, help: "Six digits from your authenticator app." }),
  ];
  return [
    broker("angel", "Angel One", "totp", { fields: totp }),
    broker("dhan", "Dhan", "keys", { depth: { NSE: [5, 20], NFO: [5, 20], BSE: [5] }, symbols_per_connection: 5000 }),
    broker("fyers", "Fyers", "redirect", {
      depth: { NSE: [5, 50], NFO: [5, 50], BSE: [5] },
      symbols_per_connection: 2000,
      max_connections: 2,
    }),
    broker("kotak", "Kotak Neo", "totp", { fields: totp, transport: "WebSocket, JSON" }),
    broker("upstox", "Upstox", "redirect", {
      depth: { NSE: [5, 30], NFO: [5, 30], BSE: [5] },
      transport: "WebSocket, protobuf",
    }),
    broker("zerodha", "Zerodha", "redirect", { symbols_per_connection: 3000, max_connections: 1 }),
  ];
}
