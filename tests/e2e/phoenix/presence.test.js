import assert from "node:assert/strict";
import { canonical } from "../harness/fold.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

suite("presence", {}, ({ test, each, server }) => {
  each("people see each other come and go", async ({ page, topic }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    await bob.sees("ann", "bob");
    await bob.leave();
    await ann.sees("ann");
    assert.deepEqual(ann.calls, ["+ann", "+bob", "-bob"]);
    const { data } = await server.presence(topic);
    assert.equal(ann.fold.text(), canonical(data));
  });

  each("two tabs of one person are one key with a meta each", async ({ page, person, topic }) => {
    const ann = await page("ann");
    const tab = await page("bob");
    const other = await (await person("bob")).join(topic);
    await until("bob has two tabs", () => ann.fold.metas("bob").length === 2);
    const sessions = ann.fold.metas("bob").map((meta) => meta.session);
    assert.deepEqual(sessions.sort(), [tab.reply.session, other.reply.session].sort());
    await ann.summarized("two sessions", ({ presences, count }) => {
      return count === 2 && presences.find(({ key }) => key === "bob")?.active_sessions === 2;
    });
    await tab.leave();
    await ann.meta("bob", (meta) => meta.session === other.reply.session);
    assert.deepEqual(ann.calls, ["+ann", "+bob", "+bob again", "-bob in part"]);
    await other.leave();
    await ann.sees("ann");
  });

  each("a goodbye of the whole socket leaves at once", async ({ page }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    bob.person.disconnect();
    await until("ann is alone", () => ann.fold.keys().join() === "ann", 3000);
    assert.ok(!ann.calls.includes("+bob again"), "bob was never shown as reconnecting");
  });

  each("leaving and joining in one tick is a new session", async ({ page, topic }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    const left = bob.leave();
    const again = bob.person.open(topic, { meta: { again: true } });
    await Promise.all([left, again.joined()]);
    assert.notEqual(again.reply.session, bob.reply.session);
    await ann.meta("bob", (meta) => meta.again);
    await again.sees("ann", "bob");
  });

  each("an update is one diff, in which nobody is absent", async ({ page, topic }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    const before = ann.received("presence_diff").length;
    let last = await ann.meta("bob");
    for (let step = 1; step <= 5; step += 1) {
      const { ref } = await bob.ask("presence_update", { meta: { step } });
      const meta = await ann.meta("bob", (one) => one.step === step);
      assert.deepEqual([meta.phx_ref, meta.phx_ref_prev], [ref, last.phx_ref]);
      assert.equal(meta.joined_at, last.joined_at);
      last = meta;
    }
    const diffs = ann.received("presence_diff").slice(before);
    assert.equal(diffs.length, 5);
    for (const { joins, leaves } of diffs) {
      assert.deepEqual([Object.keys(joins), Object.keys(leaves)], [["bob"], ["bob"]]);
      assert.equal(joins.bob.metas[0].phx_ref_prev, leaves.bob.metas[0].phx_ref);
    }
    assert.equal(
      ann.presence.list((_key, { metas }) => metas)[1].length,
      1,
      "metas do not pile up",
    );
    assert.ok(!ann.calls.includes("-bob"), `${ann.calls}`);
    const { data } = await server.presence(topic);
    assert.equal(ann.fold.text(), canonical(data));
  });

  test("given fields replace, absent ones stay", async ({ page }) => {
    const ann = await page("ann", { meta: { color: "red", page: 1 } });
    await ann.ask("presence_update", { activity: "editing", unsaved: true });
    await ann.meta("ann", ({ activity, unsaved, color }) => {
      return activity === "editing" && unsaved && color === "red";
    });
    await ann.ask("presence_update", { meta: { page: 2 } });
    const meta = await ann.meta("ann", ({ page }) => page === 2);
    assert.deepEqual([meta.activity, meta.unsaved, "color" in meta], ["editing", true, false]);
    await ann.ask("presence_update", { unsaved: false, activity: "viewing", meta: null });
    const last = await ann.meta("ann", ({ unsaved }) => !unsaved);
    assert.deepEqual([last.activity, last.page], ["viewing", 2]);
  });

  test("an identical update gives no diff and the same ref", async ({ page }) => {
    const ann = await page("ann", { meta: { color: "red" } });
    const update = { meta: { color: "blue" }, activity: "editing", unsaved: true };
    const first = await ann.ask("presence_update", update);
    await ann.meta("ann", ({ phx_ref }) => phx_ref === first.ref);
    const before = ann.fold.diffs;
    assert.deepEqual(await ann.ask("presence_update", update), first);
    assert.deepEqual(await ann.ask("presence_update", {}), first);
    const last = await ann.ask("presence_update", { unsaved: false });
    await ann.meta("ann", ({ phx_ref }) => phx_ref === last.ref);
    assert.equal(ann.fold.diffs, before + 1);
  });

  test("bad updates change nothing", async ({ page }) => {
    const ann = await page("ann");
    const before = await ann.meta("ann");
    const bad = [{ activity: "dancing" }, { unsaved: "yes" }, { visible: 1 }, { meta: [] }];
    for (const update of bad) {
      const code = update.meta ? "invalid_meta" : "invalid_payload";
      assert.equal(await ann.refused("presence_update", update), code, JSON.stringify(update));
    }
    assert.deepEqual(await ann.ask("presence_update", {}), { ref: before.phx_ref });
  });

  test("a view-only session is shown as such and says nothing of editing", async ({ page }) => {
    const vera = await page("vera", { mode: "view" });
    const { mode } = await vera.meta("vera");
    assert.equal(mode, "view");
    assert.equal(await vera.refused("presence_update", { activity: "editing" }), "forbidden");
    assert.equal(await vera.refused("presence_update", { unsaved: true }), "forbidden");
    await vera.ask("presence_update", { meta: { scroll: 3 } });
    await vera.meta("vera", ({ scroll }) => scroll === 3);
  });

  test("a hidden tab is shown as hidden", async ({ page }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await bob.ask("presence_update", { visible: false });
    await ann.meta("bob", ({ status }) => status === "hidden");
    await ann.summarized("bob is hidden", ({ presences }) => presences[1]?.status === "hidden");
    await bob.ask("presence_update", { visible: true });
    await ann.meta("bob", ({ status }) => status === "active");
    assert.ok(!ann.calls.includes("-bob"));
  });

  test("who is kicked is gone, on every surface", async ({ page, topic }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    const path = `/v1/topics/${topic}/presence/${bob.reply.session}`;
    const { status } = await server.ask("DELETE", path);
    assert.ok(status === 200 || status === 204, `${status}`);
    await until("the channel of bob closes", () => bob.channel.state === "closed");
    await ann.sees("ann");
    assert.equal(bob.received("phx_close").length, 1);
    assert.equal((await server.presence(topic)).count, 1);
    assert.ok(bob.person.socket.isConnected(), "the socket stays");
    const again = await bob.person.join(topic);
    assert.notEqual(again.reply.session, bob.reply.session);
  });
});

