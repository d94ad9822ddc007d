/** The client that hooks use unless they are given another: made at first use, one for the page. */

import { MarketClient } from "./client";
import { type EndpointSource, fixedSource, sessionSource } from "./source";

export interface MarketOptions extends Partial<Omit<ConstructorParameters<typeof MarketClient>[0], "source">> {
  /** Address of the proxy; without it (and without `source`) the tickmux app's API is asked. */
  url?: string;
  /** Key, or a function that gives one; it is called before every connect attempt. */
  apiKey?: string | (() => string | Promise<string>);
  /** Address and key from somewhere else. */
  source?: EndpointSource;
}

let shared: MarketClient | null = null;
let sharedOptions: MarketOptions = {};

/** A client of its own, for a page that needs a second connection. */
export function createMarketClient({ url, apiKey, source, ...options }: MarketOptions = {}): MarketClient {
  if ((url === undefined) !== (apiKey === undefined))
    throw new TypeError("url and apiKey belong together: give both or neither");
  const fixed = url !== undefined && apiKey !== undefined ? fixedSource(url, apiKey) : null;
  return new MarketClient({ ...options, source: source ?? fixed ?? sessionSource() });
}

/** Sets what the shared client is made of. Call it before the first render; later it replaces nothing and throws. */
export function configureMarketData(options: MarketOptions): void {
  if (shared) throw new Error("the shared market data client is already in use");
  sharedOptions = options;
}

export function sharedClient(): MarketClient {
  shared ??= createMarketClient(sharedOptions);
  return shared;
}
