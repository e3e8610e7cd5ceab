import { useSyncExternalStore } from "react";

const EVERY_MS = 20_000;
let now = Date.now();

/** The time, now and then: for ages, which grow. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

function subscribe(listener: () => void): () => void {
  now = Date.now();
  const timer = setInterval(() => {
    now = Date.now();
    listener();
  }, EVERY_MS);
  return () => clearInterval(timer);
}
