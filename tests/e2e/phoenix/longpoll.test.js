import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { canonical } from "../harness/fold.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const PATH = "/socket/longpoll?vsn=2.0.0";

/** Somebody who polls by hand. */
class Poller {
  constructor(server, token) {
    this.server = server;
    this.query = `${PATH}&token=${token}`;
  }

  /** Begins a session. */
  async begin() {
    const { status, token, messages } = await this.get();
    assert.deepEqual([status, messages], [410, []]);
    this.query += `&token=${token}`;
    return this;
  }

  async get(headers = {}) {
    const answer = await this.server.ask("GET", this.query, { headers });
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /application\/json/);
    assert.equal(answer.headers["cache-control"], "no-store");
    return answer.body;
  }

  async post(...lines) {
    const options = { method: "POST", headers: { "content-type": "application/x-ndjson" } };
    const body = lines
      .map((line) => (typeof line === "string" ? line : JSON.stringify(line)))
      .join("\n");
    const answer = await fetch(this.server.http + this.query, { ...options, body });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  /** Polls until a frame fits; returns all since. */
  async until(fits) {
    const frames = [];
    while (!frames.some(fits)) {
      const { status, messages } = await this.get();
      assert.ok(status === 200 || status === 204, `${status} after ${JSON.stringify(frames)}`);
      frames.push(...messages.map((message) => JSON.parse(message)));
    }
    return frames;
  }

  async join(topic) {
    assert.deepEqual(await this.post(["1", "1", topic, "phx_join", {}]), { status: 200 });
    return this.until(([, ref, , event]) => event === "phx_reply" && ref === "1");
  }
}

