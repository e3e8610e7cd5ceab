import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ALGORITHMS, Key } from "../harness/keys.js";
import { RawSocket } from "../harness/raw.js";
import { base64url, SECRET, Server, seconds, sign, signText } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const claims = { sub: "ann", role: "agent" };

/** More than the period in which the server looks for changed keys, which is 5 s. */
const REFRESH_MS = 20_000;

/** What HTTP answers to whoever carries `token`: 200, or 401. */
async function status(server, token) {
  const { status, body } = await server.get("/v1/topics", { authorization: `Bearer ${token}` });
  assert.ok(status === 200 || body.code === "invalid_token", `${status} ${JSON.stringify(body)}`);
  return status;
}

describe("keys", () => {
  let place;
  before(async () => {
    place = await mkdtemp(join(tmpdir(), "penholder-keys-"));
  });
  after(() => rm(place, { recursive: true }));

  const file = async (name, content) => {
    const path = join(place, name);
    // As whoever rotates keys does it: written beside, then renamed.
    await writeFile(`${path}.new`, content);
    await rename(`${path}.new`, path);
    return path;
  };
  const set = (name, keys) => file(name, JSON.stringify({ keys }));

  const running = async (env, body) => {
    const server = new Server(env);
    try {
      await server.start();
      await body(server);
    } finally {
      await server.stop();
    }
  };

  for (const alg of ALGORITHMS) {
    it(`a public key for ${alg} lets in what it signed, and nothing else`, async () => {
      const [key, other] = [new Key(alg), new Key(alg)];
      const path = await file(`${alg}.pem`, key.pem);
      await running({ AUTH__PUBLIC_KEY_FILE: path }, async (server) => {
        const socket = await RawSocket.open(server, { token: key.sign(claims) });
        socket.terminate();
        assert.equal(await status(server, key.sign(claims)), 200);
        assert.equal(await status(server, sign(claims)), 200, "the shared secret counts too");
        // The public key is known to everybody: it must not pass for a secret.
        const header = { alg: "HS256", typ: "JWT" };
        const body = JSON.stringify({ exp: seconds(60), ...claims });
        const forged = {
          "another key": other.sign(claims),
          "the public key as a secret": signText(body, { secret: key.pem, header }),
          "another algorithm's name": key.sign(claims, { alg: "HS512" }),
          "no algorithm": `${base64url('{"alg":"none"}')}.${base64url(body)}.`,
          expired: key.sign({ ...claims, exp: seconds(-60) }),
        };
        for (const [name, token] of Object.entries(forged)) {
          assert.equal(await status(server, token), 401, name);
        }
      });
    });
  }

  it("a set of keys is told apart by name and algorithm, and read anew when it changes", async () => {
    const keys = ALGORITHMS.map((alg) => new Key(alg, `first ${alg}`));
    const next = new Key("ES256", "next");
    const odd = [
      { kty: "oct", k: base64url(SECRET), alg: "HS256", kid: "secret" },
      { ...new Key("RS256", "enc").jwk, use: "enc" },
      { kty: "future", kid: "x" },
    ];
    const path = await set("jwks.json", [...keys.map((key) => key.jwk), ...odd]);
    await running({ AUTH__JWKS_FILE: path }, async (server) => {
      for (const key of keys) {
        assert.equal(await status(server, key.sign(claims)), 200, key.alg);
        assert.equal(await status(server, key.sign(claims, { kid: undefined })), 200, "no name");
        assert.equal(
          await status(server, key.sign(claims, { kid: "other" })),
          401,
          "a name of none",
        );
      }
      for (const kid of ["../../etc/passwd", "https://127.0.0.1:1/key", "'; drop table keys; --"]) {
        assert.equal(await status(server, keys[0].sign(claims, { kid })), 401, kid);
      }
      assert.equal(await status(server, next.sign(claims)), 401);
      await set("jwks.json", [keys[0].jwk, next.jwk]);
      await until(
        "the next key counts",
        async () => (await status(server, next.sign(claims))) === 200,
        REFRESH_MS,
      );
      assert.equal(await status(server, keys[0].sign(claims)), 200);
      assert.equal(await status(server, keys[1].sign(claims)), 401, "a key that was taken out");
      await file("jwks.json", '{"keys":[');
      const isTold = () => server.logged().includes("is no JWKS");
      await until("the broken file is told", isTold, REFRESH_MS);
      assert.equal(await status(server, next.sign(claims)), 200, "the keys before stand");
    });
  });

  it("files that hold no key stop the start, and say why", async () => {
    const key = new Key("ES256");
    const refused = [
      [{ AUTH__PUBLIC_KEY_FILE: join(place, "absent.pem") }, /absent\.pem/],
      [{ AUTH__PUBLIC_KEY_FILE: await file("private.pem", key.privatePem) }, /private key/],
      [{ AUTH__PUBLIC_KEY_FILE: await file("text.pem", "hello") }, /no public key in PEM/],
      [{ AUTH__JWKS_FILE: await set("none.json", []) }, /has 0 keys/],
      [{ AUTH__JWKS_FILE: await set("many.json", Array(33).fill(key.jwk)) }, /has 33 keys/],
      [{ AUTH__JWKS_FILE: await file("no.json", "[]") }, /is no JWKS/],
    ];
    for (const [env, why] of refused) {
      await assert.rejects(
        running(env, () => assert.fail("it started")),
        ({ message }) => {
          assert.match(message, /ended with 2/);
          assert.match(message, why);
          return true;
        },
      );
    }
  });
});

