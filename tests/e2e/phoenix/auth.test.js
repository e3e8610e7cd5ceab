import assert from "node:assert/strict";
import WebSocket from "ws";
import { handshake } from "../harness/raw.js";
import { base64url, seconds, sign, signText } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { soon } from "../harness/wait.js";

const BEARER = "base64url.bearer.phx.";
const standard = (text) => Buffer.from(text).toString("base64").replace(/=+$/, "");
const subprotocol = (value) => ["Sec-WebSocket-Protocol", value];
const authToken = (token) => subprotocol(`phoenix, ${BEARER}${base64url(token)}`);
const query = (token) => `/socket/websocket?token=${token}&vsn=2.0.0`;

suite("handshake", {}, ({ test, each, server }) => {
  const statusOf = async (options) => (await handshake(server, options)).status;

  each("npm phoenix connects in its own way", async ({ page }) => {
    const ann = await page("ann");
    assert.equal(ann.reply.key, "ann");
  });

  test("a token is taken from three places", async () => {
    const token = await server.token("ann");
    const upgraded = await handshake(server, { headers: [authToken(token)] });
    assert.deepEqual(
      [upgraded.status, upgraded.headers["sec-websocket-protocol"]],
      [101, "phoenix"],
    );
    assert.equal(
      await statusOf({ headers: [subprotocol(`phoenix, ${BEARER}${standard(token)}`)] }),
      101,
    );
    assert.equal(await statusOf({ path: query(token) }), 101);
    assert.equal(await statusOf({ headers: [["Authorization", `Bearer ${token}`]] }), 101);
    const plain = await handshake(server, { path: query(token) });
    assert.equal(plain.headers["sec-websocket-protocol"], undefined, "none was offered");
  });

  test("both alphabets of base64 are read, bad base64 is not", async () => {
    // "??>" needs both characters in which the alphabets differ. It is no token, but it is read.
    assert.deepEqual([standard("??>"), base64url("??>")], ["Pz8+", "Pz8-"]);
    for (const [encoded, status] of [
      ["Pz8+", 401],
      ["Pz8-", 401],
      ["Pz8*", 400],
      ["A", 400],
      ["", 401],
      [`${base64url("a")}==`, 400],
    ]) {
      const headers = [subprotocol(`phoenix, ${BEARER}${encoded}`)];
      assert.equal(await statusOf({ headers }), status, encoded);
    }
  });

  test("two tokens are one too many", async () => {
    const token = await server.token("ann");
    const bearer = ["Authorization", `Bearer ${token}`];
    const twice = `phoenix, ${BEARER}${base64url(token)}, ${BEARER}${base64url(token)}`;
    assert.equal(await statusOf({ path: query(token), headers: [bearer] }), 400);
    assert.equal(await statusOf({ path: query(token), headers: [authToken(token)] }), 400);
    assert.equal(await statusOf({ headers: [authToken(token), bearer] }), 400);
    assert.equal(await statusOf({ headers: [subprotocol(twice)] }), 400);
    assert.equal(await statusOf({ path: `${query(token)}&token=${token}` }), 400);
  });

  test("without a token nobody comes in", async () => {
    assert.equal(await statusOf({}), 401);
    assert.equal(await statusOf({ headers: [subprotocol("phoenix")] }), 401);
    assert.equal(await statusOf({ path: query("") }), 401);
    assert.equal(await statusOf({ headers: [["Authorization", "Basic YTpi"]] }), 401);
  });

  test("vsn chooses the wire or is refused", async () => {
    const token = await server.token("ann");
    for (const [vsn, status] of [
      ["", 403],
      ["3.0.0", 403],
      ["2.1.0", 403],
      ["x", 403],
      ["1.0.0", 101],
      ["2.0.7", 101],
    ]) {
      const path = `/socket/websocket?token=${token}&vsn=${vsn}`;
      assert.equal(await statusOf({ path }), status, vsn);
    }
    assert.equal(await statusOf({ path: `/socket/websocket?token=${token}` }), 101);
    const untidy = `/socket/websocket?a[b]=c&&token=${token}&vsn=2.0.0&`;
    assert.equal(await statusOf({ path: untidy }), 101);
  });

  test("foreign origins are refused", async () => {
    const token = await server.token("ann");
    for (const [origins, status] of [
      [[], 101],
      [[server.http], 101],
      [["http://localhost:5173"], 101],
      [["https://evil.example"], 403],
      [["null"], 403],
      [["http://127.0.0.1.evil.example"], 403],
      [["http://localhost.evil.example:4000"], 403],
      [["http://evil.example#127.0.0.1"], 403],
      [[server.http, server.http], 400],
      [[server.http, "https://evil.example"], 400],
    ]) {
      const headers = origins.map((origin) => ["Origin", origin]);
      assert.equal(await statusOf({ path: query(token), headers }), status, `${origins}`);
    }
  });

  test("a doubled Origin is counted as what it is", async () => {
    const counted = async (outcome) => {
      const { body } = await server.get("/metrics");
      const line = new RegExp(`^penholder_handshakes_total\\{outcome="${outcome}"\\} (\\d+)$`, "m");
      return Number(line.exec(body)?.[1] ?? 0);
    };
    const token = await server.token("ann");
    const outcomes = ["bad_origin", "bad_token", "origin"];
    const before = await Promise.all(outcomes.map(counted));
    for (const second of [server.http, "https://evil.example"]) {
      const headers = [server.http, second].map((origin) => ["Origin", origin]);
      assert.equal(await statusOf({ path: query(token), headers }), 400);
    }
    const [doubled, ...others] = await Promise.all(outcomes.map(counted));
    assert.deepEqual([doubled, ...others], [before[0] + 2, ...before.slice(1)]);
  });

  test("names that every JavaScript object is born with are nobody's", async () => {
    const names = [...Object.getOwnPropertyNames(Object.prototype), "prototype"];
    assert.ok(names.length >= 13, `${names}`);
    for (const name of names) {
      const demo = await server.get(`/dev/token?${new URLSearchParams({ user: name })}`);
      assert.deepEqual([demo.status, demo.body.code], [422, "invalid_payload"], name);
      assert.equal(await statusOf({ path: query(sign({ sub: name })) }), 401, name);
      const authorization = `Bearer ${sign({ sub: name })}`;
      assert.equal((await server.get("/v1/topics", { authorization })).status, 401, name);
    }
    for (const name of ["tostring", "toString2", "value of"]) {
      assert.equal(await statusOf({ path: query(sign({ sub: name })) }), 101, name);
    }
  });

  test("a request without upgrade is refused", async () => {
    const { status } = await server.get(query(await server.token("ann")), {});
    assert.equal(status, 400);
  });

  test("a browser that is refused sees only 1006", async () => {
    const socket = new WebSocket(`${server.ws}/websocket?vsn=2.0.0`);
    socket.on("error", () => {});
    const closed = new Promise((resolve) => {
      socket.on("close", resolve);
    });
    const code = await soon("the refusal", closed);
    assert.equal(code, 1006);
  });

  test("tokens that are not right are refused, all in the same words", async () => {
    const good = { sub: "ann", name: "Ann", role: "agent" };
    const claims = `"sub":"ann","exp":${seconds(3600)}`;
    assert.equal(await statusOf({ path: query(sign(good)) }), 101);
    const bad = {
      "not a token": "a.b.c",
      "nothing but dots": "..",
      "another secret": sign(good, { secret: "another secret, also of 32 bytes or more" }),
      "no algorithm": sign(good, { header: { alg: "none" } }),
      "no signature": `${sign(good).split(".").slice(0, 2).join(".")}.`,
      "another algorithm": sign(good, { header: { alg: "HS384", typ: "JWT" } }),
      "kid that is a path": sign(good, { header: { alg: "RS256", kid: "../../etc/passwd" } }),
      "critical extension": sign(good, { header: { alg: "HS256", crit: ["x"], x: 1 } }),
      expired: sign({ ...good, exp: seconds(-10) }),
      "exp as a string": sign({ ...good, exp: `${seconds(3600)}` }),
      "no exp": sign({ ...good, exp: undefined }),
      "not yet": sign({ ...good, nbf: seconds(3600) }),
      "no sub": sign({ ...good, sub: undefined }),
      "empty sub": sign({ ...good, sub: "" }),
      "sub as a number": sign({ ...good, sub: 7 }),
      "long sub": sign({ ...good, sub: "a".repeat(257) }),
      "sub of JavaScript's own": sign({ ...good, sub: "__proto__" }),
      "another such": sign({ ...good, sub: "constructor" }),
      "control characters in sub": sign({ ...good, sub: "a\nb" }),
      "unknown role": sign({ ...good, role: "emperor" }),
      "sub twice": signText(`{"sub":"eve",${claims}}`),
      "exp twice": signText(`{${claims},"exp":${seconds(7200)}}`),
      "no object": signText("[]"),
    };
    const bodies = new Set();
    for (const [name, token] of Object.entries(bad)) {
      const { status, body } = await handshake(server, { path: query(token) });
      assert.equal(status, 401, name);
      bodies.add(body);
    }
    assert.equal(bodies.size, 1, [...bodies].join("\n"));
  });

  test("no token is ever logged", async ({ page }) => {
    const token = await server.token("ann");
    await page("ann", {}, { token });
    await handshake(server, { path: query(token) });
    await handshake(server, { path: query(`${token}x`) });
    const signature = token.split(".")[2];
    assert.ok(!server.logged(2000).includes(signature), server.logged());
  });
});

