import { type RefObject, useCallback, useEffect, useMemo, useState } from "react";
import type { ManyChanges, Ticket } from "../../../src/index.ts";
import type { UseTickets } from "../../../src/react.tsx";
import { type Outcome, outcomeOf, spokenOutcome, ticketCount } from "./many-words.ts";
import { type Switch, useSelection } from "./selection.ts";

export interface UseMany {
  readonly ids: ReadonlySet<string>;
  readonly selected: readonly Ticket[];
  readonly isBusy: boolean;
  readonly outcome: Outcome | null;
  /** For those who do not see the page. */
  readonly heard: string;
  /** Stable. */
  readonly onSwitch: (change: Switch) => void;
  readonly selectAll: (isOn: boolean) => void;
  readonly change: (changes: ManyChanges) => Promise<void>;
  readonly dismiss: () => void;
}

/** Tickets of the list that are selected, changed together, and what came of it. Escape within `page` clears it. */
export function useMany(
  { list: { rows }, changeMany }: UseTickets,
  page: RefObject<HTMLElement | null>,
): UseMany {
  const order = useMemo(() => rows.map(({ id }) => id), [rows]);
  const { ids, onSwitch: switched, select, drop } = useSelection(order);
  const selected = useMemo(() => rows.filter(({ id }) => ids.has(id)), [rows, ids]);
  const [isBusy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  // Whether that is what was done last.
  const [isNews, setNews] = useState(false);
  // That all is well goes once something else is begun.
  const settle = useCallback(() => {
    setNews(false);
    setOutcome((before) => (before?.failures.length === 0 ? null : before));
  }, []);
  const onSwitch = useCallback(
    (change: Switch) => {
      settle();
      switched(change);
    },
    [settle, switched],
  );
  const selectAll = (isOn: boolean) => {
    settle();
    select(isOn ? order : []);
  };
  useEscape(ids.size > 0 && !isBusy, page, () => selectAll(false));
  const change = async (changes: ManyChanges) => {
    setBusy(true);
    setOutcome(null);
    const done = await changeMany(ids, changes);
    setBusy(false);
    setNews(true);
    setOutcome(outcomeOf(done, selected));
    drop(selected.map(({ id }) => id).filter((id) => !done.failed.has(id)));
  };
  const counted = selected.length === 0 ? "" : `${ticketCount(selected.length)} selected.`;
  const heard = isBusy
    ? `Changing ${ticketCount(selected.length)}…`
    : isNews && outcome !== null
      ? spokenOutcome(outcome)
      : counted;
  const dismiss = () => {
    setOutcome(null);
    // The button that was pressed goes.
    page.current?.querySelector<HTMLElement>('[data-testid="select-all"]')?.focus();
  };
  return {
    ids,
    selected,
    isBusy,
    outcome,
    heard,
    onSwitch,
    selectAll,
    change,
    dismiss,
  };
}

function useEscape(isOn: boolean, page: RefObject<HTMLElement | null>, action: () => void): void {
  useEffect(() => {
    if (!isOn) return;
    const onKey = (event: KeyboardEvent) => {
      // What has a use for it of its own, such as an open list of people, or a search that it empties.
      if (event.key !== "Escape" || event.defaultPrevented) return;
      const { target } = event;
      const isHere = target === document.body || page.current?.contains(target as Node) === true;
      const isUsed = target instanceof HTMLInputElement && target.type === "search";
      if (isHere && !(isUsed && target.value !== "")) action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
}
