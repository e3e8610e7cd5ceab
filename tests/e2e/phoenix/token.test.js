import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { canonical } from "../harness/fold.js";
import { seconds, sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

suite("token", { AUTH__LEEWAY: "0s" }, ({ test, each, server }) => {
  each("a socket is closed when its token expires", async ({ page }) => {
    const ann = await page("ann", {}, { ttl: "2" });
    const { closes } = ann.person;
    await until("the server closes the socket", () => closes.length > 0, 8000);
    assert.equal(closes[0].code, 4401);
    assert.equal(JSON.parse(closes[0].reason).code, "token_expired");
  });

  each("a fresh token keeps the socket open", async ({ page }) => {
    const ann = await page("ann", {}, { ttl: "3" });
    const exp = seconds(3600);
    const fresh = sign({ sub: "ann", role: "agent", exp });
    assert.deepEqual(await ann.ask("token", { token: fresh }), { expires_at: exp * 1000 });
    const bob = await page("bob", {}, { ttl: "4" });
    await until("bob's token expires", () => bob.person.closes.length > 0, 8000);
    assert.deepEqual(ann.person.closes, []);
    await ann.ask("presence_update", { input: true });
  });

  test("a token of somebody else, or a bad one, is refused", async ({ page }) => {
    const ann = await page("ann");
    const bad = {
      "somebody else": sign({ sub: "bob", role: "admin" }),
      expired: sign({ sub: "ann", exp: seconds(-10) }),
      "another secret": sign(
        { sub: "ann" },
        { secret: "another secret, also of 32 bytes or more" },
      ),
      "not a token": "x",
    };
    for (const [name, token] of Object.entries(bad)) {
      assert.equal(await ann.refused("token", { token }), "invalid_token", name);
    }
    assert.equal(await ann.refused("token", {}), "invalid_payload");
    await ann.ask("broadcast", { event: "moved" });
  });

  test("a warning comes a minute before, once", async ({ page }) => {
    const token = sign({ sub: "ann", role: "agent", exp: seconds(62) });
    const at = JSON.parse(Buffer.from(token.split(".")[1], "base64url")).exp * 1000;
    const ann = await page("ann", {}, { token });
    assert.deepEqual(await ann.next("token_expiring"), { at });
    const left = at - Date.now();
    assert.ok(left > 55_000 && left <= 61_000, `${left} ms before`);
    await ann.ask("token", { token: sign({ sub: "ann", role: "agent" }) });
    assert.equal(ann.received("token_expiring").length, 1);
  });

  test("a token that is about to expire is warned of at once, on every topic", async (scene) => {
    const ann = await scene.person("ann", { ttl: "30" });
    const [one, two] = [await ann.join(scene.topic), await ann.join(`${scene.topic}0`)];
    await one.next("token_expiring");
    await two.next("token_expiring");
  });

  test("whoever joins in the last minute is warned after the answer", async ({ raw, topic }) => {
    const ann = await raw("ann", { ttl: "30" });
    const topics = [topic, "system:summaries", ...[1, 2, 3].map((n) => `${topic}:${n}`)];
    for (const name of topics) ann.send([name, name, name, "phx_join", { topics: [topic] }]);
    const events = (name) => {
      const frames = ann.frames.map((frame) => JSON.parse(frame));
      return frames.filter(([, , of]) => of === name).map(([, , , event]) => event);
    };
    for (const name of topics) {
      const told = () => `${name} is warned, after ${events(name)}`;
      await until(told, () => events(name).includes("token_expiring"));
      assert.equal(events(name)[0], "phx_reply", `${events(name)}`);
    }
    await ann.ask([null, "h", "phoenix", "heartbeat", {}]);
    for (const name of topics) {
      const warnings = events(name).filter((event) => event === "token_expiring");
      assert.equal(warnings.length, 1, name);
    }
  });

  test("whoever joins while the last minute begins is warned after the answer", async (scene) => {
    const { raw, topic } = scene;
    const ann = await raw("ann", { token: sign({ sub: "ann", role: "agent", exp: seconds(61) }) });
    const order = new Map();
    for (let count = 0; ![...order.values()].flat().includes("token_expiring"); count += 1) {
      assert.ok(count < 150, "the last minute has begun");
      const name = `${topic}:${count % 50}`;
      ann.send([`${count}`, `${count}`, name, "phx_join", {}]);
      await setTimeout(10);
      order.clear();
      for (const frame of ann.frames.map((frame) => JSON.parse(frame))) {
        const [joinRef, , , event] = frame;
        if (["phx_reply", "token_expiring"].includes(event)) {
          order.set(joinRef, [...(order.get(joinRef) ?? []), event]);
        }
      }
    }
    for (const [joinRef, events] of order) {
      assert.equal(events[0], "phx_reply", `${joinRef}: ${events}`);
    }
  });

  each("others see the name and the role of a fresh token", async ({ person, page, topic }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    const list = (await person("eve")).open("system:summaries", { topics: [topic] });
    await list.next("summaries", ({ data }) => data[0].count === 2);
    await bob.sees("ann", "bob");
    const before = await bob.meta("ann");
    const token = sign({ sub: "ann", name: "Anna-Lena", role: "admin", avatar: "https://a/b" });
    await ann.ask("token", { token });
    const meta = await bob.meta("ann", ({ user }) => user.name === "Anna-Lena");
    assert.deepEqual(
      [meta.user.id, meta.user.role, meta.user.avatar],
      ["ann", "admin", "https://a/b"],
    );
    assert.deepEqual(
      [meta.session, meta.joined_at, meta.phx_ref_prev],
      [before.session, before.joined_at, before.phx_ref],
    );
    await bob.summarized("the prior person's name", ({ prior_user_presence }) => {
      return prior_user_presence.user.name === "Anna-Lena";
    });
    await list.next("summaries", ({ data }) => data[0].prior.name === "Anna-Lena");
    assert.deepEqual(list.received("summaries").at(-1).data[0].names, ["Anna-Lena", "Bob"]);
    await ann.meta("ann", ({ user }) => user.role === "admin");
    assert.ok(!bob.calls.includes("-ann"), `${bob.calls}`);
    const { data } = await server.presence(topic);
    assert.equal(bob.fold.text(), canonical(data));
    // The same token again is no news.
    const { diffs } = bob.fold;
    await ann.ask("token", { token });
    await ann.ask("broadcast", { event: "mark" });
    await bob.next("mark");
    assert.equal(bob.fold.diffs, diffs);
  });

  test("rights are those of the latest token", async ({ page, topic }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("broadcast", { event: "moved" });
    await ann.ask("token", { token: sign({ sub: "ann", topics: { [topic]: ["view"] } }) });
    const { status } = await ann.push("broadcast", { event: "again" });
    assert.equal(status, "error");
    await bob.ask("broadcast", { event: "mark" });
    await ann.next("mark");
    assert.deepEqual(bob.received("again"), []);
    const refused = await ann.person.refused("doc:elsewhere");
    assert.equal(refused.code, "not_authorized");
  });

  test("who may no longer edit is shown as a viewer, and priority passes on", async ({
    page,
    topic,
  }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await ann.ask("presence_update", { activity: "editing", unsaved: true });
    await bob.meta("ann", ({ activity }) => activity === "editing");
    await ann.ask("token", { token: sign({ sub: "ann", topics: { [topic]: ["view"] } }) });
    const meta = await bob.meta("ann", ({ mode }) => mode === "view");
    assert.deepEqual([meta.activity, meta.unsaved], ["viewing", false]);
    await bob.summarized("bob is prior", ({ prior_user_presence }) => {
      return prior_user_presence.key === "bob";
    });
    assert.equal(await ann.refused("typing", { on: true }), "forbidden");
    assert.ok(!bob.calls.includes("-ann"), `${bob.calls}`);
  });

  test("rows of what may no longer be viewed are told no more", async ({ raw, page, topic }) => {
    const eve = await raw("eve");
    await eve.ask(["1", "1", "system:summaries", "phx_join", { topics: [topic] }]);
    await eve.event("summaries");
    const token = sign({ sub: "eve", topics: { "doc:other": ["view"] } });
    await eve.ask(["1", "2", "system:summaries", "token", { token }]);
    const close = await eve.until("phx_close", ([, , , event]) => event === "phx_close");
    assert.deepEqual(close, ["1", "1", "system:summaries", "phx_close", {}]);
    const ann = await page("ann");
    await ann.summarized("ann is there", ({ count }) => count === 1);
    const again = await eve.ask(["3", "3", "system:summaries", "phx_join", { topics: [topic] }]);
    assert.equal(again.response.code, "not_authorized");
    assert.ok(!eve.frames.some((frame) => frame.includes('"Ann"')));
  });

  test("who may not even view any more is sent away", async ({ page, topic }) => {
    const [ann, bob] = [await page("ann"), await page("bob")];
    await bob.sees("ann", "bob");
    await ann.ask("token", { token: sign({ sub: "ann", topics: { "doc:other": ["view"] } }) });
    await bob.sees("bob");
    await until("the channel of ann closes", () => ann.received("phx_close").length > 0);
    assert.equal((await server.presence(topic)).count, 1);
  });
});

suite("leeway", { AUTH__LEEWAY: "5s" }, ({ test }) => {
  test("a token that has ended by our clock alone keeps its socket for as long", async (scene) => {
    const ended = sign({ sub: "ann", role: "agent", exp: seconds(-2) });
    const ann = await scene.raw("ann", { token: ended });
    await ann.ask(["1", "1", scene.topic, "phx_join", {}]);
    await setTimeout(1000);
    await ann.ask([null, "h", "phoenix", "heartbeat", {}]);
    assert.equal((await ann.ended()).code, 4401);
  });

  test("many different tokens are as many updates, and bounded", async ({ page }) => {
    const ann = await page("ann");
    const token = (n) => sign({ sub: "ann", role: "agent", name: `Ann ${n}` });
    for (let n = 0; n < 10; n += 1) await ann.ask("token", { token: token(n) });
    assert.equal(await ann.refused("token", { token: token(10) }), "rate_limited");
    await ann.meta("ann", ({ user }) => user.name === "Ann 9");
  });
});
