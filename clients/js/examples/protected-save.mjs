/**
 * Saves a document in PostgreSQL so that nobody who has lost the pen overwrites newer work, over HTTP alone:
 *
 *     node clients/js/examples/protected-save.mjs doc:42 "by Bob" 20
 *
 * It takes DATABASE_URL and PENHOLDER_TOKEN from the environment; docs/PENS.md, section 6, walks through it.
 * `--take-over` takes the pen from whoever has it. `--late` saves under the fence of the beginning, as a
 * process does that was stopped after it had looked. `--receipt` saves what a receipt proves, checked with the keys
 * in the file that PENHOLDER_KEYS names.
 */
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";

/** One statement: nothing can come between the comparison and the write. */
const SAVE = "UPDATE documents SET body = $1, fence = $2 WHERE id = $3 AND fence <= $2";

/** Not above the `pen.ttl` of the server, which is what a take-over gets. */
const TTL_MS = 9_000;
const POLL_MS = 200;

const {
  PENHOLDER_URL = "http://127.0.0.1:4000",
  PENHOLDER_TOKEN,
  PENHOLDER_KEYS,
  DATABASE_URL,
} = process.env;

const say = (line) => process.stdout.write(`${line}\n`);

/** Milliseconds of a clock that counts suspension. */
const now = () => uptime() * 1000;

async function ask(path, body) {
  const headers = {
    authorization: `Bearer ${PENHOLDER_TOKEN}`,
    "content-type": "application/json",
  };
  const request = { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(`${PENHOLDER_URL}${path}`, request);
  return { status: answer.status, json: await answer.json() };
}

/** A pen that is held over HTTP, and renewed every third of its time. */
class Pen {
  #path;
  #timer;
  #endsAt = 0;
  #lost = null;

  constructor(topic) {
    this.#path = `/v1/pens/${encodeURIComponent(topic)}`;
  }

  /** Waits until the pen is one's own. */
  async hold(takeOver) {
    if (takeOver) {
      const { status, json } = await ask(`${this.#path}/take_over`, {});
      if (status !== 200) throw new Error(`take_over: ${status} ${json.code}`);
    }
    for (;;) {
      const askedAt = now();
      const { status, json } = await ask(`${this.#path}/acquire`, { ttl_ms: TTL_MS, wait: true });
      if (status === 200) {
        this.#keep(json, askedAt);
        this.#timer = setInterval(() => this.renew().catch(() => {}), TTL_MS / 3);
        return;
      }
      if (status !== 409) throw new Error(`acquire: ${status} ${json.code}`);
      await sleep(POLL_MS);
    }
  }

  /** The own deadline counts from before the request, and a little less, since clocks differ. */
  #keep({ pen, receipt }, askedAt) {
    this.number = pen.fence;
    this.receipt = receipt;
    const draining = pen.state === "draining";
    if (!draining) this.#endsAt = askedAt + TTL_MS * 0.98;
  }

  async renew() {
    const askedAt = now();
    const { status, json } = await ask(`${this.#path}/renew`, { fence: this.number });
    if (status === 200) this.#keep(json, askedAt);
    if (status === 409) this.#lost ??= `the pen is lost to ${json.pen?.holder?.name ?? "nobody"}`;
  }

  /** The fence for the next write; throws when there must be none. */
  get fence() {
    if (this.#lost === null && now() < this.#endsAt) return this.number;
    throw new Error(this.#lost ?? "the pen has not been renewed in time");
  }

  async release() {
    clearInterval(this.#timer);
    await ask(`${this.#path}/release`, { fence: this.number });
  }
}

/**
 * What a backend checks that gets a receipt with a save, and asks nobody: that the server has signed it, that it is for this
 * topic, and that it has not ended. Returns the fence that it proves.
 */
function check(receipt, topic, keys) {
  const [header, claims, signature] = receipt.split(".");
  const read = (part) => JSON.parse(Buffer.from(part, "base64url").toString());
  const { alg, kid } = read(header);
  const jwk = keys.find((key) => key.kid === kid);
  if (alg !== "EdDSA" || jwk === undefined) throw new Error("the key of the receipt is not known");
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const signed = Buffer.from(`${header}.${claims}`);
  if (!verify(null, signed, key, Buffer.from(signature, "base64url"))) {
    throw new Error("the receipt is forged");
  }
  const said = read(claims);
  if (said.topic !== topic) throw new Error("a receipt for another topic");
  if (said.exp * 1000 < Date.now() - 5_000) throw new Error("the receipt has ended");
  return said.fence;
}

async function fenceToSave(pen, { late, receipt }, first, topic) {
  if (late) return first;
  if (!receipt) return pen.fence;
  await pen.renew();
  const { keys } = JSON.parse(readFileSync(PENHOLDER_KEYS, "utf8"));
  return pen.fence && check(pen.receipt, topic, keys);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "take-over": { type: "boolean" },
    late: { type: "boolean" },
    receipt: { type: "boolean" },
  },
});
const [topic, text, seconds = "0"] = positionals;
const database = new pg.Client({ connectionString: DATABASE_URL });
await database.connect();
const pen = new Pen(topic);
try {
  await pen.hold(values["take-over"]);
  const first = pen.fence;
  say(`fence ${first}: editing for ${seconds} s`);
  await sleep(Number(seconds) * 1000);
  const fence = await fenceToSave(pen, values, first, topic);
  const { rowCount } = await database.query(SAVE, [text, fence, topic]);
  say(
    rowCount === 1
      ? `saved under fence ${fence}`
      : `refused: fence ${fence} is older than what has been saved`,
  );
  process.exitCode = rowCount === 1 ? 0 : 4;
} catch (error) {
  say(`not saved: ${error.message}`);
  process.exitCode = 3;
} finally {
  await pen.release();
  await database.end();
}
