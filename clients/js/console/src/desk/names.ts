/**
 * Names of people, of whom tickets and comments have the id only: those of the demonstration, and all who
 * were seen to do something since the page was opened.
 */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { NamedAt } from "../../../src/index.ts";
import { Store } from "../../../src/store.ts";
import { DEMO_NAMES } from "../people.ts";

/** What somebody is called now; or was called `at` a time, in ms since the epoch, by what is told of then. */
interface Known {
  readonly name: string;
  readonly at: number | null;
  /** Counts what was told, so that an answer that was asked for before it is known to be the older. */
  readonly nth: number;
}

export type KnownNames = ReadonlyMap<string, Known>;

const NAMES_MAX = 2000;
const seen = new Store<KnownNames>(new Map());

/** Takes what people are called now: the last word counts, but for what was told since `asked`. */
export function withNames(
  known: KnownNames,
  told: Iterable<readonly [id: string, name: string]>,
  { nth = 0, asked = Number.POSITIVE_INFINITY } = {},
): KnownNames {
  const isOlder = ({ at, nth }: Known) => at === null && nth > asked;
  const news = [...told].filter(([id]) => {
    const newest = known.get(id);
    return newest === undefined || !isOlder(newest);
  });
  return taken(known, news, (name) => ({ name, at: null, nth }));
}

/** Takes what people were called once: it tells nothing of those of whom something newer is known. */
export function withOldNames(
  known: KnownNames,
  told: Iterable<readonly [id: string, was: NamedAt]>,
): KnownNames {
  const older = [...told].filter(([id, { at }]) => {
    const newest = known.get(id);
    return newest === undefined || (newest.at !== null && newest.at < Date.parse(at));
  });
  return taken(known, older, ({ name, at }) => ({ name, at: Date.parse(at), nth: 0 }));
}

function taken<T>(
  known: KnownNames,
  told: Iterable<readonly [id: string, T]>,
  read: (told: T) => Known,
): KnownNames {
  const fresh = [...told]
    .map(([id, it]) => [id, read(it)] as const)
    .filter(([id, { name, at }]) => known.get(id)?.name !== name || known.get(id)?.at !== at);
  return fresh.length === 0 ? known : new Map([...known, ...fresh].slice(-NAMES_MAX));
}

let count = 0;

/** To be kept when it is asked what people are called: what is told from here on is newer than the answer. */
export function namesAsked(): number {
  return count;
}

/** Names to remember, as people are called now; or were when it was `asked`. */
export function learnNames(
  names: Iterable<readonly [id: string, name: string]>,
  asked?: number,
): void {
  count += 1;
  const order = asked === undefined ? { nth: count } : { nth: count, asked };
  seen.set(withNames(seen.getSnapshot(), names, order));
}

/** `namesAsked()` of when something was fetched for the `nth` time. */
export function useNamesAsked(nth: number): number {
  const [asked, setAsked] = useState(() => ({ nth, at: namesAsked() }));
  if (asked.nth === nth) return asked.at;
  const next = { nth, at: namesAsked() };
  setAsked(next);
  return next.at;
}

/**
 * Remembers what is new among `names`, which are as of when each was told: one that stays the same is no word of now,
 * and must not undo what was heard elsewhere since.
 */
export function useLearnedNames(names: ReadonlyMap<string, string>, asked?: number): void {
  const before = useRef<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    const fresh = [...names].filter(([id, name]) => before.current.get(id) !== name);
    before.current = names;
    if (fresh.length > 0) learnNames(fresh, asked);
  }, [names, asked]);
}

/** Remembers what people were called when they did something. */
export function useOldNames(names: ReadonlyMap<string, NamedAt>): void {
  useEffect(() => seen.set(withOldNames(seen.getSnapshot(), names)), [names]);
}

/** The name of somebody by their id; the id itself where it is not known. */
export function useNames(): (id: string) => string {
  const names = useSyncExternalStore(seen.subscribe, seen.getSnapshot);
  return (id) => names.get(id)?.name ?? DEMO_NAMES.get(id) ?? id;
}