suite("idleness", { PRESENCE__IDLE_AFTER: "1s" }, ({ test }) => {
  test("without input a session becomes idle, with input active again", async ({ page }) => {
    const ann = await page("ann");
    const bob = await page("bob", { presence: "receive" });
    const idle = await bob.meta("ann", ({ status }) => status === "idle");
    assert.ok(idle.idle_since >= ann.reply.joined_at, `${idle.idle_since}`);
    await ann.ask("presence_update", { input: true });
    const active = await bob.meta("ann", ({ status }) => status === "active");
    assert.equal(active.idle_since, null);
    assert.equal(active.joined_at, ann.reply.joined_at);
    assert.ok(!bob.calls.includes("-ann"));
  });
});

suite("a long window", { PRESENCE__DIFF_WINDOW: "600ms" }, ({ test }) => {
  test("a join and its leave within one window cancel out", async ({ page, person, topic }) => {
    const ann = await page("ann");
    const [bob, carl] = [await person("bob"), await person("carl")];
    await ann.sees("ann");
    const presence = () => ann.events.filter(({ event }) => event.startsWith("presence_")).length;
    const frames = presence();
    const carls = carl.open(topic);
    const bobs = bob.open(topic);
    await bobs.answer;
    await bobs.leave();
    await carls.joined();
    await ann.sees("ann", "carl");
    // What was said before the broadcast has arrived before it.
    await carls.ask("broadcast", { event: "mark" });
    await ann.next("mark");
    assert.deepEqual(ann.calls, ["+ann", "+carl"]);
    assert.equal(presence() - frames, 2, "one diff and one summary");
  });
});
