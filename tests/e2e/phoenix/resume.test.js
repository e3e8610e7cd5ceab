import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { canonical } from "../harness/fold.js";
import { joinResuming, Person } from "../harness/person.js";
import { handshake, RawSocket } from "../harness/raw.js";
import { Server } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const GRACE_MS = 2000;
const GRACE = { PRESENCE__GRACE: `${GRACE_MS}ms` };

suite("resume", GRACE, ({ test, each, server }) => {
  each("within grace nobody sees a leave", async ({ person, page, topic }) => {
    const bob = await page("bob");
    const ann = await joinResuming(await person("ann"), topic, { meta: { color: "red" } });
    await bob.sees("ann", "bob");
    const first = ann.reply;
    const { joined_at } = await bob.meta("ann");

    ann.person.drop({ offline: true });
    const lost = await bob.meta("ann", ({ status }) => status === "reconnecting");
    assert.deepEqual([lost.joined_at, lost.session, lost.color], [joined_at, first.session, "red"]);
    ann.person.offline = false;

    const back = await bob.meta("ann", ({ status }) => status === "active");
    assert.deepEqual([back.joined_at, back.session, back.color], [joined_at, first.session, "red"]);
    await until("the reply to the rejoin", () => ann.replies.length === 2);
    assert.deepEqual([ann.reply.session, ann.reply.joined_at], [first.session, first.joined_at]);
    assert.notEqual(ann.reply.resume, first.resume, "a resume token is good once");
    await ann.sees("ann", "bob");
    assert.ok(!bob.calls.includes("-ann"), `${bob.calls}`);
    assert.ok(!ann.calls.some((call) => call.startsWith("-") && !call.endsWith("part")), ann.calls);
    assert.equal(ann.fold.text(), canonical((await server.presence(topic)).data));
  });

  each("priority survives a lost connection", async ({ person, page, topic }) => {
    const ann = await joinResuming(await person("ann"), topic);
    const bob = await page("bob");
    const { session } = ann.reply;
    ann.person.drop({ offline: true });
    await bob.meta("ann", ({ status }) => status === "reconnecting");
    ann.person.offline = false;
    await bob.meta("ann", ({ status }) => status === "active");
    for (const { prior_session } of bob.received("presence_summary")) {
      assert.equal(prior_session, session);
    }
    await until("the reply to the rejoin", () => ann.replies.length === 2);
    assert.equal(ann.reply.summary.has_presence_edit_priority, true);
  });

  each("after grace it is a leave, and the token is worth nothing", async (scene) => {
    const bob = await scene.page("bob");
    const ann = await joinResuming(await scene.person("ann"), scene.topic);
    await bob.sees("ann", "bob");
    const first = ann.reply;
    const since = performance.now();
    ann.person.drop({ offline: true });
    await bob.sees("bob");
    const took = performance.now() - since;
    assert.ok(took > GRACE_MS - 50 && took < GRACE_MS + 1500, `${took} ms`);
    ann.person.offline = false;
    await bob.sees("ann", "bob");
    assert.notEqual(ann.reply.session, first.session);
    assert.ok(ann.reply.joined_at > first.joined_at);
  });

  test("without the token a reconnect is a new session beside the old", async (scene) => {
    const bob = await scene.page("bob");
    const ann = await scene.page("ann");
    await bob.sees("ann", "bob");
    ann.person.drop();
    await until("two sessions", () => bob.fold.metas("ann").length === 2);
    const fresh = await bob.meta("ann", ({ status }) => status === "active");
    assert.equal(fresh.session, ann.reply.session);
    assert.ok(!bob.calls.includes("-ann"), `${bob.calls}`);
  });

  test("a socket closed with any code but 1000 waits, too", async ({ raw, page, topic }) => {
    const bob = await page("bob");
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", {}]);
    ann.socket.close(4000);
    await bob.meta("ann", ({ status }) => status === "reconnecting");
    await bob.sees("bob");
  });

  test("the newest token takes over a live session", async ({ raw, page, topic }) => {
    const bob = await page("bob");
    const [old, fresh] = [await raw("ann"), await raw("ann")];
    const first = (await old.ask(["1", "1", topic, "phx_join", {}])).response;
    await bob.sees("ann", "bob");
    const { resume } = first;
    const second = (await fresh.ask(["1", "1", topic, "phx_join", { resume }])).response;
    assert.deepEqual([second.session, second.joined_at], [first.session, first.joined_at]);
    const isError = ([, , , event]) => event === "phx_error";
    const error = await old.until("phx_error", isError);
    assert.deepEqual(error, ["1", "1", topic, "phx_error", { reason: "channel_crash" }]);
    const pushed = await old.ask(["1", "2", topic, "typing", { on: false }]);
    assert.equal(pushed.response.reason, "unmatched topic");
    assert.equal(bob.fold.metas("ann").length, 1);
    assert.ok(!bob.calls.includes("-ann"));

    // Two tabs that share a token do not push each other out in turn.
    const third = (await old.ask(["3", "3", topic, "phx_join", { resume }])).response;
    assert.notEqual(third.session, first.session);
    await fresh.ask(["1", "2", topic, "typing", { on: false }]);
    assert.ok(!fresh.frames.some((frame) => frame.includes("phx_error")));
  });

  test("a token is good for its person and its topic", async ({ raw, topic }) => {
    const [ann, eve] = [await raw("ann"), await raw("eve")];
    const first = (await ann.ask(["1", "1", topic, "phx_join", {}])).response;
    const { resume } = first;
    for (const [who, where, token] of [
      [eve, topic, resume],
      [eve, `${topic}0`, resume],
      [ann, `${topic}0`, resume],
      [eve, `${topic}1`, `${resume}x`],
      [eve, `${topic}2`, "x"],
    ]) {
      const ref = `${where}${token.length}`;
      const { status, response } = await who.ask([ref, ref, where, "phx_join", { resume: token }]);
      assert.equal(status, "ok");
      assert.notEqual(response.session, first.session);
    }
    await ann.ask(["1", "9", topic, "typing", { on: false }]);
  });

  test("a session that left is not resumed", async ({ raw, topic }) => {
    const ann = await raw("ann");
    const first = (await ann.ask(["1", "1", topic, "phx_join", {}])).response;
    await ann.ask(["1", "2", topic, "phx_leave", {}]);
    const { resume } = first;
    const again = (await ann.ask(["3", "3", topic, "phx_join", { resume }])).response;
    assert.notEqual(again.session, first.session);
  });

  test("a session that was kicked is not resumed", async ({ raw, topic }) => {
    const ann = await raw("ann");
    const first = (await ann.ask(["1", "1", topic, "phx_join", {}])).response;
    await server.ask("DELETE", `/v1/topics/${topic}/presence/${first.session}`);
    await ann.event("phx_close");
    const { resume } = first;
    const again = (await ann.ask(["3", "3", topic, "phx_join", { resume }])).response;
    assert.notEqual(again.session, first.session);
  });
});

