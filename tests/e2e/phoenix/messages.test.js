import assert from "node:assert/strict";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const bytes = (...values) => new Uint8Array(values).buffer;

suite("messages", {}, ({ test, each }) => {
  each("a broadcast goes to the others", async ({ page }) => {
    const [ann, bob, carl] = [await page("ann"), await page("bob"), await page("carl")];
    const reply = await ann.ask("broadcast", { event: "moved", payload: { x: 1, list: [null] } });
    assert.deepEqual(reply, {});
    assert.deepEqual(await bob.next("moved"), { x: 1, list: [null] });
    await carl.next("moved");
    await carl.ask("broadcast", { event: "mark", payload: {} });
    await ann.next("mark");
    assert.deepEqual(ann.received("moved"), []);
    assert.equal(bob.received("moved").length, 1);
  });

  each("a broadcast to oneself, too, when asked for", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("broadcast", { event: "moved", payload: { n: 1 }, self: true });
    assert.deepEqual(await ann.next("moved"), { n: 1 });
    assert.deepEqual(await bob.next("moved"), { n: 1 });
  });

  each("binary goes in both directions", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const all = Uint8Array.from({ length: 256 }, (_, value) => value).buffer;
    assert.deepEqual(await ann.ask("broadcast:blob", all), {});
    assert.deepEqual(new Uint8Array(await bob.next("blob")), new Uint8Array(all));
    await bob.ask("broadcast:blob", bytes());
    assert.equal((await ann.next("blob")).byteLength, 0);
    assert.equal(await ann.refused("broadcast:pen", bytes(1)), "reserved_event");
    assert.equal(ann.received("blob").length, 1);
  });

  test("messages of one sender keep their order", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const asked = Array.from({ length: 30 }, (_, n) => {
      return ann.ask("broadcast", { event: "n", payload: { n } });
    });
    await Promise.all(asked);
    await bob.next("n", ({ n }) => n === 29);
    assert.deepEqual(
      bob.received("n").map(({ n }) => n),
      asked.map((_, n) => n),
    );
  });

  test("other topics hear nothing", async ({ page, person, topic }) => {
    const ann = await page("ann");
    const bob = await person("bob");
    const [here, elsewhere] = [await bob.join(topic), await bob.join(`${topic}0`)];
    await ann.ask("broadcast", { event: "moved", payload: {} });
    await here.next("moved");
    assert.deepEqual(elsewhere.received("moved"), []);
  });

  test("names that only the server uses are refused", async ({ page }) => {
    const ann = await page("ann");
    const bob = await page("bob");
    const reserved = [
      "phx_close",
      "phx_reply",
      "presence_of_mind",
      "pen",
      "pen_anything",
      "token",
      "typing",
      "ticket",
      "tickets_list",
      "comment_added",
      "internal_note_added",
      "collision",
      "notification_new",
    ];
    for (const event of reserved) {
      assert.equal(await ann.refused("broadcast", { event, payload: {} }), "reserved_event", event);
    }
    await ann.ask("broadcast", { event: "mark", payload: {} });
    await bob.next("mark");
    const heard = reserved.filter((event) => bob.received(event).length > 0);
    assert.deepEqual(heard, [], "only what the server itself says, which is not in the list");
  });

  test("broadcasts without a name, or of what is no object, are refused", async ({ page }) => {
    const ann = await page("ann");
    const bad = [{}, { event: "" }, { event: 7 }, { event: "a\nb" }, { event: "a".repeat(201) }];
    const unfit = [
      { event: "e", payload: [] },
      { event: "e", payload: "x" },
    ];
    for (const payload of [...bad, ...unfit]) {
      const name = JSON.stringify(payload).slice(0, 60);
      assert.equal(await ann.refused("broadcast", payload), "invalid_payload", name);
    }
    await ann.ask("broadcast", { event: "a".repeat(200) });
  });

  each("unknown events are refused, and the channel lives on", async ({ page }) => {
    const ann = await page("ann");
    for (const event of ["shout", "phx_close", "presence_diff", "of_next_year", ""]) {
      const { status, response } = await ann.push(event, {});
      assert.deepEqual(
        [status, response.reason, response.code],
        ["error", "unknown_event", "unknown_event"],
      );
      assert.match(response.message, /./);
    }
    await ann.ask("broadcast", { event: "moved" });
  });

  test("a view-only session may only say where it looks", async ({ page, person, topic }) => {
    const viewer = await page("vera", {}, { role: "viewer" });
    const agent = await (await person("ann")).join(topic, { mode: "view" });
    for (const session of [viewer, agent]) {
      const moved = { event: "moved", payload: {} };
      assert.equal(await session.refused("broadcast", moved), "forbidden");
      assert.equal(await session.refused("broadcast:moved", bytes(1)), "forbidden");
      assert.equal(await session.refused("typing", { on: true }), "forbidden");
      for (const event of ["pen_acquire", "of_next_year"]) {
        assert.equal(await session.refused(event, {}), "forbidden", event);
      }
      await session.ask("typing", { on: false });
      await session.ask("presence_update", { visible: true });
    }
  });

  test("publishing takes the capability", async ({ person, topic }) => {
    const token = sign({ sub: "ed", topics: { "doc:*": ["view", "edit"] } });
    const ed = await (await person("ed", { token })).join(topic);
    assert.equal(ed.reply.mode, "edit");
    const { code } = (await ed.push("broadcast", { event: "moved" })).response;
    assert.ok(["forbidden", "not_authorized"].includes(code), code);
    await ed.ask("typing", { on: true });
  });

  test("a push to a topic that is not joined is unmatched", async ({ raw, topic }) => {
    const ann = await raw("ann");
    ann.send([null, "9", topic, "typing", { on: true }]);
    const [joinRef, ref, on, event, payload] = JSON.parse(await ann.frame());
    assert.deepEqual([joinRef, ref, on, event], [null, "9", topic, "phx_reply"]);
    const { reason, code } = payload.response;
    assert.deepEqual(
      [payload.status, reason, code],
      ["error", "unmatched topic", "unmatched_topic"],
    );
  });
});

