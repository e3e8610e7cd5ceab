// People with the unmodified npm phoenix: a Person has a socket, a Page is a topic it has joined.

import assert from "node:assert/strict";
import * as phoenix18 from "phoenix";
import * as phoenix17 from "phoenix17";
import WebSocket from "ws";
import { look } from "./canary.js";
import { Fold } from "./fold.js";
import { soon, until } from "./wait.js";

/** The clients that every suite must work with. */
export const VERSIONS = { 1.8: phoenix18, 1.7: phoenix17 };

/** Nobody listens there: what a laptop without network connects to. */
const NOWHERE = "ws://127.0.0.1:9";

export class Person {
  pages = [];
  /** The close events of the socket, as `{ code, reason }`. */
  closes = [];
  offline = false;
  opened = 0;

  constructor(server, { key, token, version = "1.8", polls = false }) {
    const { Socket, Presence, LongPoll } = VERSIONS[version];
    this.key = key;
    this.Presence = Presence;
    const person = this;
    const line = class extends WebSocket {
      constructor(url, protocols) {
        super(person.offline ? NOWHERE : url, protocols);
        this.on("message", (data) => look(token, data));
      }
    };
    const credentials = version === "1.8" ? { authToken: token } : { params: { token } };
    this.socket = new Socket(server.ws, {
      ...credentials,
      transport: polls ? LongPoll : line,
      reconnectAfterMs: () => 20,
      rejoinAfterMs: () => 20,
    });
    // What is polled comes without a socket.
    if (polls) this.socket.onMessage((message) => look(token, JSON.stringify(message)));
    this.socket.onOpen(() => {
      this.opened += 1;
    });
    this.socket.onClose(({ code, reason }) => this.closes.push({ code, reason }));
  }

  async connect() {
    this.socket.connect();
    await until(`${this.key} connects`, () => this.socket.isConnected());
    return this;
  }

  /** Joins and waits until the reply is there and, unless presence is off, the first state. */
  async join(topic, params = {}) {
    const page = this.open(topic, params);
    await page.joined();
    return page;
  }

  /** Joins and waits for nothing. */
  open(topic, params = {}) {
    const page = new Page(this, topic, params);
    this.pages.push(page);
    return page;
  }

  /** Joins and returns the error that the server gives. */
  async refused(topic, params = {}) {
    const page = new Page(this, topic, params);
    const { status, response } = await soon(`answer to the join of ${topic}`, page.answer);
    assert.equal(status, "error", `the join of ${topic} is refused`);
    page.channel.leave();
    return response;
  }

  /** Loses the connection without a goodbye; stays away while `offline`. */
  drop({ offline = false } = {}) {
    this.offline = offline;
    this.socket.conn.terminate();
  }

  /** Says goodbye. */
  disconnect() {
    this.socket.disconnect(undefined, 1000);
  }

  check() {
    for (const page of this.pages) page.check();
  }
}

/** Joins such that each rejoin goes on as the session before. */
export async function joinResuming(person, topic, params = {}) {
  let page;
  page = person.open(topic, () => ({ ...params, resume: page?.reply?.resume }));
  await page.joined();
  return page;
}

export class Page {
  /** Every event of the topic in order, `{ event, payload }`; no replies. */
  events = [];
  fold = new Fold();
  /** What the Presence of npm phoenix called: `+key` for onJoin, `-key` for onLeave; see `watch`. */
  calls = [];
  replies = [];
  #faults = [];

  constructor(person, topic, params) {
    this.person = person;
    this.topic = topic;
    this.channel = person.socket.channel(topic, params);
    this.channel.onMessage = (event, payload) => {
      if (event !== "phx_reply" && !event.startsWith("chan_reply_")) this.#receive(event, payload);
      return payload;
    };
    this.presence = new person.Presence(this.channel);
    this.#watch();
    this.answer = new Promise((resolve) => {
      this.channel
        .join()
        .receive("ok", (response) => {
          this.fold.forget();
          this.replies.push(response);
          resolve({ status: "ok", response });
        })
        .receive("error", (response) => resolve({ status: "error", response }));
    });
  }

