import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** A running `penholder run --dev`, for `npm run dev`. */
const server = process.env.PENHOLDER_URL ?? "http://127.0.0.1:4000";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // The page is served under `default-src 'self'`: nothing may be inlined as a data: URL.
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
  },
  server: {
    proxy: {
      "/socket": { target: server, ws: true },
      "/dev": server,
      "/healthz": server,
      "/v1": server,
    },
  },
});
