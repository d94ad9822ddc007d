/** The built pages in a real browser, against a mock server. `npm run build` comes first. SHOTS=folder keeps a picture of every page. */

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MockApp } from "../mock/app";
import { hasChromium, launch } from "./chromium";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = process.env.SHOTS;
const PAGES = [
  "/",
  "/watchlist",
  "/depth?symbol=SBIN&exchange=NSE",
  "/websocket/test",
  "/websocket/test/50",
  "/settings/broker",
  "/settings/broker/zerodha",
  "/settings/broker/angel",
  "/settings/keys",
  "/start",
  "/nowhere",
];

describe.skipIf(!hasChromium)("pages", () => {
  let browser: Awaited<ReturnType<typeof launch>>;
  let app: MockApp;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    app = await MockApp.start();
    page = await browser.context.newPage();
    complaints = [];
    page.on("console", (message) => {
      // The browser itself reports every answer of 400 and more; those are expected where a test asks for them.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.setDefaultTimeout(10_000);
  });
  afterEach(async () => {
    await page.close();
    await app.stop();
    expect(complaints).toEqual([]);
  });

  async function watch(...keys: string[]): Promise<void> {
    await page.goto(app.url);
    const list = keys.map((key) => ({ exchange: key.split(":")[0], symbol: key.split(":")[1] }));
    await page.evaluate((value) => localStorage.setItem("tickmux.watchlist.asha", value), JSON.stringify(list));
    await page.goto(`${app.url}/watchlist`);
  }

  async function violations(): Promise<string[]> {
    // Through the debugger: the policy lets no script tag in.
    await page.evaluate(AXE);
    return page.evaluate(async () => {
      const { axe } = window as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const { violations } = await axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
    });
  }

  test("first start: an account, the simulator, a starter list, and prices that move", async () => {
    await page.goto(app.url);
    await page.getByLabel("User name").fill("asha");
    await page.getByLabel("Password", { exact: true }).fill("short");
    await page.getByLabel("Password again").fill("short");
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByText("At least 10 characters, please.").waitFor();
    await page.getByLabel("Password", { exact: true }).fill("correct horse");
    await page.getByLabel("Password again").fill("correct horse");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Start the simulator" }).click();
    await page.getByRole("button", { name: "Add a starter list" }).click();
    const price = page.locator("tr", { hasText: "RELIANCE" }).locator(".ltp");
    const before = await price.textContent();
    await expect.poll(() => price.textContent()).toMatch(/^1,\d{3}\.\d{2}$/);
    await expect.poll(() => price.textContent()).not.toBe(before);
    expect(app.brokers.active).toEqual({ broker: "zerodha", simulated: true });
  });

  test("a login that fails says why, one that succeeds leads where one wanted to go, logging out ends it", async () => {
    app.ready();
    app.authenticated = false;
    await page.goto(`${app.url}/settings/keys`);
    await page.getByLabel("User name").fill("asha");
    await page.getByLabel("Password").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("User name or password is wrong.").waitFor();
    await page.getByLabel("Password").fill("correct horse");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "API keys" }).waitFor();
    await page.getByRole("button", { name: "Log out asha" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  });

  test("a session that ended elsewhere leads to the login page", async () => {
    app.ready();
    await page.goto(app.url);
    await page.getByRole("heading", { name: "Dashboard" }).waitFor();
    app.authenticated = false;
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  });

  test("searching and adding by keyboard alone, and removing", async () => {
    app.ready();
    await watch("NSE:SBIN");
    await page.getByRole("button", { name: "SBIN" }).first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("infy");
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    const added = page.locator("button.pick[data-key='NSE:INFY']");
    await added.waitFor();
    await added.focus();
    await page.keyboard.press("ArrowUp");
    expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.key)).toBe("NSE:SBIN");
    await page.keyboard.press("Delete");
    await expect.poll(() => page.locator("button.pick").count()).toBe(1);
  });

  test("an instrument that the broker does not have says so in its row", async () => {
    app.ready();
    await watch("NSE:SBIN", "NSE:NOPE");
    await page.getByText("NOPE is not in the broker's list").waitFor();
  });

  test("a feed that dies is shown, its prices are marked, and it is shown to come back", async () => {
    app.ready();
    await watch("NSE:SBIN");
    const price = page.locator("td.ltp");
    await expect.poll(() => price.textContent()).toMatch(/\d/);
    app.setFeed("stalled", "no data for 30 s");
    await page.getByText("The broker's feed has gone silent").waitFor();
    await expect.poll(() => price.getAttribute("class")).toContain("stale");
    app.setFeed("live");
    await expect.poll(() => price.getAttribute("class")).not.toContain("stale");
    await expect.poll(() => page.locator(".banner").count()).toBe(0);
  });

  test("a server restart is survived with all subscriptions", async () => {
    app.ready();
    await watch("NSE:SBIN", "NSE:INFY");
    await expect.poll(() => page.locator("td.ltp").first().textContent()).toMatch(/\d/);
    app.proxy.cut(1001);
    await page.getByText("Connection lost: the server is restarting").waitFor();
    await expect.poll(() => app.market.subscriptions).toBe(2);
    await page.getByText("Live · mock").waitFor();
  });

  test("the book has as many levels as the broker gives, and says so", async () => {
    app.ready();
    app.proxy.levels = 20;
    await page.goto(`${app.url}/depth?symbol=SBIN&exchange=NSE`);
    await page.getByText("The broker gives 20 levels of the 50 requested; 20 are in the book now.").waitFor();
    expect(await page.locator(".ladder-table tbody tr").count()).toBe(20);
    await page.getByRole("radio", { name: "5", exact: true }).check({ force: true });
    await page.getByText("The broker gives 5 levels; 5 are in the book now.").waitFor();
  });

  test("the test page: connect, authenticate, subscribe, search and pause frames", async () => {
    app.ready();
    await page.goto(`${app.url}/websocket/test/50`);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByRole("button", { name: "Authenticate" }).click();
    await page.getByText("Authenticated · mock").waitFor();
    await page.getByRole("button", { name: "Subscribe", exact: true }).click();
    await page.getByText("50 of 50 levels").waitFor();
    await expect.poll(() => page.locator(".ladder-table tbody tr").count()).toBe(50);
    await page.getByRole("button", { name: "Ping" }).click();
    await page.getByLabel("Search frames").fill("pong");
    await expect.poll(() => page.locator(".frame").count()).toBe(1);
    await page.locator(".frame").click();
    expect(await page.locator(".frame-text").textContent()).toContain('"type": "pong"');
    await page.getByLabel("Search frames").fill("authenticate");
    expect(await page.locator(".frame.out").textContent()).not.toContain("good-key");
    await page.getByLabel("Search frames").fill("");
    await page.getByRole("button", { name: "Pause" }).click();
    const frozen = await page.locator(".frame").first().textContent();
    const received = app.market.sent;
    await expect.poll(() => app.market.sent).toBeGreaterThan(received + 20);
    expect(await page.locator(".frame").first().textContent()).toBe(frozen);
  });

  test("a broker login with a one-time password, refused and accepted, and forgotten", async () => {
    app.ready();
    await page.goto(`${app.url}/settings/broker/angel`);
    await page.getByLabel("API key").fill("key");
    await page.getByLabel("Client code").fill("A1");
    await page.getByLabel("PIN").fill("1234");
    await page.getByLabel("One-time password").fill("000000");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("The broker refused the one-time password: check the clock.").waitFor();
    await page.getByLabel("One-time password").fill("123456");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("Valid for 11 h").first().waitFor();
    expect(await page.getByLabel("API key").getAttribute("placeholder")).toBe("stored; leave empty to keep");
    await page.getByRole("button", { name: "Forget token and keys" }).click();
    await page.getByText("Not logged in").waitFor();
    await page.getByRole("button", { name: "Download" }).click();
    await page.getByText("98,213").waitFor();
  });

  test("a code that the broker asks for in the middle of a login: wrong, right, after a reload, and refused", async () => {
    app.ready();
    await page.goto(`${app.url}/settings/broker/angel`);
    const begin = async (): Promise<void> => {
      await page.getByLabel("API key").fill("key");
      await page.getByLabel("Client code").fill("A1");
      await page.getByLabel("PIN").fill("5555");
      await page.getByLabel("One-time password").fill("123456");
      await page.getByRole("button", { name: "Log in", exact: true }).click();
      await page.getByText("A code was sent to ******1234. Angel One waits for the answer until").waitFor();
    };
    await begin();
    expect(await page.evaluate(() => (document.activeElement as HTMLInputElement).type)).toBe("password");
    await page.keyboard.type("1");
    await page.keyboard.press("Enter");
    await page.getByText("That code is wrong.").waitFor();
    expect(await page.getByLabel("SMS code").inputValue()).toBe("");
    expect(await violations()).toEqual([]);
    await page.reload();
    await page.getByText("That code is wrong.").waitFor();
    await page.getByLabel("SMS code").fill("271828");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByText("Logged in to Angel One. Prices come from the Zerodha simulator.").waitFor();
    await page.getByText("Valid for 11 h").first().waitFor();
    await page.getByRole("button", { name: "Use Angel One" }).click();
    await page.getByText("Its feed starts by itself.").waitFor();
    expect(app.brokers.active).toEqual({ broker: "angel", simulated: false });
    await begin();
    await page.getByLabel("SMS code").fill("2");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("The broker has locked the account.").waitFor();
    await begin();
    await page.getByRole("button", { name: "Start again" }).click();
    await page.getByLabel("PIN").waitFor();
  });

  test("a broker login by redirect comes back with its outcome", async () => {
    app.ready();
    await page.goto(`${app.url}/settings/broker/zerodha`);
    await page.getByLabel("API key").fill("key");
    await page.getByLabel("API secret").fill("secret");
    await page.getByRole("button", { name: "Continue at Zerodha" }).click();
    await page.getByText("Logged in to Zerodha.").waitFor();
    expect(new URL(page.url()).search).toBe("");
  });

  test("a key is made, shown once, renamed and revoked", async () => {
    app.ready();
    await page.goto(`${app.url}/settings/keys`);
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("laptop");
    await page.keyboard.press("Enter");
    const secret = page.locator("code.secret");
    expect(await secret.textContent()).toMatch(/^tm_k1_/);
    expect(await violations()).toEqual([]);
    await page.getByRole("button", { name: "Done" }).click();
    await secret.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Rename laptop" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("desktop");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Revoke desktop" }).click();
    await page.getByRole("button", { name: "Revoke", exact: true }).click();
    await page.getByText(/^Revoked \d/).waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
  });

  test.each(PAGES)("%s passes axe in both themes, and fits a phone", async (path) => {
    app.ready();
    app.keys = [{ id: "k9", name: "excel", prefix: "tm_k9", created_at: 0, last_used_at: null, revoked_at: null }];
    app.market.rate = 20;
    await watch("NSE_INDEX:NIFTY", "NSE:SBIN", "NSE:MRF", "NSE:NOPE", "NFO:NIFTY28AUG2524500CE");
    for (const theme of ["dark", "light"]) {
      await page.evaluate((value) => localStorage.setItem("tickmux.theme", value), theme);
      await page.goto(app.url + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.waitForLoadState("networkidle", { timeout: 3_000 }).catch(() => {});
      if (path.startsWith("/websocket")) {
        await page.getByRole("button", { name: "Connect", exact: true }).click();
        await page.getByRole("button", { name: "Authenticate" }).click();
        await page.getByRole("button", { name: "Subscribe", exact: true }).click();
        await page.locator("td", { hasText: "SBIN" }).first().waitFor();
      }
      await shot(path, theme);
      expect(await violations()).toEqual([]);
    }
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    await shot(path, "phone");
    expect(await violations()).toEqual([]);
  });

  test.each(["/login", "/setup"])("%s passes axe in both themes", async (path) => {
    if (path === "/login") app.ready();
    app.authenticated = false;
    for (const theme of ["dark", "light"]) {
      await page.goto(app.url);
      await page.evaluate((value) => localStorage.setItem("tickmux.theme", value), theme);
      await page.goto(app.url + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await shot(path, theme);
      expect(await violations()).toEqual([]);
    }
  });

  async function shot(path: string, theme: string): Promise<void> {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    const name = path.replace(/\?.*/, "").replace(/^\//, "").replaceAll("/", "-") || "dashboard";
    await page.screenshot({ path: `${SHOTS}/${name}-${theme}.png` });
  }
});