suite("revocation", {}, ({ test, server }) => {
  const revoke = (json, headers) =>
    server.ask("POST", "/v1/revocations", { json, ...(headers && { headers }) });
  const withdraw = (query) => server.ask("DELETE", `/v1/revocations?${new URLSearchParams(query)}`);
  let users = 0;
  const user = () => {
    users += 1;
    return `user${users}`;
  };

  test("a revoked subject is sent away at once, and its tokens are refused", async (scene) => {
    const [ann, bob] = [user(), user()];
    const old = sign({ sub: ann, role: "agent", iat: seconds(-10) });
    const [one, two] = [await scene.raw(ann, { token: old }), await scene.raw(ann, { token: old })];
    const other = await scene.raw(bob);
    await one.ask(["1", "1", scene.topic, "phx_join", {}]);
    const { status: answer, body } = await revoke({ sub: ann });
    assert.deepEqual([answer, body], [200, { closed: 2 }]);
    for (const socket of [one, two]) {
      const { code, reason } = await socket.ended();
      assert.equal(code, 4401);
      assert.equal(JSON.parse(reason).code, "token_expired");
    }
    const { data } = await server.presence(scene.topic);
    assert.deepEqual(data, [], "nobody waits for who may not come back");
    assert.equal(await status(server, old), 401);
    assert.equal(await status(server, sign({ sub: ann, role: "agent" })), 401, "without iat");
    await assert.rejects(RawSocket.open(server, { token: old }));
    await other.ask([null, "h", "phoenix", "heartbeat", {}]);
    const fresh = sign({ sub: ann, role: "agent", iat: seconds(2) });
    assert.equal(await status(server, fresh), 200, "issued after the revocation");
    (await RawSocket.open(server, { token: fresh })).terminate();
  });

  test("one token is revoked by its id, also one that came on the open socket", async (scene) => {
    const ann = user();
    const token = (jti) => sign({ sub: ann, role: "agent", jti });
    const one = await scene.raw(ann, { token: token("a") });
    const two = await scene.raw(ann, { token: token("b") });
    await two.ask(["1", "1", scene.topic, "phx_join", {}]);
    const { status: renewed } = await two.ask([
      "1",
      "2",
      scene.topic,
      "token",
      { token: token("c") },
    ]);
    assert.equal(renewed, "ok");
    assert.deepEqual((await revoke({ jti: "b" })).body, { closed: 0 });
    assert.deepEqual((await revoke({ jti: "c" })).body, { closed: 1 });
    assert.equal((await two.ended()).code, 4401);
    assert.equal(await status(server, token("b")), 401);
    assert.equal(await status(server, token("a")), 200);
    const answer = await one.ask(["1", "1", scene.topic, "phx_join", {}]);
    assert.equal(answer.status, "ok");
    const refused = await one.ask(["1", "2", scene.topic, "token", { token: token("c") }]);
    assert.equal(refused.response.code, "invalid_token");
  });

  test("revocations are listed, outlive a kill, end, and can be taken back", async () => {
    const [ann, bob, soon] = [user(), user(), user()];
    const until_ = Date.now() + 1500;
    assert.equal((await revoke({ sub: ann })).status, 200);
    assert.equal((await revoke({ jti: bob })).status, 200);
    assert.equal((await revoke({ sub: soon, until: until_ })).status, 200);
    await server.kill();
    await server.start();
    const { body } = await server.get("/v1/revocations");
    const mine = body.data.filter(({ sub, jti }) => [ann, bob, soon].includes(sub ?? jti));
    assert.deepEqual(
      mine.map(({ at, ...rest }) => rest),
      [
        { sub: ann, until: null },
        { sub: soon, until: until_ },
        { jti: bob, until: null },
      ],
    );
    assert.equal(await status(server, sign({ sub: ann })), 401);
    assert.deepEqual((await withdraw({ sub: ann })).body, { withdrawn: true });
    assert.deepEqual((await withdraw({ sub: ann })).body, { withdrawn: false });
    assert.equal(await status(server, sign({ sub: ann })), 200);
    await until("it ends", async () => (await status(server, sign({ sub: soon }))) === 200);
  });

  test("only an administrator's key may revoke, and only what can be", async () => {
    const admin = { authorization: `Bearer ${sign({ sub: "root", role: "admin" })}` };
    assert.equal((await revoke({ sub: "x" }, admin)).status, 403);
    assert.equal((await revoke({ sub: "x" }, {})).status, 401);
    const long = "x".repeat(257);
    const past = { sub: "x", until: 1 };
    for (const json of [{}, { sub: "x", jti: "y" }, { sub: "" }, { jti: long }, { sub: 5 }, past]) {
      const { status: answer, body } = await revoke(json);
      assert.deepEqual([answer, body.code], [422, "invalid_payload"], JSON.stringify(json));
    }
  });
});
