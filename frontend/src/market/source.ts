/** Where the proxy is and with which key: asked before every connect attempt, so that a key may change or expire. */

export interface Endpoint {
  url: string;
  apiKey: string;
}

export type EndpointSource = () => Promise<Endpoint>;

/** There is no key to be had (the web session has ended): asking again is useless until a human does something. */
export class AccessRefused extends Error {
  override name = "AccessRefused";
}

/** The source inside the tickmux app: `/api/websocket/config` and `/api/websocket/apikey`, by the session cookie. */
export function sessionSource(base = ""): EndpointSource {
  return async () => {
    const [config, key] = await Promise.all([
      getJson(`${base}/api/websocket/config`),
      getJson(`${base}/api/websocket/apikey`),
    ]);
    const url = config.websocket_url;
    const apiKey = key.api_key;
    if (typeof url !== "string" || typeof apiKey !== "string") {
      throw new Error("the server's answer names no WebSocket address or key");
    }
    return { url, apiKey };
  };
}

/** A fixed address, with a fixed key or a function that gives one. */
export function fixedSource(url: string, apiKey: string | (() => string | Promise<string>)): EndpointSource {
  return async () => ({ url, apiKey: typeof apiKey === "string" ? apiKey : await apiKey() });
}

async function getJson(path: string): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" } });
  } catch {
    throw new Error("the server cannot be reached"); // the browser's own words say less
  }
  if (response.status === 401 || response.status === 403)
    throw new AccessRefused("Your session has ended. Log in again.");
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  const body: unknown = await response.json();
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
}
