import { useEffect, useState } from "react";
import type { Session } from "../session.ts";

const EVERY_MS = 5000;

/** Topics with somebody present, as the server lists them now and then. */
export function useFoundTopics(session: Session, openTopic: string | null): readonly string[] {
  const [topics, setTopics] = useState<readonly string[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: opening or closing a topic changes the list
  useEffect(() => {
    const stop = new AbortController();
    const ask = async () => {
      if (document.visibilityState === "hidden") return;
      const found = await fetchTopics(session, stop.signal).catch(() => null);
      // A server that is away, or a role that may not list: what is known stays.
      if (found === null || stop.signal.aborted) return;
      setTopics((old) => (old.join() === found.join() ? old : found));
    };
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [session, openTopic]);
  return topics;
}

async function fetchTopics(session: Session, signal: AbortSignal): Promise<string[]> {
  const headers = { authorization: `Bearer ${await session.token()}` };
  const response = await fetch("/v1/topics", { headers, signal });
  if (!response.ok) throw new Error(`/v1/topics answered ${response.status}`);
  const { data } = (await response.json()) as { data: { topic: string }[] };
  return data.map(({ topic }) => topic).sort();
}
