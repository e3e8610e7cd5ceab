import { useEffect, useRef, useState } from "react";

/** Something that may be news. */
export interface News {
  readonly id: string;
  /** What is said of it; null for what the viewer knows. */
  readonly words: string | null;
}

const GATHER_MS = 3000;

/**
 * What is said to those who do not see the page: what has come since it was opened, gathered for a while, and
 * several at once as a number. `of` says of what the news are: of another thing nothing is news at first.
 */
export function useAnnounced(
  of: string | null,
  news: readonly News[],
  many: (count: number) => string,
): string {
  const [text, setText] = useState("");
  const known = useRef<{ of: string; ids: Set<string> } | null>(null);
  const waiting = useRef<string[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef(many);
  useEffect(() => {
    latest.current = many;
  });
  useEffect(() => {
    if (of === null) return;
    if (known.current?.of !== of) {
      known.current = { of, ids: new Set(news.map(({ id }) => id)) };
      return;
    }
    const { ids } = known.current;
    for (const { id, words } of news) {
      if (ids.has(id)) continue;
      ids.add(id);
      if (words !== null) waiting.current.push(words);
    }
    if (waiting.current.length === 0) return;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const said = waiting.current;
      waiting.current = [];
      setText(said.length === 1 ? (said[0] ?? "") : latest.current(said.length));
    }, GATHER_MS);
  }, [of, news]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return text;
}
