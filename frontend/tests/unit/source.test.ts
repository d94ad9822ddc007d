import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createMarketClient } from "../../src/market/shared";
import { AccessRefused, fixedSource, sessionSource } from "../../src/market/source";

let server: Server;

function serve(answers: Record<string, [number, unknown]>): Promise<string> {
  server = createServer((request, response) => {
    const [status, body] = answers[request.url ?? ""] ?? [404, {}];
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  });
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
  );
}

afterEach(() => server?.close());

test("address and key come from the app's API", async () => {
  const base = await serve({
    "/api/websocket/config": [200, { status: "success", websocket_url: "ws://x:1", is_secure: false }],
    "/api/websocket/apikey": [200, { status: "success", api_key: "k" }],
  });
  await expect(sessionSource(base)()).resolves.toEqual({ url: "ws://x:1", apiKey: "k" });
});

test("an ended session is told from a server in trouble", async () => {
  const base = await serve({
    "/api/websocket/config": [200, { websocket_url: "ws://x:1" }],
    "/api/websocket/apikey": [401, { status: "error" }],
  });
  await expect(sessionSource(base)()).rejects.toBeInstanceOf(AccessRefused);
  server.close();
  const broken = await serve({ "/api/websocket/config": [503, {}], "/api/websocket/apikey": [503, {}] });
  await expect(sessionSource(broken)()).rejects.not.toBeInstanceOf(AccessRefused);
});

test("an answer without address or key is an error", async () => {
  const base = await serve({ "/api/websocket/config": [200, {}], "/api/websocket/apikey": [200, []] });
  await expect(sessionSource(base)()).rejects.toThrow("names no WebSocket address");
});

test("a key function is asked every time", async () => {
  let n = 0;
  const source = fixedSource("ws://x", () => `k${n++}`);
  expect([(await source()).apiKey, (await source()).apiKey]).toEqual(["k0", "k1"]);
});

test("url and apiKey go together", () => {
  expect(() => createMarketClient({ url: "ws://x" })).toThrow(TypeError);
});
