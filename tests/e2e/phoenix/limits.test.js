import assert from "node:assert/strict";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

suite("topics per socket", { LIMITS__TOPICS_PER_SOCKET: "3" }, ({ each }) => {
  each("one more is refused until one is left", async ({ person, topic }) => {
    const ann = await person("ann");
    const pages = [];
    for (let n = 0; n < 3; n += 1) pages.push(await ann.join(`${topic}:${n}`));
    assert.equal(pages[0].reply.limits.topics_per_socket, 3);
    const { reason, code } = await ann.refused(`${topic}:3`);
    assert.deepEqual([reason, code], ["too many channels joined", "too_many_topics"]);
    await pages[0].leave();
    await ann.join(`${topic}:4`);
  });

  each("a rejoin of a joined topic is not one more", async ({ raw, topic }) => {
    const ann = await raw("ann");
    for (let n = 0; n < 3; n += 1) await ann.ask([`${n}`, `${n}`, `${topic}:${n}`, "phx_join", {}]);
    const { status } = await ann.ask(["9", "9", `${topic}:0`, "phx_join", {}]);
    assert.equal(status, "ok");
  });
});

const JOINS = { LIMITS__JOINS_BURST: "2", LIMITS__JOINS_PER_SECOND: "2" };

suite("rates", JOINS, ({ test }) => {
  test("joins: one more is told when to come again", async ({ raw, topic }) => {
    const ann = await raw("ann");
    const join = (n) => ann.ask([`${n}`, `${n}`, `${topic}:${n}`, "phx_join", { presence: false }]);
    assert.equal((await join(0)).status, "ok");
    assert.equal((await join(1)).status, "ok");
    const { status, response } = await join(2);
    assert.deepEqual(
      [status, response.reason, response.code],
      ["error", "rate_limited", "rate_limited"],
    );
    const { retry_after_ms } = response;
    assert.ok(retry_after_ms > 0 && retry_after_ms <= 1000, `${retry_after_ms}`);
    const since = performance.now();
    let n = 3;
    await until("a later join succeeds", async () => {
      if (performance.now() - since < retry_after_ms) return false;
      n += 1;
      return (await join(n)).status === "ok";
    });
  });

  for (const [why, name, payload] of [
    ["names no topic", "not a topic", {}],
    ["has a bad payload", "doc:1", { mode: 7 }],
    ["may not be viewed", "user:somebody-else", {}],
  ]) {
    test(`joins: one that ${why} counts too`, async ({ raw }) => {
      const ann = await raw("ann");
      const codes = [];
      for (let n = 0; n < 3; n += 1) {
        const { response } = await ann.ask([`${n}`, `${n}`, name, "phx_join", payload]);
        codes.push(response.code);
      }
      assert.equal(codes.at(-1), "rate_limited", `${codes}`);
    });
  }
});

suite("rates of messages", {}, ({ test, each, server }) => {
  test("messages: above the burst an answer, not a close", async ({ raw, topic }) => {
    const [ann, bob] = [await raw("ann"), await raw("bob")];
    await ann.ask(["j", "j", topic, "phx_join", { presence: false }]);
    await bob.ask(["j", "j", topic, "phx_join", { presence: false }]);
    for (let n = 0; n < 80; n += 1) ann.send(["j", `${n}`, topic, "broadcast", { event: "n" }]);
    const answers = [];
    for (let n = 0; n < 80; n += 1) answers.push(await ann.reply(`${n}`));
    const limited = answers.filter(({ status }) => status === "error");
    assert.ok(limited.length > 5 && limited.length <= 22, `${limited.length} of 80 are refused`);
    for (const { response } of limited) {
      assert.equal(response.code, "rate_limited");
      assert.ok(response.retry_after_ms > 0);
    }
    await ann.ask([null, "h", "phoenix", "heartbeat", {}]);
    const heard = () => bob.frames.filter((frame) => frame.includes('"n"')).length;
    await until("what was not refused is heard", () => heard() === 80 - limited.length);
  });

  test("heartbeats and leaves are never refused", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["j", "j", topic, "phx_join", {}]);
    for (let n = 0; n < 90; n += 1) ann.send(["j", `${n}`, topic, "typing", { on: false }]);
    for (let n = 0; n < 10; n += 1) ann.send([null, `h${n}`, "phoenix", "heartbeat", {}]);
    ann.send(["j", "last", topic, "typing", { on: false }]);
    ann.send(["j", "leave", topic, "phx_leave", {}]);
    const ok = { status: "ok", response: {} };
    for (let n = 0; n < 10; n += 1) assert.deepEqual(await ann.reply(`h${n}`), ok);
    assert.equal((await ann.reply("last")).response.code, "rate_limited");
    assert.deepEqual(await ann.reply("leave"), ok);
    assert.equal((await server.presence(topic)).count, 0);
  });

  test("who goes on and on is closed", async ({ raw, topic }) => {
    const [ann, bob] = [await raw("ann"), await raw("bob")];
    await ann.ask(["j", "j", topic, "phx_join", { presence: false }]);
    for (let n = 0; n < 400; n += 1) ann.send(["j", `${n}`, topic, "typing", { on: false }]);
    const { code, reason } = await ann.ended();
    assert.deepEqual([code, JSON.parse(reason).code], [4429, "too_many"]);
    assert.equal((await bob.ask([null, "h", "phoenix", "heartbeat", {}])).status, "ok");
  });

  each("presence updates: above the burst an answer", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const asked = Array.from({ length: 30 }, (_, n) =>
      ann.push("presence_update", { meta: { n } }),
    );
    const answers = await Promise.all(asked);
    const refused = answers.filter(({ status }) => status === "error");
    assert.ok(refused.length >= 5 && refused.length <= 10, `${refused.length} of 30 are refused`);
    for (const { response } of refused) {
      assert.equal(response.code, "rate_limited");
      assert.ok(response.retry_after_ms > 0);
    }
    const last = answers.findLastIndex(({ status }) => status === "ok");
    await bob.meta("ann", ({ n }) => n === last);
    await ann.ask("broadcast", { event: "other", payload: {} });
  });

  test("pings: more than the burst close the socket", async ({ raw }) => {
    const ann = await raw("ann");
    let pongs = 0;
    ann.socket.on("pong", () => {
      pongs += 1;
    });
    for (let n = 0; n < 8; n += 1) ann.socket.ping();
    await until("eight pongs", () => pongs === 8);
    for (let n = 0; n < 20; n += 1) ann.socket.ping();
    assert.equal((await ann.ended()).code, 4429);
  });

  test("a message of 64 KiB is read, a longer one closes the socket", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["j", "j", topic, "phx_join", { presence: false }]);
    const frame = (bytes) => {
      const [head, tail] = [
        `["j","1","${topic}","broadcast",{"event":"e","payload":{"a":"`,
        '"}}]',
      ];
      return head + "x".repeat(bytes - head.length - tail.length) + tail;
    };
    ann.send(frame(65_536));
    assert.equal((await ann.reply("1")).status, "ok");
    ann.send(frame(65_537));
    const { code, reason } = await ann.ended();
    assert.deepEqual([code, JSON.parse(reason).code], [1009, "too_big"]);
  });
});
