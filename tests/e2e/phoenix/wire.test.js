// Frames byte by byte, on a socket without a client library.

import assert from "node:assert/strict";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const OK = '{"status":"ok","response":{}}';

suite("wire, V2", {}, ({ test, server }) => {
  test("heartbeat", async ({ raw }) => {
    const ann = await raw("ann");
    ann.send('["1","5","phoenix","heartbeat",{}]');
    assert.equal(await ann.frame(), `[null,"5","phoenix","phx_reply",${OK}]`);
    ann.send('[null,"6","phoenix","heartbeat",{}]');
    assert.equal(await ann.frame(), `[null,"6","phoenix","phx_reply",${OK}]`);
  });

  test("join, leave, close", async ({ raw, topic }) => {
    const ann = await raw("ann");
    ann.send(`["1","1","${topic}","phx_join",{}]`);
    const reply = `["1","1","${topic}","phx_reply",{"status":"ok","response":{"`;
    assert.ok((await ann.frame()).startsWith(reply));
    await ann.event("presence_summary");
    ann.send(`["1","2","${topic}","phx_leave",{}]`);
    assert.equal(await ann.frame(), `["1","2","${topic}","phx_reply",${OK}]`);
    assert.equal(await ann.frame(), `["1","1","${topic}","phx_close",{}]`);
  });

  test("leaving twice is ok, and closes once", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(["1", "2", topic, "phx_leave", {}]);
    ann.send(["1", "3", topic, "phx_leave", {}]);
    ann.send(["1", "4", "doc:never", "phx_leave", {}]);
    ann.send([null, "5", "phoenix", "heartbeat", {}]);
    for (const ref of ["2", "3", "4"]) {
      assert.deepEqual(await ann.reply(ref), { status: "ok", response: {} });
    }
    await ann.reply("5");
    const closes = ann.frames.filter((frame) => frame.includes("phx_close"));
    assert.deepEqual(closes, [`["1","1","${topic}","phx_close",{}]`]);
  });

  test("a second join closes the first, after the reply", async ({ raw, page, topic }) => {
    const bob = await page("bob");
    const ann = await raw("ann");
    const first = await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(["4", "4", topic, "phx_join", { presence: false }]);
    const reply = JSON.parse(await ann.frame());
    assert.deepEqual(reply.slice(0, 4), ["4", "4", topic, "phx_reply"]);
    assert.equal(reply[4].status, "ok");
    assert.notEqual(reply[4].response.session, first.response.session);
    assert.equal(await ann.frame(), `["1","1","${topic}","phx_close",{}]`);
    const { status } = await ann.ask(["4", "5", topic, "broadcast", { event: "alive" }]);
    assert.equal(status, "ok");
    await bob.next("alive");
  });

  test("a refused join ends what was joined before, after the error", async (scene) => {
    const bob = await scene.page("bob");
    const ann = await scene.raw("ann");
    const { topic } = scene;
    const refused = [
      ["invalid_meta", { meta: 7 }],
      ["meta_too_large", { meta: { a: "x".repeat(1024) } }],
      ["invalid_payload", { mode: "root" }],
      ["invalid_payload", { presence: false, resume: 7 }],
    ];
    for (const [index, [code, payload]] of refused.entries()) {
      const [old, anew, late] = [`${index}a`, `${index}b`, `${index}c`];
      await ann.ask([old, old, topic, "phx_join", {}]);
      await ann.event("presence_summary");
      await bob.sees("ann", "bob");
      ann.send([anew, anew, topic, "phx_join", payload]);
      const [joinRef, ref, , event, { status, response }] = JSON.parse(await ann.frame());
      assert.deepEqual([joinRef, ref, event, status], [anew, anew, "phx_reply", "error"]);
      assert.equal(response.code, code);
      assert.equal(await ann.frame(), `["${old}","${old}","${topic}","phx_close",{}]`, code);
      await bob.sees("bob");
      assert.equal((await server.presence(topic)).count, 1);
      const pushed = await ann.ask([old, late, topic, "typing", { on: false }]);
      assert.equal(pushed.response.reason, "unmatched topic");
    }
  });

  test("a second join replaces the person's presence", async ({ raw, page, topic }) => {
    const bob = await page("bob");
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", {}]);
    await bob.sees("ann", "bob");
    const { response } = await ann.ask(["2", "2", topic, "phx_join", {}]);
    await bob.meta("ann", ({ session }) => session === response.session);
    assert.ok(!bob.calls.includes("-ann"), `${bob.calls}`);
    assert.equal((await server.presence(topic)).count, 2);
  });

  test("a push with the join_ref of an earlier join is ignored", async ({ raw, page, topic }) => {
    const bob = await page("bob");
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", {}]);
    await ann.ask(["2", "2", topic, "phx_join", {}]);
    ann.send(["1", "3", topic, "broadcast", { event: "stale" }]);
    ann.send(["1", "4", topic, "phx_leave", {}]);
    ann.send([2, "5", topic, "broadcast", { event: "stale" }]);
    assert.equal((await ann.ask(["2", "6", topic, "broadcast", { event: "live" }])).status, "ok");
    await bob.next("live");
    assert.deepEqual(bob.received("stale"), []);
    const stale = ann.frames
      .map((frame) => JSON.parse(frame))
      .filter(([, ref]) => {
        return ["3", "4", "5"].includes(ref);
      });
    assert.deepEqual(stale, []);
  });

  test("refs are echoed as they were written", async ({ raw, topic }) => {
    const ann = await raw("ann");
    ann.send(`[7,7,"${topic}","phx_join",{"presence":false}]`);
    assert.ok((await ann.frame()).startsWith(`[7,7,"${topic}","phx_reply",{"status":"ok",`));
    ann.send(`[7,3.50,"${topic}","typing",{"on":false}]`);
    assert.equal(await ann.frame(), `[7,3.50,"${topic}","phx_reply",${OK}]`);
    ann.send(`["7","8","${topic}","typing",{"on":false}]`);
    ann.send(`[null,"9","${topic}","typing",{"on":false},"more",["elements"]]`);
    assert.equal(await ann.frame(), `[7,"9","${topic}","phx_reply",${OK}]`);
    ann.send(`[7,"é\\n","${topic}","phx_leave",{}]`);
    const [joinRef, ref] = JSON.parse(await ann.frame());
    assert.deepEqual([joinRef, ref], [7, "é\n"]);
    assert.equal(await ann.frame(), `[7,7,"${topic}","phx_close",{}]`);
  });

  test("a join without join_ref takes its ref", async ({ raw, topic }) => {
    const ann = await raw("ann");
    ann.send([null, "3", topic, "phx_join", { presence: false }]);
    assert.ok((await ann.frame()).startsWith(`["3","3","${topic}","phx_reply",{"status":"ok",`));
    ann.send(["3", "4", topic, "phx_leave", {}]);
    assert.equal(await ann.frame(), `["3","4","${topic}","phx_reply",${OK}]`);
    assert.equal(await ann.frame(), `["3","3","${topic}","phx_close",{}]`);
  });

  test("leave and join in one go keep their order", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(["1", "2", topic, "phx_leave", {}]);
    ann.send(["3", "3", topic, "phx_join", { presence: false }]);
    assert.equal(await ann.frame(), `["1","2","${topic}","phx_reply",${OK}]`);
    assert.equal(await ann.frame(), `["1","1","${topic}","phx_close",{}]`);
    assert.ok((await ann.frame()).startsWith(`["3","3","${topic}","phx_reply",{"status":"ok",`));
  });

  test("who gives no ref gets no reply, and is heard", async ({ raw, topic }) => {
    const [ann, bob] = [await raw("ann"), await raw("bob")];
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    await bob.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(`["1",null,"${topic}","broadcast",{"event":"a","payload":{"n" : 1}}]`);
    assert.match(await bob.frame(), /^\[null,null,"doc:\d+","a",\{"n" ?: ?1\}\]$/);
    await ann.ask(["1", "2", topic, "typing", { on: false }]);
    assert.equal(ann.frames.length, 2, "two replies and nothing else");
  });

  test("typing as the others receive it", async ({ raw, topic }) => {
    const [ann, bob] = [await raw("ann"), await raw("bob")];
    const { session } = (await ann.ask(["1", "1", topic, "phx_join", {}])).response;
    await bob.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(["1", "2", topic, "typing", { on: true }]);
    const said = `{"key":"ann","session":"${session}","on":true}`;
    assert.equal(await bob.frame(), `[null,null,"${topic}","typing",${said}]`);
  });

  test("binary push and broadcast", async ({ raw, topic }) => {
    const [ann, bob] = [await raw("ann"), await raw("bob")];
    await ann.ask(["40", "40", topic, "phx_join", { presence: false }]);
    await bob.ask(["1", "1", topic, "phx_join", { presence: false }]);
    const event = "broadcast:bin";
    const push = Buffer.concat([
      Buffer.from([0, 2, 2, topic.length, event.length]),
      Buffer.from(`4041${topic}${event}`),
      Buffer.from([1, 2]),
    ]);
    ann.send(push);
    assert.deepEqual(await ann.reply("41"), { status: "ok", response: {} });
    const head = Buffer.from([2, topic.length, 3]);
    const broadcast = Buffer.concat([head, Buffer.from(`${topic}bin`), Buffer.from([1, 2])]);
    assert.deepEqual(await bob.frame(), broadcast);
  });

  test("binary where only JSON is understood closes the socket", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    const push = Buffer.from(
      `\0\x01\x01${String.fromCharCode(topic.length)}\x0612${topic}typing{}`,
    );
    ann.send(push);
    assert.equal((await ann.ended()).code, 1003);
  });

  test("the server compresses nothing", async ({ raw }) => {
    const ann = await raw("ann");
    assert.equal(ann.socket.extensions, "");
  });
});

