// Topics of tickets: who may join which, what each audience hears, and what comes after a loss.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { CANARY } from "../harness/canary.js";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

/** Names and numbers of the durable events that a page got, in order. */
const heard = (page) =>
  page.events
    .filter(({ payload }) => Number.isInteger(payload.seq))
    .map(({ event, payload }) => `${payload.seq} ${event}`);

/** Waits until a page has heard exactly this. */
const hears = async (page, expected) => {
  await until(
    () => `${page.person.key} hears ${expected}, not ${heard(page)}`,
    () => heard(page).length >= expected.length,
  );
  assert.deepEqual(heard(page), expected);
};

const closed = (page) => until("the channel is closed", () => page.channel.state === "closed");

/** Everything that came to a person, as text. */
const bytes = (person) =>
  person.pages.map(({ events, replies }) => JSON.stringify([events, replies])).join();

suite("tickets", {}, ({ test, each, server }) => {
  /** Asks as the backend; the answer must be good. */
  const ask = async (method, path, json) => {
    const { status, body } = await server.ask(method, `/v1${path}`, { json });
    assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const create = (user_id, title = "It is slow") =>
    ask("POST", "/tickets", { title, description: "Since yesterday", ...(user_id && { user_id }) });
  const comment = (id, content, is_internal = false) =>
    ask("POST", `/tickets/${id}/comments`, { content, is_internal });
  const customer = { role: "customer" };

  test("who may join which topic", async ({ person }) => {
    const { id } = await create("carl");
    const other = await create(null);
    const named = (sub, topic) => ({ token: sign({ sub, topics: { [topic]: ["view"] } }) });
    const own = `tickets:${id}`;
    const [eve, carl, dora, nina, gast] = [
      await person("eve"),
      await person("carl", customer),
      await person("dora", customer),
      await person("nina", named("nina", own)),
      await person("carl", { token: sign({ sub: "carl", role: "guest" }) }),
    ];
    for (const [who, topics] of [
      [eve, [own, `tickets:${other.id}`, "tickets:all", "tickets:user:carl", "tickets:user:eve"]],
      [carl, [own, "tickets:user:carl"]],
      [dora, ["tickets:user:dora"]],
      [nina, [own, "tickets:user:nina"]],
      [gast, []],
    ]) {
      const everything = [own, `tickets:${other.id}`, "tickets:all", "tickets:user:carl"];
      for (const topic of new Set([...topics, ...everything])) {
        if (topics.includes(topic)) {
          const { reply } = await who.join(topic, { mode: "edit" });
          assert.equal(reply.mode, who === eve ? "edit" : "view", topic);
        } else {
          const refusal = await who.refused(topic);
          assert.equal(refusal.code, "not_authorized", `${who.key} ${topic}`);
        }
      }
    }
    // What is not there, and what is no ticket at all, is as what is another's.
    const expected = JSON.stringify(await dora.refused(own));
    for (const topic of [randomUUID(), "1", id.toUpperCase(), `${id}:x`, "user", "user:a:b"]) {
      for (const who of [eve, dora]) {
        const refusal = JSON.stringify(await who.refused(`tickets:${topic}`));
        assert.equal(refusal, expected, topic);
      }
    }
  });

  each("each audience hears its part, numbered for itself", async ({ person }) => {
    const { id } = await create("carl");
    const [eve, carl] = [await person("eve"), await person("carl", customer)];
    const agent = await eve.join(`tickets:${id}`);
    const [owner, list] = [await carl.join(`tickets:${id}`), await carl.join("tickets:user:carl")];
    const seen = list.reply.seq;
    assert.deepEqual([agent.reply.seq, owner.reply.seq], [1, 1]);
    const secret = `${CANARY} ${randomUUID()}`;
    await comment(id, secret, true);
    await comment(id, "We look into it");
    const { pen } = await agent.ask("pen_acquire");
    await agent.ask("pen_release", { fence: pen.fence });
    await comment(id, secret, true);
    await ask("POST", `/tickets/${id}/transitions`, { to: "resolved", reason: "done" });
    await hears(agent, [
      "2 internal_note_created",
      "3 comment_created",
      "4 pen",
      "5 pen",
      "6 internal_note_created",
      "7 ticket_status_changed",
    ]);
    await hears(owner, ["2 comment_created", "3 pen", "4 pen", "5 ticket_status_changed"]);
    await hears(list, [`${seen + 1} comment_created`, `${seen + 2} ticket_status_changed`]);
    const [told] = owner.received("ticket_status_changed");
    assert.deepEqual(
      [told.new_status, told.reason, told.ticket.metadata],
      ["resolved", "done", undefined],
    );
    assert.equal(agent.received("internal_note_created")[0].comment.content, secret);
    assert.ok(!bytes(carl).includes(secret));
    // Who comes later is told how far it is.
    const again = await (await person("carl", customer)).join(`tickets:${id}`, { since: 3 });
    assert.deepEqual([again.reply.seq, again.reply.recovered], [5, true]);
    await hears(again, ["4 pen", "5 ticket_status_changed"]);
    const events = again.events.map(({ event }) => event);
    assert.ok(events.indexOf("presence_state") > events.indexOf("ticket_status_changed"));
  });

  each("that somebody types a note is for the staff alone to know", async ({ person }) => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const pages = [];
    for (const [key, options] of [["eve"], ["dora"], ["carl", customer]]) {
      pages.push(await (await person(key, options)).join(topic));
    }
    const [eve, dora, carl] = pages;
    for (const page of pages) await page.sees("carl", "dora", "eve");
    const before = carl.events.length;
    const { session } = eve.reply;
    const [all, staff] = [
      { key: "eve", session },
      { key: "eve", session, audience: "staff" },
    ];
    const note = { on: true, audience: "staff" };
    assert.deepEqual(await eve.ask("typing", note), {});
    await eve.ask("typing", { on: false });
    await eve.ask("typing", note);
    await eve.ask("typing", { on: true });
    assert.deepEqual(await carl.next("typing"), { ...all, on: true });
    const heard = carl.events.slice(before).map(({ event }) => event);
    assert.ok(!heard.slice(0, heard.indexOf("typing")).includes("presence_diff"), `${heard}`);
    await carl.meta("eve", ({ activity }) => activity === "typing");
    await eve.ask("typing", note);
    await carl.meta("eve", ({ activity }) => activity === "viewing");
    await eve.leave();
    for (const page of [dora, carl]) await page.sees("carl", "dora");
    const said = [true, false, true, false].map((on) => ({ ...staff, on }));
    const aloud = [true, false].map((on) => ({ ...all, on }));
    const ends = [true, false].map((on) => ({ ...staff, on }));
    assert.deepEqual(dora.received("typing"), [...said, ...aloud, ...ends]);
    assert.deepEqual(carl.received("typing"), aloud);
    assert.deepEqual(eve.received("typing"), []);
  });

  test("who types for whom is refused where it cannot be", async ({ person }) => {
    const topic = `tickets:${(await create("carl")).id}`;
    const editor = { token: sign({ sub: "nina", topics: { [topic]: ["view", "edit"] } }) };
    const staff = [true, false].map((on) => ({ on, audience: "staff" }));
    for (const [key, options] of [
      ["carl", customer],
      ["nina", editor],
    ]) {
      const page = await (await person(key, options)).join(topic);
      for (const payload of staff) {
        assert.equal(await page.refused("typing", payload), "forbidden", key);
      }
    }
    const eve = await person("eve");
    const pages = [await eve.join(topic), await eve.join("doc:notes")];
    for (const audience of ["public", "Staff", "", true, 1, {}, ["staff"]]) {
      for (const page of pages) {
        assert.equal(await page.refused("typing", { on: true, audience }), "invalid_payload");
      }
    }
    for (const payload of staff) {
      assert.equal(await pages[1].refused("typing", payload), "invalid_payload");
    }
    const viewer = await (await person("dora")).join(topic, { mode: "view" });
    assert.equal(await viewer.refused("typing", staff[0]), "forbidden");
    await viewer.ask("typing", staff[1]);
  });

  test("what was missed comes after a restart, or the state is to be fetched anew", async (scene) => {
    const { id } = await create("carl");
    await comment(id, "note", true);
    await comment(id, "one");
    await server.kill();
    await server.start();
    await comment(id, "two");
    const [eve, carl] = [await scene.person("eve"), await scene.person("carl", customer)];
    const topic = `tickets:${id}`;
    for (const [who, last, all] of [
      [carl, 3, ["1 ticket_created", "2 comment_created", "3 comment_created"]],
      [
        eve,
        4,
        ["1 ticket_created", "2 internal_note_created", "3 comment_created", "4 comment_created"],
      ],
    ]) {
      for (let since = 0; since <= last; since += 1) {
        const page = await who.join(topic, { since });
        assert.deepEqual([page.reply.seq, page.reply.recovered], [last, true]);
        assert.deepEqual(heard(page), all.slice(since));
        await page.leave();
      }
      for (const since of [last + 1, -1, 2 ** 64, "1", 1.5]) {
        const page = await who.join(topic, { since });
        assert.deepEqual([page.reply.recovered, heard(page)], [false, []], `${since}`);
        await page.leave();
      }
      const page = await who.join(topic);
      assert.equal(page.reply.recovered, null);
    }
  });

  test("a ticket that is deleted takes its topic with it", async ({ person }) => {
    const { id } = await create("carl");
    const topic = `tickets:${id}`;
    const [eve, carl] = [await person("eve"), await person("carl", customer)];
    const pages = [await eve.join(topic), await carl.join(topic)];
    const list = await eve.join("tickets:all");
    await ask("DELETE", `/tickets/${id}`);
    for (const page of pages) {
      await closed(page);
      assert.deepEqual(heard(page), ["2 ticket_deleted"]);
      assert.equal((await page.person.refused(topic)).code, "not_authorized");
    }
    await list.next("ticket_deleted", ({ ticket }) => ticket.id === id);
    assert.equal(list.channel.state, "joined");
    assert.deepEqual((await server.presence(topic)).data, []);
  });

  test("whoever is no agent any more hears nothing more of what is the staff's", async (scene) => {
    const { id } = await create("eve");
    const other = await create("carl");
    const eve = await scene.person("eve", { token: sign({ sub: "eve", role: "agent" }) });
    const names = [`tickets:${id}`, `tickets:${other.id}`, "tickets:all", "tickets:user:carl"];
    const pages = [];
    for (const name of names) pages.push(await eve.join(name));
    await comment(id, "note", true);
    await pages[0].next("internal_note_created");
    await pages[0].ask("token", { token: sign({ sub: "eve", role: "customer" }) });
    for (const page of pages) await closed(page);
    const before = bytes(eve);
    await comment(id, "later", true);
    await comment(other.id, "later", true);
    // She is the owner of one, and hears there what the public hears.
    const own = await eve.join(`tickets:${id}`, { since: 1 });
    assert.deepEqual([own.reply.seq, own.reply.recovered], [1, true]);
    for (const name of names.slice(1)) {
      assert.equal((await eve.refused(name)).code, "not_authorized", name);
    }
    await comment(id, "hello");
    await hears(own, ["2 comment_created"]);
    assert.ok(!bytes(eve).replace(before, "").includes("later"));
  });

  test("whoever is named no more is closed out", async ({ person }) => {
    const { id } = await create(null);
    const token = (topics) => sign({ sub: "nina", topics });
    const topic = `tickets:${id}`;
    const nina = await person("nina", { token: token({ [topic]: ["view"], "doc:*": ["view"] }) });
    const page = await nina.join(topic);
    await page.ask("token", { token: token({ "doc:*": ["view"] }) });
    await closed(page);
    assert.equal((await nina.refused(topic)).code, "not_authorized");
  });

  test("whoever comes back on many topics is told all that was missed", async ({ person }) => {
    const tickets = [];
    for (let n = 0; n < 12; n += 1) tickets.push((await create("carl")).id);
    for (let n = 0; n < 60; n += 1) {
      const changes = { priority: n % 2 ? "low" : "high" };
      await ask("POST", "/tickets/bulk", { ids: tickets, changes });
    }
    // More than its queue takes, in frames and in bytes, asked for in one go.
    const eve = await person("eve");
    const pages = tickets.map((id) => eve.open(`tickets:${id}`, { since: 1 }));
    for (const page of pages) {
      await page.joined();
      assert.equal(page.reply.recovered, true);
      await until("all is told", () => heard(page).length >= 60);
      const seqs = heard(page).map((line) => Number.parseInt(line, 10));
      assert.deepEqual(
        seqs,
        Array.from({ length: 60 }, (_, n) => n + 2),
      );
    }
    assert.deepEqual([eve.opened, eve.closes], [1, []]);
  });
});
