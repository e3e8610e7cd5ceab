import assert from "node:assert/strict";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";

const LIMITS = {
  message_max: 65_536,
  meta_max: 1024,
  topics_per_socket: 100,
  messages_per_second: 30,
  messages_burst: 60,
  joins_per_second: 10,
  joins_burst: 20,
  presence_updates_per_second: 5,
  presence_updates_burst: 20,
};

/** An object of exactly `bytes` bytes. */
const metaOf = (bytes) => ({ a: "x".repeat(bytes - '{"a":""}'.length) });

/** An object that is `depth` deep. */
const nested = (depth) => (depth === 1 ? {} : { a: nested(depth - 1) });

/** Metas, and the code with which they are refused; as text, since JavaScript bends `__proto__`. */
const METAS = [
  [JSON.stringify(metaOf(1024)), null],
  [JSON.stringify(metaOf(1025)), "meta_too_large"],
  [`{"a":"${"ü".repeat(508)}"}`, null],
  [`{"a":"${"ü".repeat(509)}"}`, "meta_too_large"],
  [JSON.stringify(nested(16)), null],
  [JSON.stringify(nested(17)), "invalid_meta"],
  ['{"__proto__":{"a":1}}', "invalid_meta"],
  ['{"a":{"constructor":1}}', "invalid_meta"],
  ["[]", "invalid_meta"],
  ['"red"', "invalid_meta"],
  ["7", "invalid_meta"],
  ["null", null],
];

