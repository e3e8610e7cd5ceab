/** The address of the page: `?topic=` is the open topic, so that back and reload work. */
import { useCallback, useSyncExternalStore } from "react";

const CHANGED = "penholder:route";

export function topicHref(topic: string | null): string {
  return topic === null ? "/" : `/?topic=${topic}`;
}

/** The open topic, and a function that opens another. */
export function useOpenTopic(): [string | null, (topic: string | null) => void] {
  const topic = useSyncExternalStore(subscribe, () =>
    new URLSearchParams(location.search).get("topic"),
  );
  const open = useCallback((next: string | null) => {
    history.pushState(null, "", topicHref(next));
    dispatchEvent(new Event(CHANGED));
  }, []);
  return [topic, open];
}

/** Reads a parameter and removes it from the address: it is to act once. */
export function takeParameter(name: string): string | null {
  const url = new URL(location.href);
  const value = url.searchParams.get(name);
  if (value === null) return null;
  const rest = [...url.searchParams].filter(([key]) => key !== name);
  const query = rest.map(([key, v]) => `${key}=${v}`).join("&");
  history.replaceState(null, "", query === "" ? url.pathname : `${url.pathname}?${query}`);
  return value;
}

function subscribe(listener: () => void): () => void {
  addEventListener("popstate", listener);
  addEventListener(CHANGED, listener);
  return () => {
    removeEventListener("popstate", listener);
    removeEventListener(CHANGED, listener);
  };
}
