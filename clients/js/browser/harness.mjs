/** A server process, a browser, and pages that say what went wrong in them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach } from "node:test";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.PENHOLDER_CHROMIUM ?? "/usr/bin/chromium";
const START_MS = 30_000;
/** Signs tokens of the server beside its own of development mode. */
const SECRET = "a secret of the browser tests, 32 bytes or more";
/** How long a condition may take to come true. */
export const WAIT_MS = 30_000;

/** One server: its data and port stay the same over `kill` and `start`. */
export class Server {
  #binary;
  #data;
  #listen = "127.0.0.1:0";
  #process = null;
  /** What tokens are signed with, beside the server's own of development mode. */
  secret = SECRET;
  url = "";

  static async create() {
    const server = new Server();
    server.#binary = process.env.PENHOLDER_BIN;
    if (!server.#binary) {
      throw new Error("Set PENHOLDER_BIN to the server: cargo build, then target/debug/penholder.");
    }
    server.#data = await mkdtemp(join(tmpdir(), "penholder-browser-"));
    await server.start();
    return server;
  }

  async start() {
    const args = ["run", "--dev", "--listen", this.#listen, "--data", this.#data];
    const env = { ...process.env, PENHOLDER__AUTH__HS256_SECRET: this.secret };
    const child = spawn(this.#binary, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let log = "";
    child.stderr.on("data", (chunk) => {
      log = (log + chunk).slice(-4000);
    });
    this.url = await new Promise((resolve, reject) => {
      const fail = (what) => reject(new Error(`${what}\n${log}`));
      const timer = setTimeout(() => fail("The server did not begin to listen."), START_MS);
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code) => fail(`The server ended with ${code}.`));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const [, url] = /listening on (http:\/\/\S+?)\/?(?:\s|$)/.exec(line) ?? [];
        if (url === undefined) return;
        clearTimeout(timer);
        resolve(url);
      });
    });
    this.#listen = new URL(this.url).host;
  }

  /** Ends the process without a word to its clients. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** Asks the process to end: it says goodbye to its clients first. */
  stop() {
    return this.#end("SIGTERM");
  }

  async #end(signal) {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  async remove() {
    await this.kill();
    await rm(this.#data, { recursive: true, force: true });
  }
}

/** A line to a server that can be cut, as by a laptop that is closed. */
export class Line {
  #sockets = new Set();
  #isCut = false;
  #listener;
  url = "";

  static async to(server) {
    const line = new Line();
    const { hostname, port } = new URL(server.url);
    line.#listener = createServer((near) => {
      if (line.#isCut) return near.destroy();
      const far = connect(Number(port), hostname);
      for (const [from, into] of [
        [near, far],
        [far, near],
      ]) {
        line.#sockets.add(from);
        from.on("error", () => undefined).pipe(into);
        from.on("close", () => {
          line.#sockets.delete(from);
          into.destroy();
        });
      }
    }).listen(0, hostname);
    await once(line.#listener, "listening");
    line.url = `http://${hostname}:${line.#listener.address().port}`;
    return line;
  }

  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  close() {
    this.cut();
    this.#listener.close();
  }
}

/** A token with these claims that the server accepts for an hour. */
export function sign(claims) {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const parts = [
    { alg: "HS256", typ: "JWT" },
    { exp, ...claims },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  const signature = createHmac("sha256", SECRET).update(text.join(".")).digest("base64url");
  return [...text, signature].join(".");
}

export function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/**
 * A page in a browser profile of its own. `problems` collects script errors, violations of the
 * content security policy, and requests to anywhere but the server.
 */
export async function openPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url)) problems.push(`request to ${request.url()}`);
  });
  return { page, context, problems };
}

/**
 * A server and a browser for the tests of one file. A page that is opened by `open` is closed after its test,
 * which fails when anything went wrong in the page.
 */
export async function stage() {
  const server = await Server.create();
  let browser;
  after(async () => {
    await browser?.close();
    await server.remove();
  });
  browser = await launch();
  let pages = [];
  afterEach(async () => {
    const problems = pages.flatMap((opened) => opened.problems);
    for (const { context } of pages) await context.close();
    pages = [];
    assert.deepEqual(problems, []);
  });
  const open = async (by = server, options = {}) => {
    const opened = await openPage(browser, by, options);
    pages.push(opened);
    return opened.page;
  };
  return { server, browser, open };
}

/** Signs in as `person` and opens `topic`, by the address. */
export async function enter(page, server, person, topic) {
  await page.goto(`${server.url}/?as=${person}&topic=${topic}`);
  await page.getByTestId(`member-${person}`).waitFor();
}

/** Waits until the banner says `text`. */
export async function waitForBanner(page, text) {
  await page.getByTestId("banner-text").filter({ hasText: text }).waitFor();
}

/** Waits until `person` is shown with these data attributes. */
export async function waitForMember(page, person, attributes = {}) {
  const conditions = Object.entries(attributes).map(([name, value]) => `[data-${name}="${value}"]`);
  await page.locator(`[data-testid="member-${person}"]${conditions.join("")}`).waitFor();
}

/** Waits until the strip above the text says `text`. */
export async function waitForPen(page, text) {
  await page.getByTestId("pen-text").filter({ hasText: text }).waitFor();
}

export async function waitForConnection(page, status) {
  await page.locator(`[data-testid="connection"][data-status="${status}"]`).waitFor();
}

/** How far the page is wider than the window. */
export function overflow(page) {
  return page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
}

/** Keeps a picture in the folder PENHOLDER_ARTIFACTS, for people to look at. */
export async function picture(page, name) {
  const folder = process.env.PENHOLDER_ARTIFACTS;
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