/** Runs `body` with a server of its own, whose life is what the test is about. */
function life(what, env, body) {
  it(what, { timeout: 60_000 }, async () => {
    const server = new Server(env);
    const people = [];
    try {
      await server.start();
      await body(server, async (key, version) => {
        const person = new Person(server, { key, token: await server.token(key), version });
        people.push(person);
        return person.connect();
      });
      for (const person of people) person.check();
    } catch (error) {
      error.message += `\n--- the server's log\n${server.logged()}`;
      throw error;
    } finally {
      for (const person of people) person.disconnect();
      await server.stop();
    }
  });
}

describe("kill -9", () => {
  for (const version of ["1.8", "1.7"]) {
    life(`sessions go on after the restart [phoenix ${version}]`, {}, async (server, person) => {
      const ann = await joinResuming(await person("ann", version), "doc:1", { meta: { a: 1 } });
      const bob = await joinResuming(await person("bob", version), "doc:1");
      const eve = await (await person("eve", version)).join("doc:1");
      const before = [ann, bob, eve].map((page) => page.reply);
      await server.kill();
      await server.start();
      await until("everybody is back", () => [ann, bob, eve].every((p) => p.replies.length === 2));
      await Promise.all([ann, bob, eve].map((page) => page.sees("ann", "bob", "eve")));
      for (const [index, page] of [ann, bob].entries()) {
        assert.equal(page.reply.session, before[index].session);
        assert.equal(page.reply.joined_at, before[index].joined_at);
      }
      assert.notEqual(eve.reply.session, before[2].session, "she had no resume token");
      await eve.summarized("ann is prior as before", ({ prior_session, count }) => {
        return count === 3 && prior_session === ann.reply.session;
      });
      const { data } = await server.presence("doc:1");
      for (const page of [ann, bob, eve]) assert.equal(page.fold.text(), canonical(data));
      const refs = data.flatMap(({ metas }) => metas.map((meta) => meta.phx_ref));
      assert.equal(new Set(refs).size, 3);
    });
  }

  life("twice in a row within grace it is as once", {}, async (server, person) => {
    const ann = await joinResuming(await person("ann"), "doc:1");
    const first = ann.reply;
    ann.person.offline = true;
    await server.kill();
    await server.start();
    await server.kill();
    await server.start();
    ann.person.offline = false;
    await until("ann is back", () => ann.replies.length === 2);
    assert.deepEqual([ann.reply.session, ann.reply.joined_at], [first.session, first.joined_at]);
  });

  life("two lives before is too long ago once grace is over", GRACE, async (server, person) => {
    const ann = await joinResuming(await person("ann"), "doc:1");
    const first = ann.reply;
    ann.person.offline = true;
    await server.kill();
    await server.start();
    const since = performance.now();
    await until("grace is over", () => performance.now() - since > GRACE_MS);
    await server.kill();
    await server.start();
    ann.person.offline = false;
    await until("ann is back", () => ann.replies.length === 2);
    assert.notEqual(ann.reply.session, first.session);
    assert.ok(ann.reply.joined_at > first.joined_at);
  });

  life("a start that fails is no life", {}, async (server, person) => {
    const pages = [];
    for (const key of ["ann", "bob"]) pages.push(await joinResuming(await person(key), "doc:1"));
    const before = pages.map(({ reply }) => [reply.session, reply.joined_at]);
    for (const page of pages) page.person.offline = true;
    await server.kill();
    const squatter = createServer().listen(server.port, "127.0.0.1");
    await once(squatter, "listening");
    // More often than there are lives that a server remembers.
    for (let time = 0; time < 10; time += 1) {
      await assert.rejects(server.start(), /cannot listen/);
    }
    squatter.close();
    await once(squatter, "close");
    await server.start();
    for (const page of pages) page.person.offline = false;
    await until("both are back", () => pages.every((page) => page.replies.length === 2));
    assert.deepEqual(
      pages.map(({ reply }) => [reply.session, reply.joined_at]),
      before,
    );
  });

  /** Joins as ann with a resume token or none, on a socket that stays open. */
  const joinRaw = async (server, resume) => {
    const ann = await RawSocket.open(server, { token: await server.token("ann") });
    const { status, response } = await ann.ask(["1", "1", "doc:1", "phx_join", { resume }]);
    assert.equal(status, "ok");
    return { ann, reply: response };
  };

  for (const [how, end] of [
    [
      "was kicked",
      (server, { session }) => server.ask("DELETE", `/v1/topics/doc:1/presence/${session}`),
    ],
    ["left", (_server, _reply, ann) => ann.ask(["1", "2", "doc:1", "phx_leave", {}])],
  ]) {
    life(`who ${how} after the restart does not come back by an old token`, {}, async (server) => {
      const { reply: first } = await joinRaw(server);
      await server.kill();
      await server.start();
      const { ann, reply: second } = await joinRaw(server, first.resume);
      assert.deepEqual([second.session, second.joined_at], [first.session, first.joined_at]);
      await end(server, second, ann);
      await until("nobody is left", async () => (await server.presence("doc:1")).count === 0);
      for (const { resume } of [first, second]) {
        const { reply } = await joinRaw(server, resume);
        assert.notEqual(reply.session, first.session);
        assert.ok(reply.joined_at > first.joined_at);
      }
    });
  }
});

