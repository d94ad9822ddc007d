import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.TICKMUX_WEB ?? "http://127.0.0.1:5000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/tickmux/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // The content security policy allows no data: fonts, and every file below is worth caching.
    assetsInlineLimit: 0,
    manifest: "manifest.json",
  },
  server: { port: 5173, proxy: { "/api": { target: api, xfwd: true } } },
  test: {
    projects: [
      { extends: true, test: { name: "unit", include: ["tests/unit/**/*.test.{ts,tsx}"], environment: "node" } },
      {
        extends: true,
        test: {
          name: "browser",
          include: ["tests/browser/**/*.test.ts"],
          environment: "node",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 10_000 } },
          poolOptions: { forks: { singleFork: true } },
        },
      },
    ],
  },
});
