// Many people at once: each ends with the truth, and is told it in few frames.

import assert from "node:assert/strict";
import { canonical } from "../harness/fold.js";
import { VERSIONS } from "../harness/person.js";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const CLIENTS = 300;
const STORM_MS = 45_000;
const ROOM = { SERVER__CONNECTIONS_PER_ADDRESS_MAX: "1000" };

/** Connects `CLIENTS` people and has them join one topic together; each with the next version. */
async function storm({ person, topic }) {
  const versions = Object.keys(VERSIONS);
  const people = await Promise.all(
    Array.from({ length: CLIENTS }, (_, n) => {
      const key = `user${n}`;
      const version = versions[n % versions.length];
      return person(key, { version, token: sign({ sub: key, name: key, role: "agent" }) });
    }),
  );
  const since = performance.now();
  const pages = people.map((one) => one.open(topic));
  return { pages, since };
}

/** How many presence frames a page may have got: two each window, and some for their beginning. */
function framesAllowed(since, windowMs) {
  return 2 * (Math.ceil((performance.now() - since) / windowMs) + 2);
}

const presenceFrames = (page) => {
  return page.events.filter(({ event }) => event.startsWith("presence_")).length;
};

const FULL = { ...ROOM, PRESENCE__FULL_MAX: "400", PRESENCE__DIFF_WINDOW: "250ms" };

suite(`a storm of ${CLIENTS} clients on one topic`, FULL, ({ test, server }) => {
  test("each ends with the list of the server, in frames per window", async (scene) => {
    const { pages, since } = await storm(scene);
    await Promise.all(pages.map(({ answer }) => answer));
    const { data, count } = await server.presence(scene.topic);
    assert.equal(count, CLIENTS);
    const truth = canonical(data);
    const lacking = () => pages.filter((page) => page.fold.text() !== truth).length;
    await until(
      () => `${lacking()} have another list`,
      () => lacking() === 0,
      STORM_MS,
    );
    const summed = ({ summary }) => summary?.count === CLIENTS && summary.full;
    await until("all have the count", () => pages.every(summed), STORM_MS);
    const priors = new Set(pages.map(({ summary }) => summary.prior_session));
    assert.equal(priors.size, 1, "all name the same person");

    const allowed = framesAllowed(since, 250);
    const most = Math.max(...pages.map(presenceFrames));
    assert.ok(most <= allowed, `${most} frames, ${allowed} allowed`);
    assert.ok(most < CLIENTS, `${most} frames are one per join`);

    // Half of them leave together.
    const leaving = pages.filter((_, n) => n % 2 === 0);
    const staying = pages.filter((_, n) => n % 2 === 1);
    await Promise.all(leaving.map((page) => page.leave()));
    const rest = async () => (await server.presence(scene.topic)).count === CLIENTS / 2;
    await until("the server has the rest", rest);
    const left = canonical((await server.presence(scene.topic)).data);
    const same = (page) => page.fold.text() === left;
    await until("the others have the rest", () => staying.every(same), STORM_MS);
  });
});

suite(`a crowd of ${CLIENTS} clients`, ROOM, ({ test, server }) => {
  test("above full_max: counts, the first, and yourself", async (scene) => {
    const { pages, since } = await storm(scene);
    for (const page of pages) page.fold.inCrowd = true;
    await Promise.all(pages.map(({ answer }) => answer));
    const summed = ({ summary }) => summary?.count === CLIENTS && !summary.full;
    await until("all have the count", () => pages.every(summed), STORM_MS);
    const own = ({ fold, reply }) => {
      return fold.metas(reply.key).some(({ session }) => session === reply.session);
    };
    await until("all see themselves", () => pages.every(own), STORM_MS);
    await until("nobody sees more than the first and themselves", () => {
      return pages.every(({ fold }) => fold.keys().length >= 200 && fold.keys().length <= 201);
    });
    const [{ summary }] = pages;
    for (const page of pages) {
      assert.deepEqual(page.summary, summary);
      assert.deepEqual(page.received("phx_close"), []);
      assert.deepEqual(page.person.closes, []);
    }
    assert.ok(summary.presences.length < 200, `${summary.presences.length} named in the summary`);
    const allowed = framesAllowed(since, 20);
    const most = Math.max(...pages.map(presenceFrames));
    assert.ok(most <= allowed, `${most} frames, ${allowed} allowed`);
    assert.equal((await server.presence(scene.topic)).count, CLIENTS);
  });
});
