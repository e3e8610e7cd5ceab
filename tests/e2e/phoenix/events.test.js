// The log of a topic over HTTP: by the page, and as server-sent events that go on after a loss.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { CANARY, look } from "../harness/canary.js";
import { seconds, sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { soon, until } from "../harness/wait.js";

const KEY = { authorization: "ApiKey dev" };

const path = (topic, query = "") => `/v1/topics/${encodeURIComponent(topic)}/events${query}`;

const bearer = (claims) => ({ authorization: `Bearer ${sign(claims)}` });

/** Somebody who listens to server-sent events, as an EventSource does, but with headers. */
class Listener {
  events = [];
  text = "";
  retry = null;
  over = false;

  static async open(server, topic, { query = "", headers = KEY, last } = {}) {
    const outgoing = request(server.http + path(topic, query), {
      headers: {
        accept: "text/event-stream",
        ...headers,
        ...(last !== undefined && { "last-event-id": last }),
      },
      agent: false,
    });
    outgoing.on("error", () => {});
    outgoing.end();
    const [response] = await soon("the answer", once(outgoing, "response"));
    return new Listener(outgoing, response, headers);
  }

  constructor(outgoing, response, { authorization = "" }) {
    this.outgoing = outgoing;
    // Whoever has a key is staff.
    this.token = authorization.startsWith("ApiKey ") ? null : authorization.split(" ")[1];
    this.status = response.statusCode;
    this.headers = response.headers;
    response.setEncoding("utf8");
    response.on("error", () => {});
    response.on("close", () => {
      this.over = true;
    });
    let rest = "";
    response.on("data", (text) => {
      this.text += text;
      rest += text;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.#take(block);
    });
  }

  #take(block) {
    if (this.token !== null) look(this.token, block);
    const field = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
    this.retry = field("retry") ?? this.retry;
    if (field("id") === undefined) return;
    const payload = JSON.parse(field("data"));
    assert.equal(String(payload.seq), field("id"));
    assert.equal(payload.event ?? "pen", field("event"));
    this.events.push(payload);
  }

  get heard() {
    return this.events.map(({ seq, event = "pen" }) => `${seq} ${event}`);
  }

  async hears(expected) {
    await until(
      () => `hears ${expected}, not ${this.heard}`,
      () => this.events.length >= expected.length,
    );
    assert.deepEqual(this.heard, expected);
  }

  ends() {
    return until("the stream ends", () => this.over, 10_000);
  }

  leave() {
    this.outgoing.destroy();
  }
}

