// People with the unmodified npm realtime-js: a Subscriber has a client, a Room is a channel of it.

import assert from "node:assert/strict";
import * as realtime119 from "@supabase/realtime-js";
import * as realtime88 from "realtime288";
import WebSocket from "ws";
import { Fold } from "./fold.js";
import { soon, until } from "./wait.js";

/** The clients that every suite of the dialect must work with; 2.88 speaks V1 by default. */
export const REALTIME_VERSIONS = { 2.119: realtime119, 2.88: realtime88 };

/** Nobody listens there: what a laptop without network connects to. */
const NOWHERE = "ws://127.0.0.1:9";

export class Subscriber {
  rooms = [];
  /** The close events of the socket, as `{ code, reason }`. */
  closes = [];
  offline = false;
  #lines = [];

  constructor(server, { key, token, version }) {
    const { RealtimeClient } = REALTIME_VERSIONS[version];
    this.key = key;
    /** Sent with each connection; what `setAuth` sets does not change it. */
    this.token = token;
    this.version = version;
    const subscriber = this;
    const line = class extends WebSocket {
      constructor(url, protocols) {
        super(subscriber.offline ? NOWHERE : url, protocols);
        subscriber.#lines.push(this);
        // Before the client, which changes what it is handed.
        this.on("message", (data, isBinary) => {
          if (!isBinary) subscriber.#receive(JSON.parse(data));
        });
        // A client that is ended while it connects has nobody left to tell.
        this.on("error", () => {});
        this.on("close", (code, reason) => {
          subscriber.closes.push({ code, reason: reason.toString() });
        });
      }
    };
    const params = {
      get apikey() {
        return subscriber.token;
      },
    };
    this.client = new RealtimeClient(server.ws, {
      params,
      transport: line,
      timeout: 4000,
      // 2.88 joins again after this, too, answered or not, and then takes itself for another.
      reconnectAfterMs: () => 300,
    });
  }

  /** Subscribes and waits until that is done; see `open`. */
  async subscribe(topic, config, options) {
    const room = this.open(topic, config, options);
    await room.subscribed();
    return room;
  }

  /**
   * Subscribes and waits for nothing. Without `listens` the room does not care for presence; `tracks`
   * is a meta that it shows after each join.
   */
  open(topic, config = {}, options = {}) {
    const room = new Room(this, topic, config, options);
    this.rooms.push(room);
    return room;
  }

  /** Subscribes in vain; returns what the client is told. It will try again by itself. */
  async refused(topic, config, options) {
    const room = this.open(topic, config, options);
    await until(`the join of ${topic} is refused`, () => room.statuses.length > 0);
    const [{ status, error }] = room.statuses;
    assert.equal(status, "CHANNEL_ERROR", `${error}`);
    return error.message;
  }

  /** Loses the connection without a goodbye; stays away while `offline`. */
  drop({ offline = false } = {}) {
    this.offline = offline;
    this.#lines.at(-1).terminate();
  }

  /** Ends the client for good. Its own `disconnect` would keep the process waiting for ten seconds. */
  disconnect() {
    const { socketAdapter } = this.client;
    if (socketAdapter) socketAdapter.getSocket().disconnect();
    else this.client.disconnect();
    this.client._cancelPendingDisconnect?.();
  }

  check() {
    for (const room of this.rooms) room.check();
  }

  /** Reads a frame of V2 or V1. */
  #receive(frame) {
    const [, , topic, event, payload] = Array.isArray(frame)
      ? frame
      : [null, null, frame.topic, frame.event, frame.payload];
    for (const room of this.rooms) if (room.topic === topic) room.receive(event, payload);
  }
}

export class Room {
  /** What `subscribe` called back: `{ status, error }`. */
  statuses = [];
  /** What the presence events of the channel said: `+key` and `-key`, as in a `Page`. */
  calls = [];
  syncs = 0;
  /** The broadcasts heard, as they were handed over. */
  heard = [];
  fold = new Fold();
  /** The replies to its joins. */
  replies = [];
  /** Every text frame of the topic, `{ event, payload }`. */
  events = [];
  #faults = [];