suite("join", {}, ({ test, each, server }) => {
  each("reply is complete", async ({ page }) => {
    const before = Date.now();
    const { reply } = await page("ann");
    const { session, resume, joined_at, summary, ...rest } = reply;
    assert.deepEqual(rest, {
      key: "ann",
      mode: "edit",
      seq: 0,
      recovered: null,
      pen: {
        state: "free",
        holder: null,
        session: null,
        fence: "0",
        since: null,
        deadline: null,
        queue: [],
      },
      limits: LIMITS,
    });
    assert.match(session, /./);
    assert.match(resume, /./);
    assert.ok(joined_at >= before - 1000 && joined_at <= Date.now() + 1000, `${joined_at}`);
    const user = { id: "ann", name: "Ann", role: "agent", kind: "human", avatar: null };
    const ann = { key: "ann", user, joined_at, active_sessions: 1, mode: "edit", status: "active" };
    assert.deepEqual(summary, {
      presences: [ann],
      prior_user_presence: ann,
      prior_session: session,
      certainty: "confirmed",
      count: 1,
      full: true,
      current_user_presence: ann,
      has_presence_edit_priority: true,
      priority_in_session: null,
    });
  });

  test("reply comes first, then the state, then the summary", async ({ raw, topic }) => {
    const ann = await raw("ann");
    ann.send(["1", "1", topic, "phx_join", {}]);
    const events = [];
    for (let frame = 0; frame < 3; frame += 1) events.push(JSON.parse(await ann.frame())[3]);
    assert.deepEqual(events, ["phx_reply", "presence_state", "presence_summary"]);
  });

  each("state holds everybody, the newcomer included, with whole metas", async ({ page }) => {
    const ann = await page("ann", { meta: { color: "red" } });
    const bob = await page("bob");
    await bob.sees("ann", "bob");
    const { phx_ref, ...meta } = await bob.meta("ann");
    assert.match(phx_ref, /./);
    assert.deepEqual(meta, {
      color: "red",
      joined_at: ann.reply.joined_at,
      session: ann.reply.session,
      user: { id: "ann", name: "Ann", role: "agent", kind: "human", avatar: null },
      mode: "edit",
      status: "active",
      activity: "viewing",
      unsaved: false,
      idle_since: null,
    });
  });

  each("every rejoin gets a state of its own", async ({ page }) => {
    const ann = await page("ann");
    await ann.leave();
    const again = await ann.person.join(ann.topic);
    await again.sees("ann");
    assert.notEqual(again.reply.session, ann.reply.session);
  });

  test("identity in params and meta is ignored and stamped over", async ({ page }) => {
    const user = { id: "root", name: "Root", role: "admin", kind: "ai" };
    const meta = {
      user,
      phx_ref: "mine",
      phx_ref_prev: "mine",
      joined_at: 1,
      session: "mine",
      mode: "view",
      status: "idle",
      activity: "editing",
      unsaved: true,
      idle_since: 1,
      color: "red",
    };
    const params = { user, user_id: "root", role: "admin", key: "root", meta };
    const mallory = await page("mallory", params, { role: "customer" });
    assert.equal(mallory.reply.key, "mallory");
    await mallory.sees("mallory");
    const { phx_ref, ...shown } = await mallory.meta("mallory");
    assert.notEqual(phx_ref, "mine");
    assert.deepEqual(shown, {
      color: "red",
      user: { id: "mallory", name: "Mallory", role: "customer", kind: "human", avatar: null },
      joined_at: mallory.reply.joined_at,
      session: mallory.reply.session,
      mode: "edit",
      status: "active",
      activity: "viewing",
      unsaved: false,
      idle_since: null,
    });
  });

  test("metas have bounds in bytes, depth and names", async ({ raw, topic }) => {
    const ann = await raw("ann");
    for (const [index, [meta, refusal]] of METAS.entries()) {
      const ref = `${index}`;
      ann.send(`["${ref}","${ref}","${topic}","phx_join",{"meta":${meta}}]`);
      const { status, response } = await ann.reply(ref);
      assert.equal(status, refusal ? "error" : "ok", meta);
      if (refusal) assert.deepEqual([response.reason, response.code], [refusal, refusal], meta);
    }
  });

  test("metas of updates have the same bounds", async ({ raw, topic }) => {
    const ann = await raw("ann");
    await ann.ask(["j", "j", topic, "phx_join", {}]);
    for (const [index, [meta, refusal]] of METAS.entries()) {
      ann.send(`["j","${index}","${topic}","presence_update",{"meta":${meta}}]`);
      const { status, response } = await ann.reply(`${index}`);
      assert.equal(status, refusal ? "error" : "ok", meta);
      if (refusal) assert.equal(response.code, refusal, meta);
    }
  });

  test("illegal topics are refused", async ({ raw }) => {
    const ann = await raw("ann");
    const illegal = [
      "",
      ":",
      "doc:",
      ":1",
      "doc::1",
      "doc 1",
      "doc:%00",
      "doc:\0",
      "doc:ü",
      "doc/1",
    ];
    for (const [index, topic] of [...illegal, "a".repeat(201)].entries()) {
      const ref = `${index}`;
      ann.send([ref, ref, topic, "phx_join", {}]);
      const answer = await ann.until(`answer on ${topic}`, ([, to]) => to === ref);
      assert.deepEqual(answer.slice(0, 4), [ref, ref, topic, "phx_reply"]);
      const { status, response } = answer[4];
      assert.equal(status, "error", topic);
      assert.deepEqual([response.reason, response.code], ["invalid_topic", "invalid_topic"], topic);
      assert.match(response.message, /./);
    }
  });

  test("legal topics are joined, whatever their case", async ({ raw }) => {
    const ann = await raw("ann");
    const legal = [
      "a",
      "doc:42",
      "workflow:abc:node:7",
      "A-Z_0.9~:-",
      "Tickets:1",
      "a".repeat(200),
    ];
    for (const [index, topic] of legal.entries()) {
      const { status } = await ann.ask([`${index}`, `${index}`, topic, "phx_join", {}]);
      assert.equal(status, "ok", topic);
    }
  });

  test("a token without the capability, and what nobody may join, look the same", async ({
    person,
    topic,
  }) => {
    const token = sign({ sub: "ann", role: "agent", topics: { [topic]: ["view"] } });
    const ann = await person("ann", { token });
    const page = await ann.join(topic);
    assert.equal(page.reply.mode, "view");
    const { reason, code } = await ann.refused("doc:of-others");
    assert.deepEqual([reason, code], ["not_authorized", "not_authorized"]);
  });

  test("mode is what is asked for, as far as the token allows", async ({ person, topic }) => {
    for (const [role, asked, mode] of [
      ["agent", undefined, "edit"],
      ["agent", "edit", "edit"],
      ["agent", "view", "view"],
      ["customer", undefined, "edit"],
      ["viewer", undefined, "view"],
      ["viewer", "view", "view"],
    ]) {
      const who = await person(`${role}-${asked}`, { role });
      const page = await who.join(topic, asked && { mode: asked });
      assert.equal(page.reply.mode, mode, `${role} asks for ${asked}`);
    }
  });

  test("bad join payloads are refused", async ({ raw, topic }) => {
    const ann = await raw("ann");
    for (const payload of [{ mode: "root" }, { presence: "yes" }, { resume: 7 }, [], "x"]) {
      const name = JSON.stringify(payload);
      const { status, response } = await ann.ask([name, name, topic, "phx_join", payload]);
      assert.deepEqual([status, response.code], ["error", "invalid_payload"], name);
    }
    assert.equal((await server.presence(topic)).count, 0);
  });

  test("since: what cannot have been seen is not recovered", async ({ raw, topic }) => {
    const ann = await raw("ann");
    const cases = [
      ["0", true],
      ["7", false],
      ["-1", false],
      ["18446744073709551616", false],
      ['"7"', false],
      ["null", null],
    ];
    for (const [index, [since, recovered]] of cases.entries()) {
      ann.send(`["${index}","${index}","${topic}","phx_join",{"since":${since}}]`);
      const { status, response } = await ann.reply(`${index}`);
      assert.deepEqual([status, response.recovered], ["ok", recovered], since);
    }
  });

  each("an invisible session receives and is not shown", async ({ page, topic }) => {
    const ann = await page("ann");
    const ghost = await page("ghost", { presence: "receive" });
    assert.equal(ghost.reply.summary.current_user_presence, null);
    await ghost.sees("ann");
    const bob = await page("bob");
    await ghost.sees("ann", "bob");
    await ann.sees("ann", "bob");
    await bob.sees("ann", "bob");
    await ghost.leave();
    await bob.leave();
    await ann.sees("ann");
    assert.deepEqual(ann.calls, ["+ann", "+bob", "-bob"]);
    assert.equal((await server.presence(topic)).count, 1);
  });

  each("presence: false is neither shown nor told", async ({ page }) => {
    const ann = await page("ann");
    const blind = await page("blind", { presence: false });
    assert.equal(blind.reply.summary, null);
    const bob = await page("bob");
    await ann.sees("ann", "bob");
    // What was sent to all before the broadcast has arrived before it.
    await bob.ask("broadcast", { event: "mark", payload: {} });
    await blind.next("mark");
    assert.deepEqual(
      blind.events.map(({ event }) => event),
      ["mark"],
    );
    assert.deepEqual(ann.calls, ["+ann", "+bob"]);
  });
});
