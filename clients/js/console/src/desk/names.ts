/**
 * Names of people, of whom tickets and comments have the id only: those of the demonstration, and all who
 * were seen to do something since the page was opened.
 */
import { useEffect, useSyncExternalStore } from "react";
import { Store } from "../../../src/store.ts";
import { DEMO_NAMES } from "../people.ts";

type Names = ReadonlyMap<string, string>;

const NAMES_MAX = 2000;
const seen = new Store<Names>(new Map());

/** Names to remember. */
export function learnNames(names: Iterable<readonly [id: string, name: string]>): void {
  const old = seen.getSnapshot();
  const fresh = [...names].filter(([id, name]) => old.get(id) !== name);
  if (fresh.length > 0) seen.set(new Map([...old, ...fresh].slice(-NAMES_MAX)));
}

export function useLearnedNames(names: Names): void {
  useEffect(() => learnNames(names), [names]);
}

/** The name of somebody by their id; the id itself where it is not known. */
export function useNames(): (id: string) => string {
  const names = useSyncExternalStore(seen.subscribe, seen.getSnapshot);
  return (id) => names.get(id) ?? DEMO_NAMES.get(id) ?? id;
}
