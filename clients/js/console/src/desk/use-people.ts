import { useEffect, useState } from "react";
import { usePenholder } from "../../../src/react.tsx";
import { learnNames, namesAsked } from "./names.ts";
import type { Choice } from "./person-picker.tsx";

const TEAM = ["agent", "admin"] as const;
const LIMIT = 20;
const PAUSE_MS = 200;

/** Who of the team is found by a text; null until it is known. */
export interface People {
  readonly found: readonly Choice[] | null;
  readonly state: "asking" | "found" | "more" | "failed";
}

const ASKING: People = { found: null, state: "asking" };

/** Asks the server for people of the team, once the typing pauses; for nobody while `text` is null. */
export function usePeople(text: string | null): People {
  const { tickets } = usePenholder();
  const [people, setPeople] = useState(ASKING);
  const q = text?.trim() ?? null;
  useEffect(() => {
    if (q === null) return;
    const stop = new AbortController();
    const { signal } = stop;
    const ask = async () => {
      const asked = namesAsked();
      try {
        const page = await tickets.people({ role: TEAM, q }, { limit: LIMIT, signal });
        if (signal.aborted) return;
        learnNames(
          page.data.map(({ id, name }) => [id, name]),
          asked,
        );
        const found = page.data.map(({ id, name }) => ({ id, label: name }));
        setPeople({ found, state: page.next_cursor === null ? "found" : "more" });
      } catch {
        // Those of whom the page knows can be chosen still.
        if (!signal.aborted) setPeople({ found: null, state: "failed" });
      }
    };
    setPeople((before) => ({ ...before, state: "asking" }));
    const timer = setTimeout(() => void ask(), q === "" ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [tickets, q]);
  return people;
}

/** Asks who somebody is of whom the page has the id only. */
export function useUnknownName(id: string | null): void {
  const { tickets } = usePenholder();
  useEffect(() => {
    if (id === null) return;
    const stop = new AbortController();
    const asked = namesAsked();
    tickets.people({ q: id }, { limit: 100, signal: stop.signal }).then(
      ({ data }) => {
        const names = data.map((person) => [person.id, person.name] as const);
        learnNames(names, asked);
      },
      // They go by their id.
      () => undefined,
    );
    return () => stop.abort();
  }, [tickets, id]);
}