describe("SIGTERM", () => {
  for (const version of ["1.8", "1.7"]) {
    life(`clients go with 1012, then exit 0 [phoenix ${version}]`, {}, async (server, person) => {
      const people = [await person("ann", version), await person("bob", version)];
      const pages = await Promise.all(people.map((one) => one.join("doc:1")));
      assert.deepEqual(await server.terminate(), { code: 0, signal: null });
      for (const { closes } of people) {
        await until("the close is seen", () => closes.length > 0);
        assert.equal(closes[0].code, 1012);
        const { code, reconnect_after_ms } = JSON.parse(closes[0].reason);
        assert.equal(code, "restart");
        assert.ok(reconnect_after_ms >= 0 && reconnect_after_ms <= 60_000, `${reconnect_after_ms}`);
      }
      await server.start();
      await until("both come back", () => pages.every((page) => page.replies.length === 2));
      await Promise.all(pages.map((page) => page.sees("ann", "bob")));
    });
  }

  life("readiness goes first, and clients one after another", {}, async (server, person) => {
    const keys = Array.from({ length: 60 }, (_, n) => `user${n}`);
    const people = await Promise.all(keys.map((key) => person(key)));
    assert.equal((await server.get("/readyz")).status, 200);
    const path = `/socket/websocket?vsn=2.0.0&token=${await server.token("late")}`;
    const exit = server.terminate();
    const answers = [];
    const upgrades = [];
    const asking = async () => {
      for (;;) {
        answers.push((await server.get("/readyz")).status);
        if (answers.at(-1) === 503) upgrades.push(await handshake(server, { path }));
      }
    };
    await assert.rejects(asking(), { code: /ECONN/ }, "until nobody listens any more");
    assert.ok(answers.includes(503), `${answers}`);
    assert.ok(!answers.slice(answers.indexOf(503)).includes(200), `${answers}`);
    for (const { status, headers } of upgrades) {
      assert.deepEqual([status, /^\d+$/.test(headers["retry-after"])], [503, true]);
    }
    assert.equal((await exit).code, 0);
    await until("all are closed", () => people.every(({ closes }) => closes.length > 0));
    const delays = people.map(({ closes }) => JSON.parse(closes[0].reason).reconnect_after_ms);
    assert.ok(new Set(delays).size > 10, `${delays}`);
  });

  life("a deploy shows no leave of who comes back in time", {}, async (server, person) => {
    const ann = await joinResuming(await person("ann"), "doc:1");
    const first = ann.reply;
    assert.equal((await server.terminate()).code, 0);
    await server.start();
    await until("ann is back", () => ann.replies.length === 2);
    assert.deepEqual([ann.reply.session, ann.reply.joined_at], [first.session, first.joined_at]);
  });

  life("without anybody connected it ends at once", {}, async (server) => {
    const since = performance.now();
    assert.deepEqual(await server.terminate(), { code: 0, signal: null });
    assert.ok(performance.now() - since < 5000);
  });
});
