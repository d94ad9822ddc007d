/** Debian's Chromium, headless, with a profile of its own: driven by Playwright, or bare where Playwright would be in the way. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import { WebSocket } from "ws";

const FOUND = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => path && existsSync(path),
);
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const hasChromium = FOUND !== undefined;
if (!hasChromium) {
  console.warn(
    "NO CHROMIUM: the browser tests are skipped. `apt-get install chromium`, or name one in the variable CHROMIUM.",
  );
}

const newProfile = (): Promise<string> => mkdtemp(join(tmpdir(), "tickmux-chromium-"));

export async function launch(): Promise<{ context: BrowserContext; close: () => Promise<void> }> {
  const profile = await newProfile();
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: FOUND ?? "",
    headless: true,
    viewport: { width: 1440, height: 900 },
    colorScheme: "dark",
    args: ARGS,
  });
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

export interface BarePage {
  open(url: string): Promise<void>;
  /** The value of an expression, awaited if it is a promise. */
  evaluate<T>(expression: string): Promise<T>;
  close(): Promise<void>;
}

/** One page over the debugging protocol alone. Playwright has every WebSocket frame reported, which costs the page more than the frame itself. */
export async function launchBare(): Promise<BarePage> {
  const profile = await newProfile();
  const args = ["--headless", "--window-size=1440,900", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
  const browser = spawn(FOUND ?? "", [...ARGS, ...args, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  const address = await new Promise<string>((resolve) => {
    let output = "";
    browser.stderr.on("data", (chunk) => {
      output += String(chunk);
      const found = /ws:\/\/(\S+?)\//.exec(output);
      if (found?.[1]) resolve(found[1]);
    });
  });
  const targets = (await (await fetch(`http://${address}/json`)).json()) as {
    type: string;
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets.find(({ type }) => type === "page")?.webSocketDebuggerUrl ?? "");
  await new Promise((resolve) => socket.once("open", resolve));
  const waiting = new Map<number, (result: { result?: { value: unknown } }) => void>();
  socket.on("message", (raw) => {
    const { id, result } = JSON.parse(String(raw)) as { id?: number; result: object };
    if (id !== undefined) waiting.get(id)?.(result);
  });
  let last = 0;
  const send = (method: string, params: object): Promise<{ result?: { value: unknown } }> =>
    new Promise((resolve) => {
      last += 1;
      waiting.set(last, resolve);
      socket.send(JSON.stringify({ id: last, method, params }));
    });
  return {
    open: async (url) => void (await send("Page.navigate", { url })),
    evaluate: async <T>(expression: string) =>
      (await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })).result?.value as T,
    close: async () => {
      socket.terminate();
      browser.kill();
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  };
}