suite("typing", {}, ({ test, each }) => {
  each("the others are told, and see it in the meta", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const { key, session } = { key: "ann", session: ann.reply.session };
    assert.deepEqual(await ann.ask("typing", { on: true }), {});
    assert.deepEqual(await bob.next("typing"), { key, session, on: true });
    await bob.meta("ann", ({ activity }) => activity === "typing");
    await ann.ask("typing", { on: false });
    assert.deepEqual(await bob.next("typing", ({ on }) => !on), { key, session, on: false });
    await bob.meta("ann", ({ activity }) => activity === "viewing");
    assert.deepEqual(ann.received("typing"), []);
    assert.ok(!bob.calls.includes("-ann"));
  });

  test("saying it again tells nothing new", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    for (const on of [true, true, false, false]) await ann.ask("typing", { on });
    await bob.next("typing", ({ on }) => !on);
    await ann.ask("broadcast", { event: "mark" });
    await bob.next("mark");
    assert.deepEqual(
      bob.received("typing").map(({ on }) => on),
      [true, false],
    );
  });

  test("who leaves while typing has stopped", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("typing", { on: true });
    await bob.next("typing", ({ on }) => on);
    await ann.leave();
    await bob.next("typing", ({ on }) => !on);
  });

  test("who is not shown is not told of", async ({ page }) => {
    const bob = await page("bob");
    const ghosts = [
      await page("ghost", { presence: "receive" }),
      await page("blind", { presence: false }),
    ];
    for (const ghost of ghosts) await ghost.ask("typing", { on: true });
    await ghosts[1].ask("broadcast", { event: "mark" });
    await bob.next("mark");
    assert.deepEqual(bob.received("typing"), []);
  });

  test("editing comes back after typing", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("presence_update", { activity: "editing" });
    await ann.ask("typing", { on: true });
    await bob.meta("ann", ({ activity }) => activity === "typing");
    await ann.ask("typing", { on: false });
    await bob.meta("ann", ({ activity }) => activity === "editing");
  });

  test("bad payloads are refused", async ({ page }) => {
    const ann = await page("ann");
    for (const payload of [{}, { on: "yes" }, { on: 1 }]) {
      assert.equal(await ann.refused("typing", payload), "invalid_payload");
    }
  });

  test("it ends by itself after 10 s", async ({ page }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("typing", { on: true });
    await bob.next("typing", ({ on }) => on);
    const since = performance.now();
    await until("typing ends", () => bob.received("typing").at(-1).on === false, 12_000);
    const took = performance.now() - since;
    assert.ok(took > 9000, `${took}`);
    await bob.meta("ann", ({ activity }) => activity === "viewing");
  });
});
