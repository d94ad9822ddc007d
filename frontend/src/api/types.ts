/** The JSON API's answers; `docs/openapi.json` says what they mean. */

import type { FeedState, Mode } from "../market/types";

export interface Session {
  setup_required: boolean;
  /** Whether the first user is made only with the code that the server's console shows. */
  setup_code_required: boolean;
  authenticated: boolean;
  username: string | null;
  csrf_token: string;
  version: string;
  /** Before the first user: the name that the command line means. */
  suggested_username?: string | null;
}

export interface Latency {
  p50: number;
  p99: number;
  max: number;
}

export interface FeedConnection {
  id: string;
  channel: string;
  state: FeedState;
  since: number | null;
  symbols: number;
  max_symbols: number;
  reconnects: number | null;
  last_frame: number | null;
}

export interface Feed {
  broker: string;
  title: string;
  account: string | null;
  simulated: boolean;
  state: FeedState;
  since: number;
  message: string;
  market_open: boolean | null;
  symbols: number;
  max_symbols: number | null;
  max_connections: number | null;
  ticks: number | null;
  frames: number | null;
  bytes: number | null;
  reconnects: number | null;
  drops: number | null;
  decode_errors: number | null;
  unknown_frames: number | null;
  last_tick: number | null;
  latency_ms: Latency | null;
  token_expires_at: number | null;
  connections: FeedConnection[];
}

export interface ProxyClient {
  id: number;
  user: string;
  since: number | null;
  subscriptions: number;
  messages: number | null;
  behind: number;
  buffered_bytes: number | null;
}

export interface ProxyState {
  url: string;
  started_at: number;
  clients: number;
  clients_total: number;
  subscriptions: number;
  instruments: number;
  messages: number;
  bytes: number | null;
  conflated: number;
  latency_ms: Latency | null;
  clients_detail: ProxyClient[];
}

export interface Feeds {
  server_time: number;
  proxy: ProxyState;
  feeds: Feed[];
}

export interface FoundSymbol {
  symbol: string;
  exchange: string;
  name: string;
  instrumenttype: string;
  expiry: string;
  strike: number;
  lotsize: number;
  tick_size: number;
  depth_levels: number[];
}

export interface SymbolAnswer {
  query: string;
  broker: string | null;
  total: number | null;
  results: FoundSymbol[];
}

export interface LoginField {
  name: string;
  label: string;
  help: string;
  secret: boolean;
  remember: boolean;
  optional: boolean;
}

export interface BrokerSession {
  account: string | null;
  created_at: number;
  expires_at: number | null;
  state: "valid" | "not tried" | "expired" | "rejected";
}

export interface Broker {
  name: string;
  title: string;
  transport: string;
  modes: Mode[];
  depth: Record<string, number[]>;
  symbols_per_connection: number;
  max_connections: number;
  login: "redirect" | "totp" | "keys";
  token_life: string;
  simulator: boolean;
  fields: LoginField[];
  token_fields: LoginField[];
  redirect_uri: string;
  remembered: string[];
  session: BrokerSession | null;
  instruments: { count: number; updated_at: number | null; updating: boolean; message: string };
}

export interface ActiveBroker {
  broker: string;
  simulated: boolean;
}

export interface Brokers {
  active: ActiveBroker | null;
  fixed: string | null;
  redirect_base: string;
  brokers: Broker[];
}

/** What a broker asks in the middle of a login, such as a code that it has sent. */
export interface LoginQuestion {
  message: string;
  field: LoginField;
  expires_at: number;
}

export type LoginStep =
  | { step: "redirect"; url: string; expires_at: number }
  | ({ step: "answer" } & LoginQuestion)
  | { step: "done"; broker: Broker };

export interface LoginOutcome {
  state: "none" | "pending" | "question" | "succeeded" | "failed";
  message: string;
  field?: LoginField | null;
  expires_at?: number | null;
}

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
}
