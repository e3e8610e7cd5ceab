import assert from "node:assert/strict";
import { canonical } from "../harness/fold.js";
import { handshake } from "../harness/raw.js";
import { seconds, sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const bytes = (...values) => new Uint8Array(values).buffer;
const all = Uint8Array.from({ length: 256 }, (_, value) => value);

suite(
  "realtime-js: presence",
  {},
  ({ test, eachRealtime, server }) => {
    eachRealtime("who is tracked is seen, until untracked", async ({ room, topic }) => {
      const [ann, bob] = [await room("ann"), await room("bob")];
      await ann.sees();
      await ann.track({ color: "red" });
      await bob.track({ color: "green" });
      for (const one of [ann, bob]) await one.sees("ann", "bob");
      const seen = await bob.presence("ann");
      assert.deepEqual([seen.color, seen.user.id, seen.user.name], ["red", "ann", "Ann"]);
      assert.equal(seen.session, ann.reply.session);
      const { data } = await server.presence(topic);
      assert.equal(bob.fold.text(), canonical(data));

      const { diffs } = bob.fold;
      await ann.track({ color: "blue" });
      const again = await bob.presence("ann", ({ color }) => color === "blue");
      assert.equal(again.joined_at, seen.joined_at);
      assert.equal(bob.fold.diffs, diffs + 1, "an update is one diff");

      await ann.untrack();
      for (const one of [ann, bob]) await one.sees("bob");
      await ann.track({ color: "white" });
      await bob.sees("ann", "bob");
      const calls = bob.calls.filter((call) => call.endsWith("ann"));
      assert.deepEqual(calls.toSpliced(1, calls.length - 3), ["+ann", "-ann", "+ann"]);
      assert.ok(bob.syncs > 0 && ann.syncs > 0);
      await ann.channel.unsubscribe();
      await bob.sees("bob");
    });

    eachRealtime("without a key of its own everybody gets another", async ({ room }) => {
      const config = { presence: { key: "" } };
      const rooms = [
        await room("ann", config),
        await room("bob", config),
        await room("bob", config),
      ];
      for (const one of rooms) await one.track({});
      const keys = rooms.map(({ reply }) => reply.key);
      assert.equal(new Set([...keys, "ann", "bob"]).size, 5, `${keys}`);
      for (const one of rooms) await one.sees(...keys);
      const people = keys.map((key) => rooms[0].channel.presenceState()[key][0].user.id);
      assert.deepEqual(people, ["ann", "bob", "bob"]);
    });

    eachRealtime("who comes in later is told of everybody", async ({ room }) => {
      const ann = await room("ann", {}, {});
      await ann.track({});
      const bob = await room("bob");
      await bob.sees("ann");
      await until("a sync of realtime-js", () => bob.syncs > 0 && bob.calls.includes("+ann"));
    });

    eachRealtime("who does not listen is told nothing, before it tracks", async (scene) => {
      const ann = await scene.room("ann");
      await ann.track({});
      const eve = await scene.subscriber("eve");
      const quiet = await eve.subscribe(
        scene.topic,
        { presence: { key: "eve" } },
        { listens: false },
      );
      await ann.track({ n: 1 });
      await quiet.channel.send({ type: "broadcast", event: "mark", payload: {} });
      await ann.next("mark");
      await ann.sees("ann");
      assert.ok(!quiet.events.some(({ event }) => event.startsWith("presence_")));
      await quiet.track({});
      await quiet.sees("ann", "eve");
      await ann.sees("ann", "eve");
    });

    eachRealtime(
      "a lost connection is a leave, and a reconnection a new session",
      async (scene) => {
        const ann = await scene.room("ann");
        const bobs = await scene.subscriber("bob");
        const bob = await bobs.subscribe(
          scene.topic,
          { presence: { key: "bob" } },
          { tracks: { n: 1 } },
        );
        await ann.sees("bob");
        const { session } = bob.reply;
        bobs.drop({ offline: true });
        await ann.sees();
        bobs.offline = false;
        await bob.subscribed(2);
        await ann.sees("bob");
        assert.notEqual(bob.reply.session, session);
        assert.deepEqual(ann.calls, ["+bob", "-bob", "+bob"]);
      },
    );

    eachRealtime("what cannot be shown is refused", async ({ room }) => {
      const [ann, bob] = [await room("ann"), await room("bob")];
      await ann.track({ n: 1 });
      const answers = { invalid_meta: ["text", 7, [1]], meta_too_large: [{ a: "a".repeat(1025) }] };
      for (const [code, metas] of Object.entries(answers)) {
        for (const meta of metas) {
          assert.equal(await ann.channel.track(meta), "error", JSON.stringify(meta).slice(0, 20));
          assert.equal(ann.answers.at(-1).response.code, code);
        }
      }
      const deep = JSON.parse(`${'{"a":'.repeat(17)}0${"}".repeat(17)}`);
      assert.equal(await ann.channel.track(deep), "error");
      assert.equal(ann.answers.at(-1).response.code, "invalid_meta");
      assert.equal(await ann.channel.send({ type: "presence", event: "dance" }), "error");
      assert.equal(ann.answers.at(-1).response.code, "invalid_payload");
      await bob.presence("ann", ({ n }) => n === 1);
    });

    eachRealtime("the other requests are those of any channel", async ({ room }) => {
      const [ann, bob] = [await room("ann"), await room("bob")];
      await ann.track({ n: 1 });
      const typing = { type: "typing", on: true };
      assert.equal(await ann.channel.send(typing), "ok");
      await bob.presence("ann", ({ activity, n }) => activity === "typing" && n === 1);
      const update = { type: "presence_update", visible: false };
      assert.equal(await ann.channel.send(update), "ok");
      await bob.presence("ann", ({ status }) => status === "hidden");
    });

    test("tracking is held to the rate of presence updates", async ({ room }) => {
      const ann = await room("ann");
      const answers = [];
      for (let n = 0; n < 30; n += 1) answers.push(ann.channel.track({ n }));
      const told = await Promise.all(answers);
      const ok = told.filter((answer) => answer === "ok").length;
      assert.ok(ok >= 20 && ok < 30, `${told}`);
    });
  },
  "realtime",
);

suite(
  "realtime-js: broadcasts",
  {},
  ({ test, each, eachRealtime, server }) => {
    eachRealtime("a broadcast goes to the others, and to oneself when asked for", async (scene) => {
      const [ann, bob] = [await scene.room("ann"), await scene.room("bob")];
      const self = await scene.room("eve", { broadcast: { self: true } });
      const payload = { x: 1, list: [null], text: "Ö" };
      assert.equal(await ann.send("moved", payload), "ok");
      assert.deepEqual(await bob.next("moved"), payload);
      assert.deepEqual(await self.next("moved"), payload);
      await self.send("mark", { of: "eve" });
      await self.next("mark");
      await ann.next("mark");
      assert.deepEqual(ann.received("moved"), []);
      await bob.send("bare");
      assert.deepEqual(await ann.next("bare"), {});
    });

    eachRealtime("with ack each is answered", async ({ room }) => {
      const [ann, bob] = [await room("ann", { broadcast: { ack: true } }), await room("bob")];
      assert.equal(await ann.send("moved", { n: 1 }), "ok");
      assert.deepEqual(await bob.next("moved"), { n: 1 });
      assert.deepEqual(ann.answers.at(-1), { status: "ok", response: {} });
      assert.deepEqual(ann.received("moved"), []);
      const refusals = { reserved_event: ["phx_close", "typing", "pen"], invalid_payload: [""] };
      for (const [code, events] of Object.entries(refusals)) {
        for (const event of events) {
          assert.equal(await ann.send(event, {}), "error", event);
          assert.equal(ann.answers.at(-1).response.code, code, event);
        }
      }
      for (const payload of ["text", 7, [1]]) {
        assert.equal(await ann.send("moved", payload), "error", JSON.stringify(payload));
        assert.equal(ann.answers.at(-1).response.code, "invalid_payload");
      }
    });

    eachRealtime("without ack nothing is answered, but errors", async ({ room }) => {
      const [ann, bob] = [await room("ann"), await room("bob")];
      await ann.send("moved", {});
      await ann.send("typing", {});
      await until("an answer", () => ann.answers.length > 1);
      assert.equal(ann.answers[1].response.code, "reserved_event");
      await bob.next("moved");
    });

    test("bytes go in both directions", async ({ room }) => {
      const [ann, bob] = [await room("ann", { broadcast: { ack: true } }), await room("bob")];
      assert.equal(await ann.send("blob", all.buffer), "ok");
      assert.deepEqual(new Uint8Array(await bob.next("blob")), all);
      await bob.send("blob", bytes());
      assert.equal((await ann.next("blob")).byteLength, 0);
      const self = await room("eve", { broadcast: { self: true } });
      await self.send("own", bytes(1, 2));
      assert.deepEqual(new Uint8Array(await self.next("own")), new Uint8Array([1, 2]));
    });

    each("plain clients and those of the dialect hear and see each other", async (scene) => {
      const { topic, page, room } = scene;
      const [ann, bob] = [await page("ann"), await room("bob")];
      const old = await room("carl", {}, { version: "2.88" });
      await bob.track({ n: 1 });
      await old.track({ n: 2 });
      await ann.sees("ann", "bob", "carl");
      await bob.sees("ann", "bob", "carl");
      assert.equal((await ann.meta("bob")).n, 1);

      await ann.ask("broadcast", { event: "moved", payload: { x: 1 } });
      for (const one of [bob, old]) assert.deepEqual(await one.next("moved"), { x: 1 });
      await bob.send("moved", { x: 2 });
      await old.send("moved", { x: 3 });
      for (const x of [2, 3]) await ann.next("moved", (payload) => payload.x === x);
      await bob.next("moved", ({ x }) => x === 3);

      await ann.ask("broadcast:blob", all.buffer);
      assert.deepEqual(new Uint8Array(await bob.next("blob")), all);
      await bob.send("answer", bytes(7));
      assert.deepEqual(new Uint8Array(await ann.next("answer")), new Uint8Array([7]));

      await ann.ask("typing", { on: true });
      await bob.presence("ann", ({ activity }) => activity === "typing");
      const path = `/v1/topics/${encodeURIComponent(topic)}/broadcast`;
      const json = { event: "from_outside", payload: { y: 1 } };
      assert.equal((await server.ask("POST", path, { json })).status, 200);
      for (const one of [bob, old]) assert.deepEqual(await one.next("from_outside"), { y: 1 });
      await ann.next("from_outside");
      assert.deepEqual(old.received("blob"), [], "V1 has no binary frames");
      assert.ok(ann.reply.resume && !("postgres_changes" in ann.reply), "a plain join is plain");
      assert.deepEqual([bob.reply.postgres_changes, bob.reply.resume], [[], undefined]);
    });

    test("publishing takes the capability, and an edit session", async ({ room, topic }) => {
      const bob = await room("bob");
      const mayNot = {
        not_authorized: sign({ sub: "ed", topics: { [topic]: ["view", "edit"] } }),
        forbidden: sign({ sub: "ed", role: "viewer" }),
      };
      for (const [code, token] of Object.entries(mayNot)) {
        const ed = await room("ed", { broadcast: { ack: true } }, { token });
        for (const payload of [{}, bytes(1)]) {
          assert.equal(await ed.send("moved", payload), "error");
          assert.equal(ed.answers.at(-1).response.code, code);
        }
        await ed.track({});
        await bob.sees("ed");
        await ed.channel.unsubscribe();
        await bob.sees();
      }
      assert.deepEqual(bob.heard, []);
    });

    test("bad JSON in a binary frame is answered, and the third closes the socket", async (scene) => {
      const { raw, topic } = scene;
      const ann = await raw("ann");
      assert.equal((await ann.ask(["1", "1", topic, "phx_join", { config: {} }])).status, "ok");
      const frame = (ref, encoding, data) => {
        const head = [3, 1, ref.length, topic.length, 1, 0, encoding];
        return Buffer.concat([
          Buffer.from(head),
          Buffer.from(`1${ref}${topic}e`),
          Buffer.from(data),
        ]);
      };
      const deep = "[".repeat(17) + "]".repeat(17);
      for (const [ref, data] of [
        ["2", "{"],
        ["3", deep],
      ]) {
        ann.send(frame(ref, 1, data));
        const { response } = await ann.reply(ref);
        assert.equal(response.code, "malformed");
      }
      ann.send(frame("4", 1, "1e999"));
      assert.equal((await ann.ended()).code, 4400);
      const bob = await raw("bob");
      await bob.ask(["1", "1", topic, "phx_join", { config: {} }]);
      bob.send(frame("2", 7, "{}"));
      assert.equal((await bob.ended()).code, 4400, "no broadcast has such data");
    });
  },
  "realtime",
);

suite(
  "realtime-js: joins and tokens",
  { AUTH__LEEWAY: "0s" },
  ({ test, eachRealtime, server }) => {
    eachRealtime("setAuth renews the token, and who others see", async ({ room, topic }) => {
      const ann = await room("ann", { presence: { key: "desk-7" } }, { ttl: "3" });
      const bob = await room("bob", {}, { token: sign({ sub: "bob", role: "agent" }) });
      await ann.track({});
      await bob.presence("desk-7", ({ user }) => user.name === "Ann");
      const exp = seconds(3600);
      await ann.subscriber.client.setAuth(sign({ sub: "ann", name: "Anna", role: "agent", exp }));
      await bob.presence("desk-7", ({ user }) => user.name === "Anna");
      assert.deepEqual(ann.answers.at(-1), { status: "ok", response: { expires_at: exp * 1000 } });
      const late = await room("late", {}, { ttl: "4" });
      await until("the other token ends", () => late.subscriber.closes.length > 0, 8000);
      assert.deepEqual(ann.subscriber.closes, []);
      assert.ok(!bob.calls.includes("-desk-7"));
      await ann.subscriber.client.setAuth(sign({ sub: "ann", topics: { [topic]: ["view"] } }));
      await bob.presence("desk-7", ({ mode }) => mode === "view");
    });

    eachRealtime("the token of a join counts for it, and for what is joined", async (scene) => {
      const { subscriber, room, topic } = scene;
      const bob = await room("bob");
      const ann = await subscriber("ann", { token: sign({ sub: "ann", name: "Ann", topics: {} }) });
      const config = { presence: { key: "ann" } };
      assert.match(await ann.refused(topic, config, { tracks: {} }), /not_authorized/);
      // It tries again by itself.
      await ann.client.setAuth(sign({ sub: "ann", name: "Anna", role: "agent" }));
      await ann.rooms[0].subscribed();
      await bob.presence("ann", ({ user }) => user.name === "Anna");
      assert.equal(ann.rooms[0].reply.mode, "edit");
    });

    test("the token of a later join counts for the topics joined before", async (scene) => {
      const { raw, room, topic } = scene;
      const bob = await room("bob");
      const ann = await raw("ann");
      const config = { presence: { key: "ann" } };
      await ann.ask(["1", "1", topic, "phx_join", { config }]);
      await ann.ask(["1", "2", topic, "presence", { event: "track" }]);
      await bob.sees("ann");
      const fresh = sign({ sub: "ann", name: "Anna", topics: { "realtime:*": ["view"] } });
      await ann.ask(["3", "3", `${topic}0`, "phx_join", { config, access_token: fresh }]);
      await bob.presence("ann", ({ user, mode }) => user.name === "Anna" && mode === "view");
      const nothing = { config, access_token: null };
      const { response } = await ann.ask(["4", "4", `${topic}1`, "phx_join", nothing]);
      assert.equal(response.mode, "view");
    });

    eachRealtime("a token of somebody else, or a bad one, is refused", async (scene) => {
      const { room, subscriber, topic } = scene;
      const ann = await room("ann");
      for (const token of [
        sign({ sub: "bob", role: "admin" }),
        sign({ sub: "ann", exp: 1 }),
        "x",
      ]) {
        const before = ann.answers.length;
        await ann.subscriber.client.setAuth(token);
        await until("an answer", () => ann.answers.length > before);
        assert.equal(ann.answers.at(-1).response.code, "invalid_token");
        const eve = await subscriber("ann");
        await eve.client.setAuth(token);
        assert.match(await eve.refused(topic), /invalid_token/);
      }
      await ann.track({});
      await ann.sees("ann");
    });

    test("without a token to send, the present one stays", async ({ raw, topic }) => {
      const ann = await raw("ann", { ttl: "60" });
      await ann.ask(["1", "1", topic, "phx_join", { config: {} }]);
      const { status, response } = await ann.ask([
        "1",
        "2",
        topic,
        "access_token",
        { access_token: null },
      ]);
      assert.equal(status, "ok");
      assert.ok(
        Math.abs(response.expires_at - Date.now() - 60_000) < 5000,
        `${response.expires_at}`,
      );
      const bad = await ann.ask(["1", "3", topic, "access_token", { access_token: 7 }]);
      assert.equal(bad.response.code, "invalid_payload");
    });

    eachRealtime("bindings to changes of a database are refused", async ({ subscriber, topic }) => {
      const ann = await subscriber("ann");
      const changes = { event: "*", schema: "public" };
      const told = await ann.refused(topic, {}, { changes });
      assert.match(told, /invalid_payload/);
      assert.match(told, /watches no database/);
    });

    eachRealtime("keys that break clients are refused", async ({ subscriber, topic }) => {
      for (const key of ["__proto__", "constructor", "ids", "a\nb", "a".repeat(257)]) {
        const ann = await subscriber("ann");
        assert.match(await ann.refused(topic, { presence: { key } }), /invalid_payload/, key);
      }
    });

    test("configurations of another shape are refused", async ({ raw, topic }) => {
      const ann = await raw("ann");
      const bad = [{ broadcast: 5 }, { presence: { key: 7 } }, { postgres_changes: {} }];
      for (const [n, config] of bad.entries()) {
        const { response } = await ann.ask([`${n}`, `${n}`, topic, "phx_join", { config }]);
        assert.equal(response.code, "invalid_payload", JSON.stringify(config));
      }
    });

    test("outside of its namespace, and without config, a join is a plain one", async (scene) => {
      const { raw, topic } = scene;
      const ann = await raw("ann");
      const elsewhere = await ann.ask(["1", "1", "doc:x", "phx_join", { config: {} }]);
      const plain = await ann.ask(["2", "2", topic, "phx_join", {}]);
      for (const { response } of [elsewhere, plain]) {
        assert.ok(response.resume && !("postgres_changes" in response));
      }
      for (const [n, event] of ["presence", "access_token"].entries()) {
        const payload = { event: "track", access_token: "x" };
        const { response } = await ann.ask(["2", `${n}x`, topic, event, payload]);
        assert.equal(response.code, "unknown_event", event);
      }
      assert.equal((await server.presence(topic)).count, 1, "a plain join is shown at once");
    });

    test("the token may be the API key, where there is no other", async () => {
      const [ann, eve] = [await server.token("ann"), "not a token"];
      const path = (query) => `/socket/websocket?vsn=2.0.0&${query}`;
      const ask = async (query, headers = []) => {
        return (await handshake(server, { path: path(query), headers })).status;
      };
      assert.equal(await ask(`apikey=${ann}`), 101);
      assert.equal(await ask(`apikey=${eve}`), 401);
      assert.equal(await ask(`apikey=${ann}&apikey=${ann}`), 400);
      assert.equal(await ask(`apikey=${eve}&token=${ann}`), 101);
      assert.equal(await ask(`apikey=${ann}&token=${eve}`), 401);
      assert.equal(await ask(`apikey=${eve}`, [["Authorization", `Bearer ${ann}`]]), 101);
      assert.ok(!server.logged(2000).includes(ann), "no token in the log");
    });
  },
  "realtime",
);

suite(
  "realtime-js: no tokens in the query",
  { AUTH__QUERY_TOKEN: "false" },
  ({ test, server }) => {
    test("nor as API key", async () => {
      const path = `/socket/websocket?vsn=2.0.0&apikey=${await server.token("ann")}`;
      assert.equal((await handshake(server, { path })).status, 401);
    });
  },
  "realtime",
);

suite(
  "realtime-js: three messages",
  { LIMITS__MESSAGES_BURST: "3", LIMITS__MESSAGES_PER_SECOND: "1" },
  ({ test }) => {
    test("a fresh token in a join costs one", async ({ raw, topic }) => {
      const ann = await raw("ann");
      const tokens = ["one", "two"].map((name) => sign({ sub: "ann", name, role: "agent" }));
      const codes = [];
      for (let n = 1; n <= 10; n += 1) {
        const payload = { config: {}, access_token: tokens[n % 2] };
        const { response } = await ann.ask([`${n}`, `${n}`, `${topic}:${n}`, "phx_join", payload]);
        codes.push(response.code ?? "ok");
      }
      assert.equal(codes[0], "ok");
      assert.ok(codes.includes("rate_limited"), `${codes}`);
      const payload = { config: {} };
      const { status } = await ann.ask(["x", "x", `${topic}:x`, "phx_join", payload]);
      assert.equal(status, "ok", "a join by itself costs none");
    });
  },
  "realtime",
);

suite(
  "realtime-js: a restart of the server",
  {},
  ({ eachRealtime, server }) => {
    eachRealtime("everybody is back, and seen", async ({ subscriber, topic }) => {
      const rooms = [];
      for (const key of ["ann", "bob"]) {
        const who = await subscriber(key);
        const config = { presence: { key }, broadcast: { ack: true } };
        rooms.push(await who.subscribe(topic, config, { tracks: { of: key } }));
      }
      for (const room of rooms) await room.sees("ann", "bob");
      await server.kill();
      await server.start();
      for (const room of rooms) await room.subscribed(2);
      for (const room of rooms) await room.sees("ann", "bob");
      assert.equal(await rooms[0].send("moved", { n: 1 }), "ok");
      assert.deepEqual(await rooms[1].next("moved"), { n: 1 });

      const { code } = await server.terminate();
      assert.equal(code, 0);
      await server.start();
      for (const room of rooms) await room.subscribed(3);
      for (const room of rooms) await room.sees("ann", "bob");
    });
  },
  "realtime",
);