suite("long polling", { PRESENCE__GRACE: "300ms" }, ({ test, server }) => {
  const poller = async (user, options) => new Poller(server, await server.token(user, options));

  // 1.7 looks for what only browsers have.
  test("npm phoenix works as over a WebSocket", async ({ page, topic }) => {
    const ann = await page("ann", {}, { polls: true });
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    await bob.sees("ann", "bob");
    for (let n = 0; n < 40; n += 1) bob.push("broadcast", { event: "said", payload: { n } });
    await until("all is heard", () => ann.received("said").length === 40);
    assert.deepEqual(
      ann.received("said").map(({ n }) => n),
      [...Array(40).keys()],
    );
    await ann.ask("presence_update", { meta: { color: "red" } });
    await bob.meta("ann", ({ color }) => color === "red");
    const { data } = await server.presence(topic);
    assert.equal(ann.fold.text(), canonical(data));
    await ann.leave();
    await bob.sees("bob");
  });

  test("a restart of the server is noticed, and the topics joined again", async ({ page }) => {
    const ann = await page("ann", {}, { polls: true });
    await server.kill();
    await server.start();
    const bob = await page("bob");
    await bob.sees("ann", "bob");
    await ann.sees("ann", "bob");
  });

  test("frames, in the order of the lines, and a wait that ends empty", async ({ raw, topic }) => {
    const ann = await (await poller("ann")).begin();
    const bob = await raw("bob");
    await ann.join(topic);
    await bob.ask(["1", "1", topic, "phx_join", {}]);
    const data = Buffer.from([
      0,
      1,
      1,
      topic.length,
      13,
      ...Buffer.from(`12${topic}broadcast:pic`),
      9,
    ]);
    const ok = await ann.post(
      ["1", "2", topic, "broadcast", { event: "one", payload: {} }],
      "",
      data.toString("base64"),
      ["1", "3", topic, "broadcast", { event: "two", payload: {} }],
    );
    assert.deepEqual(ok, { status: 200 });
    await bob.event("one");
    const picture = await bob.frame();
    assert.ok(Buffer.isBuffer(picture), `${picture}`);
    await bob.event("two");
    bob.send(data);
    bob.send(["1", "4", topic, "broadcast", { event: "three", payload: {} }]);
    const heard = await ann.until(([, , , event]) => event === "three");
    assert.ok(!heard.some(([, , , event]) => event === "pic"), "no binary frames");
    const started = Date.now();
    const { status, messages } = await ann.get();
    assert.deepEqual([status, messages], [204, []]);
    assert.ok(Date.now() - started > 9_000);
  });

  test("who is silent is gone, who waits is not", async ({ page, topic }) => {
    const eve = await page("eve");
    const [quiet, patient] = [
      await (await poller("quiet")).begin(),
      await (await poller("patient")).begin(),
    ];
    await quiet.join(topic);
    await patient.join(topic);
    await eve.sees("eve", "patient", "quiet");
    const waiting = (async () => {
      for (let turn = 0; turn < 3; turn += 1) await patient.get();
    })();
    await until("the silent one is gone", () => !eve.fold.keys().includes("quiet"), 25_000);
    assert.ok(eve.fold.keys().includes("patient"));
    assert.deepEqual(await quiet.post(["1", "9", topic, "phx_leave", {}]), { status: 410 });
    const { status, token } = await quiet.get();
    assert.equal(status, 410, "it begins anew");
    assert.notEqual(token, undefined);
    await waiting;
  });

  test("tokens, origins and lines that are not right", async ({ topic }) => {
    const ask = async (path, headers = {}) => (await server.ask("GET", path, { headers })).body;
    const good = await server.token("ann");
    assert.deepEqual(await ask(PATH), { status: 403 });
    assert.deepEqual(await ask(`${PATH}&token=wrong`), { status: 403 });
    assert.deepEqual(await ask(`/socket/longpoll?vsn=9&token=${good}`), { status: 403 });
    assert.deepEqual(await ask(`${PATH}&token=${good}`, { origin: "https://evil.example" }), {
      status: 403,
    });
    const begun = await ask(PATH, { "x-phoenix-authtoken": good });
    assert.equal(begun.status, 410);
    const ann = new Poller(server, good);
    ann.query = PATH;
    assert.deepEqual(await ann.post("[]"), { status: 410 }, "without a session");
    const session = { "x-phoenix-longpoll-token": begun.token };
    const posted = await fetch(server.http + PATH, { method: "POST", headers: session, body: "" });
    assert.deepEqual(await posted.json(), { status: 200 });
    ann.query = `${PATH}&token=${good}&token=${begun.token}`;
    assert.deepEqual(await ann.post(...Array(101).fill("[]")), { status: 400 });
    await ann.join(topic);
    const preflight = await server.ask("OPTIONS", PATH, {
      headers: {
        origin: "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-phoenix-authtoken",
      },
    });
    assert.equal(preflight.status, 200);
    assert.equal(preflight.headers["access-control-allow-origin"], "http://localhost:3000");
    assert.match(preflight.headers["access-control-allow-headers"], /x-phoenix-authtoken/);
  });

  test("the limits of a socket hold, and its end is told", async ({ topic }) => {
    const ann = await (await poller("ann")).begin();
    await ann.join(topic);
    const long = JSON.stringify(["1", "2", topic, "broadcast", { x: "x".repeat(65_536) }]);
    // Before it is posted: the end may be told while the answer to that is on its way.
    const told = assert.rejects(
      ann.until(() => false),
      /(500|410) after/,
    );
    await ann.post(long);
    await told;
    const malformed = await (await poller("ann")).begin();
    const answered = assert.rejects(
      malformed.until(() => false),
      /(500|410) after/,
    );
    await malformed.post("{", "not base64!", "[1]");
    await answered;
  });

  test("a revoked subject's session ends at once", async () => {
    const ann = await (await poller("gone")).begin();
    const waiting = ann.get();
    await setTimeout(50);
    const { body } = await server.ask("POST", "/v1/revocations", { json: { sub: "gone" } });
    assert.deepEqual(body, { closed: 1 });
    // A request that comes just after the end is one of nobody.
    assert.ok([500, 403].includes((await waiting).status));
    assert.deepEqual(await ann.get(), { status: 403 });
  });

  test("who does not ask for what is said holds no more than a slow socket", async (scene) => {
    const { raw, topic } = scene;
    const slow = await (await poller("slow")).begin();
    const bob = await raw("bob");
    await slow.join(topic);
    await bob.ask(["1", "1", topic, "phx_join", {}]);
    const told = async () => {
      let bytes = 0;
      for (;;) {
        const { status, messages } = await slow.get();
        if (status !== 200) return { status, bytes };
        bytes += messages.reduce((sum, message) => sum + message.length, 0);
      }
    };
    const x = "x".repeat(60_000);
    for (let n = 0; n < 20; n += 1) {
      await bob.ask(["1", `${n}`, topic, "broadcast", { event: "said", payload: { x } }]);
    }
    const { status, bytes } = await told();
    assert.ok([500, 410].includes(status), `${status}`);
    assert.ok(bytes <= 2 * 262_144, `${bytes} bytes were kept`);
    await until("it is closed as too slow", async () => {
      const { body } = await server.ask("GET", "/metrics");
      return /connections_closed_total\{code="slow_consumer"\} [1-9]/.test(body);
    });
  });

  test("binary frames are as large as any", async ({ raw, topic }) => {
    const ann = await (await poller("ann")).begin();
    const bob = await raw("bob");
    await ann.join(topic);
    await bob.ask(["1", "1", topic, "phx_join", {}]);
    const name = "broadcast:pic";
    const head = [0, 1, 1, topic.length, name.length, ...Buffer.from(`12${topic}${name}`)];
    const frame = (bytes) => Buffer.concat([Buffer.from(head), Buffer.alloc(bytes - head.length)]);
    assert.deepEqual(await ann.post(frame(65_536).toString("base64")), { status: 200 });
    let heard;
    do heard = await bob.frame();
    while (!Buffer.isBuffer(heard));
    const told = ann.until(() => false);
    await ann.post(frame(65_537).toString("base64"));
    await assert.rejects(told, /(500|410) after/);
  });
});

const SELDOM = { LIMITS__HTTP_REQUESTS_PER_SECOND: "20", LIMITS__HTTP_REQUESTS_BURST: "20" };

suite("long polling, too often", SELDOM, ({ test, server }) => {
  test("waits, or is told so in the body, and npm phoenix goes on", async ({ page, topic }) => {
    const token = await server.token("ann");
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const answer = await fetch(`${server.http}${PATH}&token=wrong${token}`);
        assert.equal(answer.status, 200);
        return (await answer.json()).status;
      }),
    );
    assert.deepEqual([...new Set(statuses)].sort(), [403, 500], "some waited for too long");
    const ann = await page("ann", {}, { polls: true });
    await ann.sees("ann");
    assert.equal((await server.presence(topic)).data.length, 1);
  });

  test("a body that is too large is told there too", async () => {
    const ann = await new Poller(server, await server.token("ann")).begin();
    assert.deepEqual(await ann.post("x".repeat(1_100_000)), { status: 413 });
  });
});