suite("wire, V1", {}, ({ test }) => {
  test("objects, without join_ref", async ({ raw, topic }) => {
    for (const vsn of [null, "1.0.0"]) {
      const ann = await raw("ann", { vsn });
      ann.send('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}');
      assert.equal(
        await ann.frame(),
        `{"topic":"phoenix","event":"phx_reply","payload":${OK},"ref":"1"}`,
      );
      ann.send(`{"topic":"${topic}","event":"phx_join","payload":{},"ref":"2","join_ref":"2"}`);
      const reply = JSON.parse(await ann.frame());
      assert.deepEqual(Object.keys(reply), ["topic", "event", "payload", "ref"]);
      assert.deepEqual([reply.topic, reply.event, reply.ref], [topic, "phx_reply", "2"]);
      assert.equal(reply.payload.status, "ok");
      const state = JSON.parse(await ann.frame());
      assert.deepEqual(Object.keys(state), ["topic", "event", "payload", "ref"]);
      assert.deepEqual([state.event, state.ref], ["presence_state", null]);
      assert.equal(JSON.parse(await ann.frame()).event, "presence_summary");
      ann.send(`{"topic":"${topic}","event":"phx_leave","payload":{},"ref":"3"}`);
      assert.equal(
        await ann.frame(),
        `{"topic":"${topic}","event":"phx_reply","payload":${OK},"ref":"3"}`,
      );
      assert.equal(
        await ann.frame(),
        `{"topic":"${topic}","event":"phx_close","payload":{},"ref":"2"}`,
      );
    }
  });

  test("both versions hear each other, and binary reaches V2 only", async ({ raw, topic }) => {
    const old = await raw("old", { vsn: null });
    const ann = await raw("ann");
    old.send({ topic, event: "phx_join", payload: { presence: false }, ref: "1" });
    await old.frame();
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    old.send({ topic, event: "broadcast", payload: { event: "a", payload: { n: 1 } }, ref: 2 });
    assert.equal(
      await old.frame(),
      `{"topic":"${topic}","event":"phx_reply","payload":${OK},"ref":2}`,
    );
    assert.equal(await ann.frame(), `[null,null,"${topic}","a",{"n":1}]`);
    const push = `\0\x01\x01${String.fromCharCode(topic.length)}\x0d12${topic}broadcast:bin`;
    ann.send(Buffer.from(push));
    ann.send(["1", "3", topic, "broadcast", { event: "b" }]);
    assert.equal(await old.frame(), `{"topic":"${topic}","event":"b","payload":{},"ref":null}`);
  });

  test("binary is not understood", async ({ raw }) => {
    const old = await raw("old", { vsn: null });
    old.send(Buffer.from([0, 0, 0, 0, 0]));
    assert.equal((await old.ended()).code, 1003);
  });
});