  async joined() {
    const { status, response } = await soon(`answer to the join of ${this.topic}`, this.answer);
    assert.equal(status, "ok", `join of ${this.topic}: ${JSON.stringify(response)}`);
    if (response.summary) await until("presence_state", () => this.fold.states > 0);
  }

  /** The reply to the latest join. */
  get reply() {
    return this.replies.at(-1);
  }

  /** Sends an event and returns `{ status, response }`. */
  push(event, payload = {}) {
    const answer = new Promise((resolve) => {
      const push = this.channel.push(event, payload);
      for (const status of ["ok", "error", "timeout"]) {
        push.receive(status, (response) => resolve({ status, response }));
      }
    });
    return soon(`answer to ${event}`, answer);
  }

  /** Sends an event that must succeed; returns the response. */
  async ask(event, payload) {
    const { status, response } = await this.push(event, payload);
    assert.equal(status, "ok", `${event}: ${JSON.stringify(response)}`);
    return response;
  }

  /** Sends an event that must be refused; returns the code. */
  async refused(event, payload) {
    const { status, response } = await this.push(event, payload);
    assert.equal(status, "error", `${event} is refused`);
    return response.code;
  }

  /** Leaves and waits for the server's answer; npm phoenix itself takes it for granted. */
  leave() {
    const { socket } = this.person;
    const answered = new Promise((resolve) => {
      const push = this.channel.leave();
      const watch = socket.onMessage(({ ref, event, payload }) => {
        if (event !== "phx_reply" || ref !== push.ref) return;
        socket.off([watch]);
        resolve(payload);
      });
    });
    return soon(`answer to the leave of ${this.topic}`, answered);
  }

  /** The payloads of an event so far. */
  received(event) {
    return this.events.filter((seen) => seen.event === event).map((seen) => seen.payload);
  }

  /** Waits for an event whose payload fits; looks at those that have come, too. */
  next(event, fits = () => true) {
    const name = () =>
      `${event} for ${this.person.key}, of ${JSON.stringify(this.received(event))}`;
    return until(name, () => this.received(event).find(fits));
  }

  /** The latest summary of the topic. */
  get summary() {
    return this.received("presence_summary").at(-1);
  }

  /** Waits until the latest summary fits, and returns it. */
  async summarized(what, fits) {
    const name = () => `summary: ${what}, of ${JSON.stringify(this.summary)}`;
    await until(name, () => this.summary && fits(this.summary));
    return this.summary;
  }

  /** Waits until exactly these keys are present, by the fold and by npm phoenix. */
  async sees(...keys) {
    const wanted = keys.toSorted().join();
    const name = () => `${this.person.key} sees ${wanted}, not ${this.fold.keys()}`;
    await until(name, () => this.fold.keys().join() === wanted);
    const listed = this.presence.list((key) => key);
    assert.equal(listed.toSorted().join(), wanted, "npm phoenix sees the same people");
  }

  /** Waits until the only meta of `key` fits, and returns it. */
  async meta(key, fits = () => true) {
    const name = () => `a meta of ${key} that fits, of ${JSON.stringify(this.fold.metas(key))}`;
    await until(name, () => this.fold.metas(key).length === 1 && fits(this.fold.metas(key)[0]));
    return this.fold.metas(key)[0];
  }

  /** Fails when the server sent what no honest server sends. */
  check() {
    assert.deepEqual(this.#faults, [], `presence stream of ${this.person.key} on ${this.topic}`);
  }

  #receive(event, payload) {
    this.events.push({ event, payload });
    // Before the first answer: what was under way to an earlier channel of the topic.
    if (this.replies.length === 0) return;
    try {
      if (event === "presence_state") this.fold.state(payload);
      if (event === "presence_diff") this.fold.diff(payload);
    } catch (error) {
      this.#faults.push(`${error.message}: ${event} ${JSON.stringify(payload)}`);
    }
  }

  #watch() {
    this.presence.onJoin((key, current) => {
      this.calls.push(current ? `+${key} again` : `+${key}`);
    });
    this.presence.onLeave((key, current) => {
      this.calls.push(current.metas.length === 0 ? `-${key}` : `-${key} in part`);
    });
  }
}
