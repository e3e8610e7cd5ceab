// Waiting for a condition, never for a time.

import { setTimeout as pause } from "node:timers/promises";

const LOOK_EVERY_MS = 4;

/**
 * Returns the first truthy value of `condition`, which may be async. What it throws counts as not
 * yet, and is told when the deadline passes.
 */
export async function until(what, condition, withinMs = 5000) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const inTime = performance.now() < deadline;
    let reason = "";
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      reason = `: ${error.message}`;
    }
    if (!inTime) {
      const name = typeof what === "function" ? what() : what;
      throw new Error(`not within ${withinMs} ms: ${name}${reason}`);
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** Returns what `promise` becomes, or fails when it takes longer than the deadline. */
export async function soon(what, promise, withinMs = 5000) {
  const ending = new AbortController();
  const late = pause(withinMs, undefined, { signal: ending.signal }).then(
    () => {
      throw new Error(`not within ${withinMs} ms: ${what}`);
    },
    () => {},
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    ending.abort();
  }
}
