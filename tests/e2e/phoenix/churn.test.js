// People who come, go, change and lose their connection, for many steps: after each, what every
// client has folded from its frames is what the server lists.

import assert from "node:assert/strict";
import { canonical } from "../harness/fold.js";
import { VERSIONS } from "../harness/person.js";
import { sign } from "../harness/server.js";
import { suite } from "../harness/suite.js";
import { until } from "../harness/wait.js";

const CLIENTS = 50;
const STEPS = 25;
const MOVES_PER_STEP = 12;
const SEED = Number(process.env.PENHOLDER_SEED ?? 20_261_121);

/** mulberry32: a small generator of numbers in 0..1. */
function random(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One client of the churn, and what it should be. Some share a key: they are tabs of one person. */
class Client {
  page = null;

  constructor(person, topic) {
    this.person = person;
    this.topic = topic;
    this.updates = 0;
  }

  get isPresent() {
    return this.page !== null;
  }

  /** Does what `dice` says; returns when the server has answered. */
  async move(dice) {
    if (!this.isPresent) return this.#join();
    if (dice < 0.35) return this.#leave();
    if (dice < 0.7) return this.#update();
    if (dice < 0.85) return this.#loseAndResume();
    await this.#leave();
    return this.#join();
  }

  async #join() {
    let page;
    const resume = () => page?.reply?.resume;
    page = this.person.open(this.topic, () => ({ resume: resume(), meta: { n: this.updates } }));
    this.page = page;
    await page.joined();
  }

  async #leave() {
    const { page } = this;
    this.page = null;
    await page.leave();
  }

  async #update() {
    this.updates += 1;
    await this.page.ask("presence_update", { meta: { n: this.updates } });
  }

  async #loseAndResume() {
    const { session } = this.page.reply;
    const replies = this.page.replies.length;
    this.person.drop();
    await until("the rejoin", () => this.page.replies.length > replies);
    assert.equal(this.page.reply.session, session, "a drop is resumed");
  }
}

const ENV = {
  LIMITS__PRESENCE_UPDATES_PER_SECOND: "1000",
  SERVER__CONNECTIONS_PER_ADDRESS_MAX: "500",
};

suite(`churn of ${CLIENTS} clients, seed ${SEED}`, ENV, ({ test, server }) => {
  test("after each step every fold is the server's list", async ({ person, topic }) => {
    const versions = Object.keys(VERSIONS);
    const draw = random(SEED);
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, n) => {
        const key = `user${n % (CLIENTS - 10)}`;
        const token = sign({ sub: key, name: key, role: "agent" });
        const version = versions[n % versions.length];
        return new Client(await person(key, { token, version }), topic);
      }),
    );
    for (let step = 0; step < STEPS; step += 1) {
      const movers = new Set();
      while (movers.size < MOVES_PER_STEP) movers.add(clients[Math.floor(draw() * CLIENTS)]);
      await Promise.all([...movers].map((client) => client.move(draw())));

      const present = clients.filter((client) => client.isPresent);
      const sessions = present.map(({ page }) => page.reply.session).toSorted();
      const { data, count } = await server.presence(topic);
      const listed = data.flatMap(({ metas }) => metas);
      const named = listed.map(({ session }) => session).toSorted();
      assert.deepEqual(named, sessions, `step ${step}: the server lists who is there`);
      assert.equal(count, new Set(present.map((client) => client.person.key)).size);
      assert.ok(
        listed.every(({ status }) => status === "active"),
        `step ${step}`,
      );

      const truth = canonical(data);
      for (const client of present) {
        const name = () =>
          `step ${step}: ${client.person.key} has\n${client.page.fold.text()}\nnot\n${truth}`;
        await until(name, () => client.page.fold.text() === truth);
        const keys = client.page.presence.list((key) => key).toSorted();
        assert.deepEqual(keys, client.page.fold.keys(), "npm phoenix sees the same people");
        client.page.check();
      }
    }
  });
});
