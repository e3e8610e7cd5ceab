// The real binary: started, asked, stopped and killed, always by its own process id.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import { look } from "./canary.js";
import { soon } from "./wait.js";

const BINARY = process.env.PENHOLDER_BIN;
const READY = /listening on http:\/\/127\.0\.0\.1:(\d+)/;
const START_MS = 15_000;
const LOG_LINES_KEPT = 2000;

/** Signs tokens of every server that a test starts, so that a test can sign some of its own. */
export const SECRET = "a secret of the end-to-end tests, 32 bytes or more";

/** Processes still running; killed when the test process goes, whatever the reason. */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Server {
  #env;
  #child;
  #exit;
  #data;
  #log = [];
  #port = 0;

  /** `env`: configuration such as `{ PRESENCE__GRACE: "1s" }`. */
  constructor(env = {}) {
    this.#env = { AUTH__HS256_SECRET: SECRET, CLUSTER__NAME: "e2e", ...env };
  }

  /** Starts the process: on a free port the first time, later on the same, with the same data. */
  async start() {
    if (!BINARY || !isAbsolute(BINARY)) {
      throw new Error("PENHOLDER_BIN must be the absolute path of the server's binary");
    }
    this.#data ??= await mkdtemp(join(tmpdir(), "penholder-e2e-"));
    const flags = ["--dev", "--listen", `127.0.0.1:${this.#port}`, "--data", this.#data];
    const settings = Object.entries(this.#env).map(([key, value]) => [`PENHOLDER__${key}`, value]);
    const child = spawn(BINARY, ["run", ...flags], {
      env: { PATH: process.env.PATH, ...Object.fromEntries(settings) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    this.#child = child;
    this.#exit = once(child, "exit").then(([code, signal]) => {
      running.delete(child);
      return { code, signal };
    });
    this.#keepLog(child.stderr);
    this.#port = await soon("the server listens", this.#ready(child), START_MS);
  }

  get port() {
    return this.#port;
  }

  get pid() {
    return this.#child.pid;
  }

  get http() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.#port}/socket`;
  }

  /** Asks the process to drain; returns a promise of `{ code, signal }`. */
  terminate() {
    this.#child.kill("SIGTERM");
    return this.#exit;
  }

  /** Ends the process as a power cut would. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }

  /** Ends the process and removes its data. */
  async stop() {
    if (this.#child) await this.kill();
    if (this.#data) await rm(this.#data, { recursive: true, force: true });
  }

  /** A token of development mode. */
  async token(user, options = {}) {
    const query = new URLSearchParams({ user, name: title(user), role: "agent", ...options });
    const { status, body } = await this.get(`/dev/token?${query}`);
    if (status !== 200) throw new Error(`/dev/token: ${status} ${JSON.stringify(body)}`);
    return body.token;
  }

  /** GET with the development API key; the path is sent as it is. */
  get(path, headers = { authorization: "ApiKey dev" }) {
    return this.ask("GET", path, { headers });
  }

  /** Any request; returns `{ status, headers, body }`, a JSON body parsed. */
  async ask(method, path, { headers = { authorization: "ApiKey dev" }, json } = {}) {
    const sent = json === undefined ? headers : { ...headers, "content-type": "application/json" };
    const outgoing = request(this.http + path, { method, headers: sent, agent: false });
    outgoing.end(json === undefined ? undefined : JSON.stringify(json));
    const [response] = await once(outgoing, "response");
    const chunks = await response.toArray();
    const text = Buffer.concat(chunks).toString();
    const [, token] = /^Bearer (.*)$/.exec(headers.authorization ?? "") ?? [];
    if (token) look(token, text);
    const isJson = /json/.test(response.headers["content-type"] ?? "");
    return {
      status: response.statusCode,
      headers: response.headers,
      body: isJson && text ? JSON.parse(text) : text,
    };
  }

  /** Who is present, as the server lists it. */
  async presence(topic) {
    const { status, body } = await this.get(`/v1/topics/${encodeURIComponent(topic)}/presence`);
    if (status !== 200) throw new Error(`presence of ${topic}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** The last lines that the server logged, for a failed test to show. */
  logged(lines = 60) {
    return this.#log.slice(-lines).join("\n");
  }

  #keepLog(stream) {
    createInterface({ input: stream }).on("line", (line) => {
      this.#log.push(line);
      if (this.#log.length > LOG_LINES_KEPT) this.#log.shift();
    });
  }

  async #ready(child) {
    const listening = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const port = READY.exec(line)?.[1];
        if (port) resolve(Number(port));
        else this.#log.push(line);
      });
    });
    const gone = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the server ended with ${code ?? signal}:\n${this.logged()}`);
    });
    gone.catch(() => {});
    return Promise.race([listening, gone]);
  }
}

/** Seconds since the epoch, `later` from now. */
export function seconds(later = 0) {
  return Math.floor(Date.now() / 1000) + later;
}

/** A token with any claims, good for an hour unless they say otherwise. */
export function sign(claims, more = {}) {
  return signText(JSON.stringify({ exp: seconds(3600), ...claims }), more);
}

/** A token with a body that no JSON encoder would write. */
export function signText(body, { secret = SECRET, header = { alg: "HS256", typ: "JWT" } } = {}) {
  const input = [JSON.stringify(header), body].map(base64url).join(".");
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

export function base64url(text) {
  return Buffer.from(text).toString("base64url");
}

function title(user) {
  return user.charAt(0).toUpperCase() + user.slice(1);
}
