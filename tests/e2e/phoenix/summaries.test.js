import assert from "node:assert/strict";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";

const empty = (topic) => ({ topic, count: 0, names: [], holder: null, prior: null });
const person = (id, name) => ({ id, name, kind: "human" });

suite("summaries of many topics", {}, ({ test, each, server }) => {
  /** Joins `system:summaries`, and returns its page with `rows`: the payload of each frame. */
  const watch = async (who, topics) => {
    const page = who.open("system:summaries", { topics });
    const { status, response } = await page.answer;
    assert.equal(status, "ok", JSON.stringify(response));
    page.rows = () => page.received("summaries").map(({ data }) => data);
    await page.next("summaries");
    return page;
  };

  each("first all rows in the order asked, then those that change", async (scene) => {
    const topics = ["c", "a", "b"].map((name) => `${scene.topic}:${name}`);
    const [c, a] = topics;
    const bob = await (await scene.person("bob")).join(a);
    await bob.summarized("bob is there", ({ count }) => count === 1);
    const list = await watch(await scene.person("eve"), topics);
    const bobs = { ...empty(a), count: 1, names: ["Bob"], prior: person("bob", "Bob") };
    assert.deepEqual(list.rows(), [[empty(c), bobs, empty(topics[2])]]);

    // A change of presence that the row does not show.
    await bob.ask("presence_update", { meta: { color: "red" } });
    const ann = await (await scene.person("ann")).join(c);
    await list.next("summaries", ({ data }) => data.length === 1 && data[0].topic === c);
    const anns = { ...empty(c), count: 1, names: ["Ann"], prior: person("ann", "Ann") };
    assert.deepEqual(list.rows()[1], [anns]);

    await ann.leave();
    await list.next("summaries", ({ data }) => data.length === 1 && data[0].count === 0);
    await bob.leave();
    await list.next("summaries", ({ data }) => data[0].topic === a && data[0].count === 0);
    assert.deepEqual(list.rows().slice(2), [[empty(c)], [empty(a)]]);
    assert.equal(list.received("presence_state").length, 0, "nobody is present on the list");
    assert.equal((await server.presence(c)).count, 0, "who looks at the list is not on the topic");
  });

  test("three names at most, in order of arrival", async (scene) => {
    const list = await watch(await scene.person("eve"), [scene.topic]);
    for (const key of ["zoe", "ann", "max", "bob"]) await scene.page(key);
    const four = await list.next("summaries", ({ data }) => data[0].count === 4);
    assert.deepEqual(four.data[0].names, ["Zoe", "Ann", "Max"]);
    assert.deepEqual(four.data[0].prior, person("zoe", "Zoe"));
  });

  test("the same rows over HTTP", async (scene) => {
    const topics = [`${scene.topic}:b`, `${scene.topic}:a`];
    const list = await watch(await scene.person("eve"), topics);
    const { status, body } = await server.ask("POST", "/v1/presence/summaries", {
      json: { topics },
    });
    assert.equal(status, 200);
    assert.deepEqual(body.data, list.rows()[0]);
  });

  test("what changes together arrives together", async (scene) => {
    const topics = ["a", "b", "c"].map((name) => `${scene.topic}:${name}`);
    const list = await watch(await scene.person("eve"), topics);
    const ann = await scene.person("ann");
    await Promise.all(topics.map((topic) => ann.join(topic)));
    const latest = () =>
      new Map(
        list
          .rows()
          .flat()
          .map((row) => [row.topic, row.count]),
      );
    await list.next("summaries", () => [...latest().values()].every((count) => count === 1));
    assert.ok(list.rows().length <= 4, `${list.rows().length} frames`);
  });

  test("joining again watches other topics", async ({ raw, page, topic }) => {
    const eve = await raw("eve");
    await eve.ask(["1", "1", "system:summaries", "phx_join", { topics: [`${topic}:old`] }]);
    await eve.ask(["2", "2", "system:summaries", "phx_join", { topics: [topic] }]);
    await page("ann");
    const isAnn = ([, , , event, { data }]) => event === "summaries" && data[0]?.count === 1;
    const [, , , , { data }] = await eve.until("ann's row", isAnn);
    assert.equal(data[0].topic, topic);
    await eve.ask(["2", "3", "system:summaries", "phx_leave", {}]);
    await page("bob");
    await eve.ask([null, "4", "phoenix", "heartbeat", {}]);
    assert.ok(!eve.frames.some((frame) => frame.includes('"Bob"')));
  });

  test("a refused join ends what was watched before, after the error", async (scene) => {
    const { topic } = scene;
    const token = sign({ sub: "eve", topics: { [topic]: ["view"] } });
    const eve = await scene.raw("eve", { token });
    const list = "system:summaries";
    const refused = [
      ["invalid_topic", ["a b"]],
      ["invalid_payload", "a"],
      ["invalid_payload", Array.from({ length: 201 }, (_, n) => `${topic}:${n}`)],
      ["not_authorized", [topic, "doc:of-others"]],
    ];
    for (const [index, [code, topics]] of refused.entries()) {
      const [old, anew] = [`${index}a`, `${index}b`];
      await eve.ask([old, old, list, "phx_join", { topics: [topic] }]);
      await eve.event("summaries");
      eve.send([anew, anew, list, "phx_join", { topics }]);
      const [joinRef, ref, , event, { status, response }] = JSON.parse(await eve.frame());
      assert.deepEqual([joinRef, ref, event, status], [anew, anew, "phx_reply", "error"]);
      assert.equal(response.code, code);
      assert.equal(await eve.frame(), `["${old}","${old}","${list}","phx_close",{}]`, code);
    }
    const ann = await scene.page("ann");
    await ann.summarized("ann is there", ({ count }) => count === 1);
    await eve.ask([null, "5", "phoenix", "heartbeat", {}]);
    assert.ok(!eve.frames.some((frame) => frame.includes('"Ann"')));
  });

  test("200 topics at most, all of them legal", async ({ raw, topic }) => {
    const eve = await raw("eve");
    const ask = (ref, payload) => eve.ask([ref, ref, "system:summaries", "phx_join", payload]);
    const many = (length) => Array.from({ length }, (_, n) => `${topic}:${n}`);
    assert.equal((await ask("200", { topics: many(200) })).status, "ok");
    assert.equal((await ask("201", { topics: many(201) })).response.code, "invalid_payload");
    assert.equal((await ask("bad", { topics: ["a b"] })).response.code, "invalid_topic");
    assert.equal((await ask("none", { topics: "a" })).response.code, "invalid_payload");
  });
});