suite("events", { AUTH__LEEWAY: "0s" }, ({ test, server }) => {
  const ask = async (method, target, json) => {
    const { status, body } = await server.ask(method, `/v1${target}`, { json });
    assert.ok(status < 300, `${method} ${target}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const create = (user_id) =>
    ask("POST", "/tickets", { title: "It is slow", description: "Since yesterday", user_id });
  const comment = (id, content, is_internal = false) =>
    ask("POST", `/tickets/${id}/comments`, { content, is_internal });
  const page = (topic, query, headers = KEY) => server.get(path(topic, query), headers);
  const carl = bearer({ sub: "carl" });

  test("a page has what its caller may see, under their numbers", async () => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    await comment(id, "a note", true);
    await ask("POST", `/pens/${encodeURIComponent(topic)}/acquire`, {});
    await comment(id, "hello");
    const staff = ["1 ticket_created", "2 internal_note_created", "3 pen", "4 comment_created"];
    const own = ["1 ticket_created", "2 pen", "3 comment_created"];
    for (const [headers, all] of [
      [KEY, staff],
      [bearer({ sub: "eve", role: "agent" }), staff],
      [carl, own],
      [bearer({ sub: "nina", topics: { [topic]: ["view"] } }), own],
    ]) {
      for (let after = 0; after <= all.length; after += 1) {
        const { body } = await page(topic, `?after=${after}&limit=2`, headers);
        const heard = body.data.map(({ seq, event = "pen" }) => `${seq} ${event}`);
        assert.deepEqual(heard, all.slice(after, after + 2));
        const last = after + 2 < all.length ? after + 2 : null;
        assert.equal(body.next_cursor, last);
      }
      const whole = await page(topic, "", headers);
      assert.equal(whole.body.data.length, all.length);
      for (const after of [all.length + 1, 2 ** 40, "18446744073709551615"]) {
        const { status, body } = await page(topic, `?after=${after}`, headers);
        assert.deepEqual([status, body.code], [410, "reset_required"]);
        assert.deepEqual(body.details, { last: all.length });
      }
    }
    for (const query of ["?limit=0", "?limit=1001", "?after=-1", "?after=x"]) {
      assert.equal((await page(topic, query)).status, 422, query);
    }
    const strangers = [bearer({ sub: "dora" }), bearer({ sub: "carl", role: "guest" })];
    for (const headers of strangers) {
      const { status, body } = await page(topic, "", headers);
      assert.deepEqual([status, body.code], [404, "not_found"]);
      const listener = await Listener.open(server, topic, { headers });
      assert.equal(listener.status, 404);
    }
    assert.equal((await page(`tickets:${randomUUID()}`, "")).status, 404);
    assert.equal((await page("tickets:all", "", carl)).status, 404);
    assert.equal((await page(topic, "", {})).status, 401);
  });

  test("a listener hears what was and what comes, also after a restart", async () => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const secret = `${CANARY} ${randomUUID()}`;
    await comment(id, secret, true);
    const staff = await Listener.open(server, topic);
    const own = await Listener.open(server, topic, { headers: carl, query: "?after=1" });
    assert.deepEqual(
      [staff.status, staff.headers["content-type"], staff.headers["cache-control"]],
      [200, "text/event-stream", "no-store"],
    );
    await comment(id, "one");
    await comment(id, secret, true);
    await comment(id, "two");
    const first = [
      "1 ticket_created",
      "2 internal_note_created",
      "3 comment_created",
      "4 internal_note_created",
      "5 comment_created",
    ];
    await staff.hears(first);
    await own.hears(["2 comment_created", "3 comment_created"]);
    assert.ok(!own.text.includes(secret) && staff.text.includes(secret));
    // Nobody is shown for listening.
    assert.deepEqual((await server.presence(topic)).data, []);
    await server.kill();
    await Promise.all([staff.ends(), own.ends()]);
    await server.start();
    await comment(id, "three");
    const again = await Listener.open(server, topic, { last: "5", query: "?after=0" });
    const back = await Listener.open(server, topic, { headers: carl, last: "3" });
    await comment(id, secret, true);
    await comment(id, "four");
    await again.hears(["6 comment_created", "7 internal_note_created", "8 comment_created"]);
    await back.hears(["4 comment_created", "5 comment_created"]);
    assert.ok(!back.text.includes(secret));
    for (const last of ["9", "x", "-1"]) {
      const { status } = await Listener.open(server, topic, { last });
      assert.equal(status, 410, last);
    }
    again.leave();
    back.leave();
  });

  test("a long log is told whole, while more is written", async () => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const text = "x".repeat(9_000);
    const write = async (count) => {
      for (let n = 0; n < count; n += 1) await comment(id, text);
    };
    await write(60);
    const listeners = [];
    const opening = async () => {
      for (let n = 0; n < 5; n += 1) {
        const headers = n % 2 ? carl : KEY;
        listeners.push(await Listener.open(server, topic, { headers, query: "?after=0" }));
      }
    };
    await Promise.all([opening(), write(60)]);
    for (const listener of listeners) {
      await until("all is told", () => listener.events.length >= 121, 20_000);
      const seqs = listener.events.map(({ seq }) => seq);
      assert.deepEqual(
        seqs,
        Array.from({ length: 121 }, (_, n) => n + 1),
      );
      listener.leave();
    }
  });

  test("a stream ends with the right to it", async () => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const short = await Listener.open(server, topic, {
      headers: bearer({ sub: "carl", exp: seconds(2) }),
    });
    const revoked = await Listener.open(server, topic, {
      headers: bearer({ sub: "carl", jti: "tok-1", iat: seconds(0) }),
    });
    const kept = await Listener.open(server, topic, { headers: carl });
    for (const listener of [short, revoked, kept]) await listener.hears(["1 ticket_created"]);
    await ask("POST", "/revocations", { jti: "tok-1", until: seconds(3600) * 1000 });
    await revoked.ends();
    await short.ends();
    await comment(id, "later");
    await kept.hears(["1 ticket_created", "2 comment_created"]);
    assert.deepEqual([short.heard.length, revoked.heard.length], [1, 1]);
    await ask("DELETE", `/tickets/${id}`);
    await kept.ends();
    assert.equal(kept.heard.at(-1), "3 ticket_deleted");
    const { status } = await Listener.open(server, topic, { headers: carl, last: "3" });
    assert.equal(status, 404);
  });

  test("an application's topic has its pen's events, and no broadcasts", async ({
    page: join,
    topic,
  }) => {
    const ann = await join("ann");
    const listener = await Listener.open(server, topic, {
      headers: bearer({ sub: "bob", role: "viewer" }),
    });
    await ann.ask("broadcast", { event: "moved", payload: { seq: 1 } });
    const { pen } = await ann.ask("pen_acquire");
    await ann.ask("pen_release", { fence: pen.fence });
    await listener.hears(["1 pen", "2 pen"]);
    const { body } = await page(topic, "?after=1");
    assert.deepEqual(body.data, ann.received("pen").slice(1));
    listener.leave();
  });

  test("whoever listens is counted, and sent away when the server stops", async () => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const listeners = [];
    for (let n = 0; n < 20; n += 1) {
      listeners.push(
        await Listener.open(server, topic, { headers: bearer({ sub: "greta", role: "agent" }) }),
      );
    }
    const headers = bearer({ sub: "greta", role: "agent" });
    const full = await Listener.open(server, topic, { headers });
    assert.deepEqual([full.status, full.headers["retry-after"]], [429, "5"]);
    listeners.pop().leave();
    await until("a place is free", async () => {
      const next = await Listener.open(server, topic, { headers });
      if (next.status !== 200) return false;
      listeners.push(next);
      return true;
    });
    const exit = server.terminate();
    for (const listener of listeners) {
      await listener.ends();
      assert.ok(Number(listener.retry) >= 500, listener.text);
    }
    assert.deepEqual(await soon("the exit", exit, 15_000), { code: 0, signal: null });
    await server.start();
  });
});