suite("wire, malformed", {}, ({ test }) => {
  const malformed = ["[", "{}", '["1","2","doc:1","typing"]', '["1","2",3,"typing",{}]'];

  test("the third malformed frame closes the socket", async ({ raw }) => {
    for (const frame of malformed) {
      const ann = await raw("ann");
      ann.send(frame);
      ann.send(frame);
      await ann.ask([null, "h", "phoenix", "heartbeat", {}]);
      ann.send(frame);
      const { code, reason } = await ann.ended();
      assert.deepEqual([code, JSON.parse(reason).code], [4400, "malformed"], `${frame}`);
    }
  });

  test("the first malformed binary frame closes the socket", async ({ raw, topic }) => {
    const push = Buffer.from(`\0\x01\x01${String.fromCharCode(topic.length)}\x0d12${topic}`);
    const [text, event] = [Buffer.from("x"), Buffer.from("broadcast:bin")];
    const frames = {
      "lengths past the end": Buffer.from([0, 255, 1, 1, 1]),
      "an event past the end": Buffer.concat([push, event.subarray(1)]),
      "a head that is cut off": Buffer.from([0, 1, 1]),
      "no known kind": Buffer.from([9]),
      "the server's kind": Buffer.concat([Buffer.from([2, 1, 1]), text, text, text]),
      nothing: Buffer.alloc(0),
    };
    for (const [name, frame] of Object.entries(frames)) {
      const ann = await raw("ann");
      await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
      ann.send(frame);
      const { code, reason } = await ann.ended();
      assert.deepEqual([code, JSON.parse(reason).code], [4400, "malformed"], name);
    }
    const ann = await raw("ann");
    await ann.ask(["1", "1", topic, "phx_join", { presence: false }]);
    ann.send(Buffer.concat([push, event]));
    assert.equal((await ann.reply("2")).status, "ok", "without a fault it is none");
  });

  test("is answered where a ref can be read", async ({ raw, topic }) => {
    const deep = `${"[".repeat(17)}${"]".repeat(17)}`;
    const frames = [
      `["1","2","${topic}","typing"]`,
      `["1","2","${topic}","typing",{"a":${deep}}]`,
      `["1","2","${topic}","typing",{"a":"\\ud800"}]`,
      `["1","2","${topic}","typing",{"a":1e999}]`,
    ];
    for (const frame of frames) {
      const ann = await raw("ann");
      ann.send(frame);
      const { status, response } = await ann.reply("2");
      assert.deepEqual([status, response.code], ["error", "malformed"], frame);
      assert.match(response.message, /./);
    }
  });

  test("a bad meta is no malformed frame", async ({ raw, topic }) => {
    const ann = await raw("ann");
    const deep = `${'{"a":'.repeat(17)}1${"}".repeat(17)}`;
    for (let time = 0; time < 5; time += 1) {
      ann.send(`["${time}","${time}","${topic}","phx_join",{"meta":${deep}}]`);
      assert.equal((await ann.reply(`${time}`)).response.code, "invalid_meta");
    }
    await until("the socket is still open", () => ann.socket.readyState === 1);
  });
});