suite("handshake, tokens of one issuer for one audience", {
  AUTH__ISSUER: "https://id.example",
  AUTH__AUDIENCE: "penholder",
}, ({ test, server }) => {
  test("issuer and audience are required", async () => {
    const right = { sub: "ann", iss: "https://id.example", aud: "penholder" };
    for (const [claims, status] of [
      [right, 101],
      [{ ...right, aud: ["other", "penholder"] }, 101],
      [{ ...right, iss: "https://evil.example" }, 401],
      [{ ...right, iss: undefined }, 401],
      [{ ...right, aud: "other" }, 401],
      [{ ...right, aud: undefined }, 401],
    ]) {
      const answer = await handshake(server, { path: query(sign(claims)) });
      assert.equal(answer.status, status, JSON.stringify(claims));
    }
  });

  test("tokens of development mode have them", async ({ page }) => {
    await page("ann");
  });
});

suite("handshake, origins of the configuration", {
  SERVER__ORIGINS: '["https://app.example"]',
  AUTH__QUERY_TOKEN: "false",
}, ({ test, server }) => {
  test("they come in, their like does not", async () => {
    const token = await server.token("ann");
    for (const [origin, status] of [
      ["https://app.example", 101],
      ["http://app.example", 403],
      ["https://app.example:8443", 403],
      ["https://app.example.evil.example", 403],
      ["https://sub.app.example", 403],
    ]) {
      const headers = [authToken(token), ["Origin", origin]];
      assert.equal((await handshake(server, { headers })).status, status, origin);
    }
  });

  test("a token in the query is refused where that is switched off", async () => {
    const token = await server.token("ann");
    const { status } = await handshake(server, { path: query(token) });
    assert.equal(status, 401);
  });
});

suite("handshake, connection limits", {
  SERVER__CONNECTIONS_PER_USER_MAX: "2",
  SERVER__CONNECTIONS_PER_ADDRESS_MAX: "4",
  SERVER__CONNECTIONS_MAX: "1000",
}, ({ test, server }) => {
  test("per user and per address, with a time to come back", async ({ raw }) => {
    const opened = [await raw("ann"), await raw("ann")];
    const refused = await handshake(server, { path: query(await server.token("ann")) });
    assert.equal(refused.status, 429);
    assert.match(refused.headers["retry-after"], /^\d+$/);
    opened.push(await raw("bob"), await raw("carl"));
    const full = await handshake(server, { path: query(await server.token("dora")) });
    assert.equal(full.status, 429);
    assert.match(full.headers["retry-after"], /^\d+$/);
    // What was refused has not counted, and what is gone does not count any more.
    for (const socket of opened) {
      socket.socket.close(1000);
      await socket.closed;
    }
    const again = async () =>
      (await handshake(server, { path: query(sign({ sub: "ann" })) })).status;
    await soon(
      "there is room again",
      (async () => {
        while ((await again()) !== 101);
      })(),
    );
  });
});
