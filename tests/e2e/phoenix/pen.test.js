import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { joinResuming } from "../harness/person.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const DRAIN_MS = 400;
const PENS = {
  PEN__TTL: "3s",
  PEN__DRAIN: `${DRAIN_MS}ms`,
  PEN__REQUEST_AFTER: "800ms",
  PEN__GRACE: "2s",
  PRESENCE__GRACE: "2s",
};

/** Waits for an event of the pen by its type. */
const happens = (page, type, fits = () => true) =>
  page.next("pen", (event) => event.type === type && fits(event));

/** Types and rules of the pen's events so far, renewals left out. */
const story = (page) =>
  page
    .received("pen")
    .filter(({ type }) => type !== "renewed")
    .map(({ type, rule }) => `${type} ${rule}`);

/** Fails when the numbers of the events that a page got have gaps or repetitions. */
function checkOrder(page) {
  const seqs = page.received("pen").map(({ seq }) => seq);
  for (let at = 1; at < seqs.length; at++) assert.equal(seqs[at], seqs[at - 1] + 1, `${seqs}`);
}

suite("pen", PENS, ({ test, each, server }) => {
  each("one has it, the others are told, and it is given back", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    assert.deepEqual(ann.reply.pen, {
      state: "free",
      holder: null,
      session: null,
      fence: "0",
      since: null,
      deadline: null,
      queue: [],
    });
    const { granted, pen, receipt } = await ann.ask("pen_acquire", { reason: "a typo" });
    assert.equal(granted, true);
    assert.deepEqual([pen.state, pen.holder.id, pen.fence], ["held", "ann", "1"]);
    assert.equal(pen.session, ann.reply.session);
    assert.equal(receipt.split(".").length, 3);
    const told = await happens(bob, "granted");
    assert.deepEqual(told.pen, pen);
    assert.deepEqual([told.rule, told.by.id, told.seq, told.reason], ["free", "ann", 1, "a typo"]);

    const held = await bob.ask("pen_acquire");
    assert.deepEqual([held.granted, held.place, held.receipt], [false, null, undefined]);
    assert.equal(held.pen.holder.id, "ann");
    // Somebody else's fence, and one that was never granted.
    assert.equal(await bob.refused("pen_renew", { fence: "1" }), "lease_lost");
    assert.equal(await ann.refused("pen_release", { fence: "2" }), "lease_lost");
    const late = await bob.push("pen_release", { fence: "1" });
    assert.equal(late.response.pen.holder.id, "ann", "who was refused is told who has it");

    assert.equal((await ann.ask("pen_release", { fence: "1" })).pen.state, "free");
    assert.equal((await ann.ask("pen_release", { fence: "1" })).pen.state, "free", "twice is ok");
    await happens(bob, "released");
    const next = await bob.ask("pen_acquire");
    assert.equal(next.pen.fence, "2");
    checkOrder(ann);
    checkOrder(bob);
    // Whoever comes later is told in the reply.
    const cid = await page("cid");
    assert.equal(cid.reply.pen.holder.id, "bob");
    assert.equal(cid.reply.seq, 3);
  });

  test("a receipt is checked with the public keys alone", async ({ page, topic }) => {
    const ann = await page("ann");
    const { receipt, pen } = await ann.ask("pen_acquire", { ttl_ms: 20_000 });
    const { body } = await server.get("/v1/pens/keys", {});
    const [header, claims, signature] = receipt.split(".");
    const read = (part) => JSON.parse(Buffer.from(part, "base64url").toString());
    const { kid, alg } = read(header);
    assert.equal(alg, "EdDSA");
    const jwk = body.keys.find((key) => key.kid === kid);
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const signed = Buffer.from(`${header}.${claims}`);
    assert.ok(verify(null, signed, key, Buffer.from(signature, "base64url")));
    const said = read(claims);
    assert.deepEqual(
      [said.topic, said.sub, said.session, said.fence, said.exp],
      [topic, "ann", ann.reply.session, pen.fence, Math.ceil(pen.deadline / 1000)],
    );
  });

  test("a repeated attempt gives the same fence", async ({ page }) => {
    const ann = await page("ann");
    const first = await ann.ask("pen_acquire", { request_id: "r1" });
    const again = await ann.ask("pen_acquire", { request_id: "r1" });
    assert.deepEqual([again.granted, again.pen.fence], [true, first.pen.fence]);
    await ann.ask("pen_release", { fence: first.pen.fence });
    assert.equal(await ann.refused("pen_acquire", { request_id: "r1" }), "lease_lost");
  });

  each("the same person's other tab moves the pen to itself", async ({ page }) => {
    const [one, two] = [await page("ann"), await page("ann")];
    const first = await one.ask("pen_acquire");
    const second = await two.ask("pen_acquire");
    assert.deepEqual([second.granted, second.pen.session], [true, two.reply.session]);
    assert.ok(BigInt(second.pen.fence) > BigInt(first.pen.fence));
    await happens(one, "granted", ({ rule }) => rule === "same_person");
    assert.equal(await one.refused("pen_renew", { fence: first.pen.fence }), "lease_lost");
  });

  each("a take-over drains, and the draft is there for its author", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const { pen } = await ann.ask("pen_acquire");
    const asked = performance.now();
    const { draining_until } = await bob.ask("pen_take_over", { reason: "urgent" });
    const draining = await happens(ann, "draining");
    assert.deepEqual([draining.by.id, draining.reason], ["bob", "urgent"]);
    assert.equal(draining.pen.deadline, draining_until);
    // The holder saves while the pen is still theirs.
    await ann.ask("pen_draft", { draft: "half a sentence" });
    const taken = await happens(bob, "taken_over");
    const took = performance.now() - asked;
    assert.ok(took >= DRAIN_MS - 50 && took < DRAIN_MS + 1500, `${took} ms`);
    assert.deepEqual([taken.pen.holder.id, taken.rule], ["bob", "taken_over"]);
    assert.equal(await ann.refused("pen_renew", { fence: pen.fence }), "lease_lost");
    const renewed = await bob.ask("pen_renew", { fence: taken.pen.fence });
    assert.equal(renewed.receipt.split(".").length, 3, "who took it over gets a receipt");
    assert.deepEqual(story(bob), ["granted free", "draining taken_over", "taken_over taken_over"]);
    const { draft, left_by, at } = await ann.ask("pen_draft");
    assert.deepEqual([draft, left_by.id], ["half a sentence", "ann"]);
    assert.ok(Math.abs(at - Date.now()) < 5000);
    assert.deepEqual(await bob.ask("pen_draft"), { draft: null, left_by: null, at: null });
  });

  test("who may not take over is told so", async ({ page }) => {
    const ann = await page("ann");
    await ann.ask("pen_acquire");
    const eve = await page("eve", {}, { role: "customer" });
    assert.equal(await eve.refused("pen_take_over"), "not_authorized");
  });

  each("a holder who is back within grace goes on under the same fence", async (scene) => {
    const bob = await scene.page("bob");
    const ann = await joinResuming(await scene.person("ann"), scene.topic);
    const { pen } = await ann.ask("pen_acquire");
    ann.person.drop({ offline: true });
    const reserved = await happens(bob, "reserved");
    assert.deepEqual([reserved.pen.state, reserved.pen.holder.id], ["reserved", "ann"]);
    ann.person.offline = false;
    const resumed = await happens(bob, "resumed");
    assert.deepEqual([resumed.rule, resumed.pen.fence], ["resumed", pen.fence]);
    await until("the rejoin", () => ann.replies.length === 2);
    assert.equal(ann.reply.pen.session, ann.reply.session);
    assert.equal((await ann.ask("pen_renew", { fence: pen.fence })).pen.fence, pen.fence);
    checkOrder(bob);
  });

  each("a holder who does not come back makes room for who waits", async (scene) => {
    const bob = await scene.page("bob");
    const ann = await joinResuming(await scene.person("ann"), scene.topic);
    const { pen } = await ann.ask("pen_acquire");
    const waiting = await bob.ask("pen_acquire", { wait: true });
    assert.deepEqual([waiting.granted, waiting.place], [false, 1]);
    ann.person.drop({ offline: true });
    const granted = await happens(bob, "granted", (event) => event.pen.holder.id === "bob");
    assert.equal(granted.rule, "queue");
    assert.ok(BigInt(granted.pen.fence) > BigInt(pen.fence));
    assert.deepEqual(story(bob).slice(1), [
      "reserved disconnected",
      "expired disconnected",
      "granted queue",
    ]);
  });

  test("who leaves gives the pen back at once", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("pen_acquire");
    await bob.ask("pen_acquire", { wait: true });
    await ann.leave();
    await happens(bob, "granted", (event) => event.pen.holder.id === "bob");
    assert.deepEqual(story(bob), ["granted free", "released released", "granted queue"]);
  });

  test("a queue is served in order, and who leaves it is passed over", async ({ page }) => {
    const people = [];
    for (const key of ["ann", "bob", "cid", "dan", "eve"]) people.push(await page(key));
    const [ann, ...waiting] = people;
    await ann.ask("pen_acquire");
    for (const [at, who] of waiting.entries()) {
      const { place } = await who.ask("pen_acquire", { wait: true });
      assert.equal(place, at + 1);
    }
    await waiting[1].leave();
    let holder = ann;
    for (const next of [waiting[0], waiting[2], waiting[3]]) {
      const { pen } = holder.received("pen").at(-1);
      await holder.ask("pen_release", { fence: pen.fence });
      const key = next.person.key;
      await happens(next, "granted", (event) => event.pen.holder.id === key);
      holder = next;
    }
    const last = await happens(ann, "granted", (event) => event.pen.holder.id === "eve");
    assert.deepEqual(last.pen.queue, []);
    checkOrder(ann);
  });

  test("who asks is answered, or gets it when the time is over", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const { pen } = await ann.ask("pen_acquire");
    assert.equal(
      await ann.refused("pen_answer", { fence: "1", answer: "decline" }),
      "invalid_payload",
    );
    const { answer_by } = await bob.ask("pen_request", { reason: "may I?" });
    assert.ok(answer_by > Date.now() - 2000);
    const requested = await happens(ann, "requested");
    assert.deepEqual([requested.by.id, requested.reason], ["bob", "may I?"]);
    assert.deepEqual(requested.pen.queue, [{ id: "bob", name: "Bob", answer_by }]);
    const { fence } = pen;
    await ann.ask("pen_answer", { fence, answer: "decline", reason: "a minute" });
    const declined = await happens(bob, "declined", ({ reason }) => reason === "a minute");
    assert.deepEqual(declined.pen.queue, [{ id: "bob", name: "Bob", answer_by: null }]);
    await bob.ask("pen_request");
    const granted = await happens(bob, "granted", (event) => event.pen.holder.id === "bob");
    assert.equal(granted.rule, "request_timeout");
    await ann.ask("pen_request");
    await bob.ask("pen_answer", { fence: granted.pen.fence, answer: "hand_over" });
    const back = await happens(bob, "handed_over");
    assert.deepEqual([back.pen.holder.id, back.by.id], ["ann", "bob"]);
    // To somebody who has not asked at all.
    const cid = await page("cid");
    const third = back.pen.fence;
    await ann.ask("pen_answer", { fence: third, answer: "hand_over", to: "cid" });
    await happens(cid, "handed_over", (event) => event.pen.holder.id === "cid");
    assert.equal(
      await cid.refused("pen_answer", {
        fence: cid.received("pen").at(-1).pen.fence,
        answer: "hand_over",
        to: "nobody",
      }),
      "invalid_payload",
    );
  });

  test("a program gives way to a human at once", async ({ page }) => {
    const bot = await page("bot", {}, { kind: "ai" });
    const ann = await page("ann");
    await bot.ask("pen_acquire");
    const { answer_by, receipt, pen } = await ann.ask("pen_request");
    assert.deepEqual([answer_by, pen.holder.id], [null, "ann"]);
    assert.ok(receipt);
    await happens(bot, "granted", ({ rule }) => rule === "ai_yields");
  });

  test("a connected holder is renewed for longer than a ttl", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const { pen } = await ann.ask("pen_acquire", { ttl_ms: 1000 });
    await bob.next("pen", ({ at }) => at > pen.since + 3000);
    assert.deepEqual(story(bob), ["granted free"]);
    assert.equal(bob.received("pen").at(-1).pen.fence, pen.fence);
    checkOrder(bob);
  });

  test("who only views has nothing to do with the pen", async ({ page }) => {
    const eve = await page("eve", { mode: "view" });
    const fence = "1";
    for (const [event, payload] of [
      ["pen_acquire", {}],
      ["pen_renew", { fence }],
      ["pen_release", { fence }],
      ["pen_request", {}],
      ["pen_answer", { fence, answer: "decline" }],
      ["pen_take_over", {}],
      ["pen_draft", {}],
      ["pen_steal", {}],
    ]) {
      assert.equal(await eve.refused(event, payload), "forbidden", event);
    }
    // They see who has it all the same.
    const ann = await page("ann");
    await ann.ask("pen_acquire");
    await happens(eve, "granted");
  });

  test("bad input is refused with a code of its own, and does nothing", async ({ page }) => {
    const ann = await page("ann");
    for (const [event, payload, code] of [
      ["pen_acquire", { ttl_ms: 0 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: -1 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: 1e12 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: 999 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: 300_001 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: 1500.5 }, "invalid_ttl"],
      ["pen_acquire", { ttl_ms: "x" }, "invalid_ttl"],
      ["pen_acquire", { wait: "yes" }, "invalid_payload"],
      ["pen_acquire", { reason: "a".repeat(513) }, "invalid_payload"],
      ["pen_acquire", { reason: "a\u0000b" }, "invalid_payload"],
      ["pen_acquire", { request_id: "a".repeat(129) }, "invalid_payload"],
      ["pen_renew", {}, "invalid_payload"],
      ["pen_renew", { fence: 1 }, "invalid_payload"],
      ["pen_renew", { fence: "01" }, "invalid_payload"],
      ["pen_renew", { fence: "1" }, "lease_lost"],
      ["pen_renew", { fence: "18446744073709551615" }, "lease_lost"],
      ["pen_release", { fence: null }, "invalid_payload"],
      ["pen_answer", { fence: "1", answer: "maybe" }, "invalid_payload"],
      ["pen_answer", { fence: "1", answer: "decline" }, "lease_lost"],
      ["pen_draft", { draft: 7 }, "invalid_payload"],
      ["pen_draft", { draft: "a".repeat(48 * 1024 + 1) }, "invalid_payload"],
      ["pen_steal", {}, "unknown_event"],
    ]) {
      const shown = JSON.stringify(payload).slice(0, 60);
      assert.equal(await ann.refused(event, payload), code, `${event} ${shown}`);
    }
    const draft = "a".repeat(48 * 1024);
    assert.equal((await ann.ask("pen_draft", { draft })).draft, draft);
    assert.deepEqual(ann.received("pen"), []);
    assert.equal((await ann.ask("pen_acquire", { ttl_ms: 300_000 })).granted, true);
  });

  test("what was missed comes after the reply, in order", async ({ page, person, topic }) => {
    const ann = await page("ann");
    const first = await ann.ask("pen_acquire", { ttl_ms: 60_000 });
    await ann.ask("pen_release", { fence: first.pen.fence });
    await ann.ask("pen_acquire", { ttl_ms: 60_000 });
    const bob = await (await person("bob")).join(topic, { since: 1 });
    assert.deepEqual([bob.reply.recovered, bob.reply.seq], [true, 3]);
    const order = bob.events.map(({ event, payload }) => `${event} ${payload.seq ?? ""}`);
    assert.deepEqual(order.slice(0, 3), ["pen 2", "pen 3", "presence_state "]);
    const far = await (await person("cid")).join(topic, { since: 4 });
    assert.equal(far.reply.recovered, false);
  });

  test("lists of topics name the holder", async ({ page, person, topic }) => {
    const ann = await page("ann");
    const list = await (await person("bob")).join("system:summaries", { topics: [topic] });
    await list.next("summaries", ({ data: [row] }) => row.count === 1 && row.holder === null);
    await ann.ask("pen_acquire");
    const fits = ({ data: [row] }) => row.holder?.id === "ann";
    await list.next("summaries", fits);
    const json = { topics: [topic, "doc:nobody"] };
    const { body } = await server.ask("POST", "/v1/presence/summaries", { json });
    assert.deepEqual(body.data[0].holder, { id: "ann", name: "Ann", kind: "human" });
    assert.equal(body.data[1].holder, null);
  });
});

