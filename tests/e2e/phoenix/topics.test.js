// One socket on as many topics as it may join, under the limits as they are.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { joinResuming } from "../harness/person.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const TOPICS = 100;
const JOINS_BURST = 20;
/** A little more than the time in which the server allows one join more. */
const JOIN_EVERY_MS = 110;
const GRACE_MS = 10_000;

/** Joins all topics, no faster than the server allows those who come anew. */
async function joinAll(person, topic, params) {
  const pages = [];
  for (let n = 0; n < TOPICS; n += 1) {
    if (n >= JOINS_BURST) await pause(JOIN_EVERY_MS);
    pages.push(await joinResuming(person, `${topic}:${n}`, params));
  }
  return pages;
}

suite("a hundred topics", {}, ({ test, server }) => {
  test("left in one tick, all of them are left", async ({ person, topic }) => {
    const ann = await person("ann");
    const pages = await joinAll(ann, topic);
    assert.equal(pages[0].reply.limits.topics_per_socket, TOPICS);
    const inUse = async () => (await server.get(`/v1/topics?prefix=${topic}:&limit=200`)).body.data;
    assert.equal((await inUse()).length, TOPICS);
    for (const { channel } of pages) channel.leave();
    await until("nobody is left", async () => (await inUse()).length === 0, 2000);
    for (const { topic: left } of pages) {
      assert.deepEqual((await server.presence(left)).data, [], left);
    }
    assert.ok(ann.socket.isConnected());
    assert.deepEqual(ann.closes, []);
  });

  test("all come back within grace, and nobody sees a leave", async ({ person, topic }) => {
    const [ann, bob] = [await person("ann"), await person("bob")];
    const [anns, bobs] = await Promise.all([
      joinAll(ann, topic),
      joinAll(bob, topic, { presence: "receive" }),
    ]);
    const places = () => anns.map(({ reply }) => [reply.session, reply.joined_at]);
    const before = places();
    for (const page of bobs) await page.sees("ann");
    const since = performance.now();
    ann.drop({ offline: true });
    for (const page of bobs) await page.meta("ann", ({ status }) => status === "reconnecting");
    ann.offline = false;
    const back = () => anns.filter(({ replies }) => replies.length === 2).length;
    await until(
      () => `all are back, not ${back()}`,
      () => back() === TOPICS,
    );
    assert.ok(performance.now() - since < GRACE_MS);
    assert.deepEqual(places(), before);
    for (const page of bobs) await page.meta("ann", ({ status }) => status === "active");
    for (const page of anns) await page.sees("ann");
    assert.deepEqual(
      bobs.map(({ calls }) => calls.includes("-ann")),
      bobs.map(() => false),
    );
    assert.equal(ann.opened, 2, "the connection that was lost, and another");
  });
});
