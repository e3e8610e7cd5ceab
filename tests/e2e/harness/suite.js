// A suite with a server of its own, and tests that show the server's log when they fail.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { takeEscaped } from "./canary.js";
import { Person, VERSIONS } from "./person.js";
import { RawSocket } from "./raw.js";
import { REALTIME_VERSIONS, Subscriber } from "./realtime.js";
import { Server } from "./server.js";

const TEST_MS = 60_000;

/**
 * Declares a suite with one server, started with `env`.
 *
 * `define` gets `test`, which runs a body once, `each`, which runs it with every version of npm
 * phoenix, and `eachRealtime`, which does so with those of npm realtime-js. All give the body a scene,
 * see `scene`, whose topic is of `namespace`.
 */
export function suite(name, env, define, namespace = "doc") {
  describe(name, () => {
    const server = new Server(env);
    let scenes = 0;
    before(() => server.start());
    after(() => server.stop());

    const declare = (what, versions, body) => {
      it(what, { timeout: TEST_MS }, async () => {
        scenes += 1;
        const { check, end, ...set } = scene(server, `${namespace}:${scenes}`, versions);
        try {
          await body(set);
          check();
          assert.deepEqual(takeEscaped(), [], "what only the staff may see was sent to others");
        } catch (error) {
          error.message += `\n--- the server's log\n${server.logged()}`;
          throw error;
        } finally {
          end();
        }
      });
    };
    define({
      server,
      test: (what, body) => declare(what, {}, body),
      each: (what, body) => {
        for (const phoenix of Object.keys(VERSIONS)) {
          declare(`${what} [phoenix ${phoenix}]`, { phoenix }, body);
        }
      },
      eachRealtime: (what, body) => {
        for (const realtime of Object.keys(REALTIME_VERSIONS)) {
          declare(`${what} [realtime-js ${realtime}]`, { realtime }, body);
        }
      },
    });
  });
}

/** What one test has: a topic that nobody else uses, and people who are sent home at its end. */
function scene(server, topic, { phoenix = "1.8", realtime = "2.119" }) {
  const people = [];
  const raws = [];

  const tokenFor = (key, { token, role, kind, ttl }) => {
    const options = Object.entries({ role, kind, ttl }).filter(([, value]) => value !== undefined);
    return token ?? server.token(key, Object.fromEntries(options));
  };

  /**
   * Connects somebody by npm phoenix; `options`: `role`, `kind`, `ttl`, or a whole `token`; with `polls`
   * by long polling.
   */
  const person = async (key, { version = phoenix, polls, ...options } = {}) => {
    const token = await tokenFor(key, options);
    const who = new Person(server, { key, token, version, polls });
    people.push(who);
    return who.connect();
  };

  /** Connects somebody who joins the topic of the scene. */
  const page = async (key, params, options) => (await person(key, options)).join(topic, params);

  /** Gives somebody a client of npm realtime-js; `options` as for `person`. */
  const subscriber = async (key, { version = realtime, ...options } = {}) => {
    const token = await tokenFor(key, options);
    const who = new Subscriber(server, { key, token, version });
    people.push(who);
    return who;
  };

  /** Connects somebody by npm realtime-js who subscribes to the topic of the scene, see `Room`. */
  const room = async (key, config, options) => {
    return (await subscriber(key, options)).subscribe(topic, { presence: { key }, ...config });
  };

  /** Connects somebody without a client library; `options` also those of `RawSocket.open`. */
  const raw = async (key, options = {}) => {
    const opened = await RawSocket.open(server, {
      ...options,
      token: await tokenFor(key, options),
    });
    raws.push(opened);
    return opened;
  };

  const check = () => {
    for (const who of people) who.check();
  };

  const end = () => {
    for (const who of people) who.disconnect();
    for (const opened of raws) opened.terminate();
  };

  return { topic, person, page, subscriber, room, raw, check, end };
}