suite("pen of who is idle", { PEN__TTL: "1s", PEN__IDLE_AFTER: "1500ms" }, ({ test }) => {
  test("a holder who walked away makes room for who waits", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const { pen } = await ann.ask("pen_acquire");
    await bob.ask("pen_acquire", { wait: true });
    // Input keeps it.
    const busy = setInterval(() => ann.push("presence_update", { input: true }), 300);
    await bob.next("pen", ({ at }) => at > pen.since + 3000);
    assert.deepEqual(story(bob), ["granted free"]);
    clearInterval(busy);
    const granted = await happens(bob, "granted", (event) => event.pen.holder.id === "bob");
    assert.equal(granted.rule, "queue");
    assert.deepEqual(story(bob).slice(1), ["expired idle", "granted queue"]);
  });
});

suite("pen of a server that stops", { SERVER__DRAIN: "3s" }, ({ test, server }) => {
  test("it is reserved before the end, and the holder is back after it", async (scene) => {
    const ann = await joinResuming(await scene.person("ann"), scene.topic);
    const { pen } = await ann.ask("pen_acquire");
    assert.deepEqual(await server.terminate(), { code: 0, signal: null });
    await server.start();
    await until("ann is back", () => ann.replies.length === 2, 10_000);
    assert.equal((await ann.ask("pen_renew", { fence: pen.fence })).pen.state, "held");
    const log = await server.get(`/v1/pens/${encodeURIComponent(scene.topic)}/log`);
    const types = log.body.data.map(({ type }) => type);
    assert.deepEqual(types.slice(0, 3), ["granted", "reserved", "resumed"]);
  });
});

suite("pen across a restart", { PEN__TTL: "5s", PRESENCE__GRACE: "5s" }, ({ test, server }) => {
  test("the holder goes on under the same fence, the next has a larger one", async (scene) => {
    const ann = await joinResuming(await scene.person("ann"), scene.topic);
    const { pen } = await ann.ask("pen_acquire");
    await server.kill();
    await server.start();
    await until("ann is back", () => ann.replies.length === 2, 10_000);
    assert.equal(ann.reply.session, pen.session, "the same session");
    assert.deepEqual([ann.reply.pen.session, ann.reply.pen.fence], [pen.session, pen.fence]);
    const renewed = await ann.ask("pen_renew", { fence: pen.fence });
    assert.equal(renewed.pen.fence, pen.fence);
    // The server renews again, without being asked.
    await ann.next("pen", ({ at }) => at > renewed.pen.deadline - 4000);

    const bob = await scene.page("bob");
    await bob.ask("pen_acquire", { wait: true });
    await server.kill();
    ann.person.offline = true;
    await server.start();
    const granted = await bob.next("pen", (event) => event.pen.holder?.id === "bob");
    assert.ok(BigInt(granted.pen.fence) > BigInt(pen.fence));
  });
});