  constructor(subscriber, topic, config, { listens = true, tracks, changes } = {}) {
    this.subscriber = subscriber;
    this.topic = topic;
    this.channel = subscriber.client.channel(topic.replace(/^realtime:/, ""), { config });
    this.channel.on("broadcast", { event: "*" }, (message) => this.heard.push(message));
    if (listens) this.#listen();
    if (changes) this.channel.on("postgres_changes", changes, () => {});
    this.channel.subscribe((status, error) => {
      this.statuses.push({ status, error });
      if (status === "SUBSCRIBED" && tracks) this.channel.track(tracks);
    });
  }

  async subscribed(times = 1) {
    const name = () => `${this.subscriber.key} on ${this.topic}: ${this.#told()}`;
    const count = () => this.statuses.filter(({ status }) => status === "SUBSCRIBED").length;
    await until(name, () => count() >= times);
  }

  /** The answers to what it has asked, `{ status, response }`. */
  get answers() {
    return this.events.filter(({ event }) => event === "phx_reply").map(({ payload }) => payload);
  }

  /** The reply to the latest join. */
  get reply() {
    return this.replies.at(-1);
  }

  /** Shows itself with `meta`, or what it says of itself anew. */
  async track(meta) {
    assert.equal(await soon("answer to track", this.channel.track(meta)), "ok");
  }

  async untrack() {
    assert.equal(await soon("answer to untrack", this.channel.untrack()), "ok");
  }

  /** Sends a broadcast; with `ack` in the configuration returns what came of it. */
  send(event, payload) {
    return soon(`${event} is sent`, this.channel.send({ type: "broadcast", event, payload }));
  }

  /** Waits for a broadcast whose payload fits; looks at those that have come, too. */
  async next(event, fits = () => true) {
    const name = () => `${event} for ${this.subscriber.key}, of ${JSON.stringify(this.heard)}`;
    const found = ({ event: heard, payload }) => heard === event && fits(payload);
    const message = await until(name, () => this.heard.find(found));
    assert.equal(message.type, "broadcast");
    return message.payload;
  }

  /** The payloads of an event so far. */
  received(event) {
    return this.heard.filter((message) => message.event === event).map(({ payload }) => payload);
  }

  /** Waits until exactly these keys are present, by the fold and by realtime-js. */
  async sees(...keys) {
    const wanted = keys.toSorted().join();
    const name = () => `${this.subscriber.key} sees ${wanted}, not ${this.fold.keys()}`;
    await until(name, () => this.fold.states > 0 && this.fold.keys().join() === wanted);
    const listed = Object.keys(this.channel.presenceState());
    assert.equal(listed.toSorted().join(), wanted, "realtime-js sees the same people");
  }

  /** Waits until the only presence of `key` fits, and returns it as realtime-js has it. */
  async presence(key, fits = () => true) {
    const known = () => this.channel.presenceState()[key] ?? [];
    const name = () => `a presence of ${key} that fits, of ${JSON.stringify(known())}`;
    await until(name, () => known().length === 1 && fits(known()[0]));
    return known()[0];
  }

  /** Fails when the server sent what no honest server sends. */
  check() {
    assert.deepEqual(this.#faults, [], `presence of ${this.subscriber.key} on ${this.topic}`);
  }

  /** Takes note of a frame, as the server sent it. */
  receive(event, payload) {
    this.events.push({ event, payload });
    if (event === "phx_reply" && payload.response.session) {
      this.fold.forget();
      this.replies.push(payload.response);
    }
    if (this.replies.length === 0) return;
    try {
      if (event === "presence_state") this.fold.state(payload);
      if (event === "presence_diff") this.fold.diff(payload);
    } catch (error) {
      this.#faults.push(`${error.message}: ${event} ${JSON.stringify(payload)}`);
    }
  }

  #listen() {
    this.channel.on("presence", { event: "sync" }, () => {
      this.syncs += 1;
    });
    this.channel.on("presence", { event: "join" }, ({ key, currentPresences }) => {
      this.calls.push(currentPresences.length > 0 ? `+${key} again` : `+${key}`);
    });
    this.channel.on("presence", { event: "leave" }, ({ key, currentPresences }) => {
      this.calls.push(currentPresences.length > 0 ? `-${key} in part` : `-${key}`);
    });
  }

  #told() {
    return this.statuses.map(({ status, error }) => `${status} ${error?.message ?? ""}`).join();
  }
}
