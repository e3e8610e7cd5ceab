/** Which rows of a list are selected, whatever becomes of the rows. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

export interface Selection {
  readonly ids: ReadonlySet<string>;
  /** The row that was switched last: a range begins there. Null where there is none. */
  readonly anchor: string | null;
}

export const NOTHING_SELECTED: Selection = { ids: new Set(), anchor: null };

/** Switches one row, or all from the one that was switched last to this one, as `order` has them now. */
export function withSwitched(
  { ids, anchor }: Selection,
  order: readonly string[],
  { id, isOn, isRange }: Switch,
): Selection {
  const from = isRange && anchor !== null ? order.indexOf(anchor) : -1;
  const to = order.indexOf(id);
  // What the range began at may have gone.
  const range = from < 0 ? [id] : order.slice(Math.min(from, to), Math.max(from, to) + 1);
  const next = new Set(ids);
  for (const each of range) {
    if (isOn) next.add(each);
    else next.delete(each);
  }
  return { ids: next, anchor: id };
}

/** Without the rows that are gone: one that comes back later is not selected unseen. */
export function withRows({ ids, anchor }: Selection, order: readonly string[]): Selection {
  const isThere = new Set(order);
  return {
    ids: new Set([...ids].filter((id) => isThere.has(id))),
    anchor: anchor !== null && isThere.has(anchor) ? anchor : null,
  };
}

export interface Switch {
  readonly id: string;
  readonly isOn: boolean;
  /** With Shift: from the last one to this. */
  readonly isRange: boolean;
}

export interface UseSelection {
  /** Those of the rows that are there now. */
  readonly ids: ReadonlySet<string>;
  /** Stable. */
  readonly onSwitch: (change: Switch) => void;
  readonly select: (ids: Iterable<string>) => void;
  readonly drop: (ids: Iterable<string>) => void;
}

/** What is selected of the rows with these ids, in their order; nothing at first. */
export function useSelection(order: readonly string[]): UseSelection {
  const [selection, setSelection] = useState(NOTHING_SELECTED);
  const latest = useRef(order);
  useEffect(() => {
    latest.current = order;
    setSelection((before) => {
      const left = withRows(before, order);
      return left.ids.size === before.ids.size && left.anchor === before.anchor ? before : left;
    });
  }, [order]);
  const onSwitch = useCallback(
    (change: Switch) => setSelection((before) => withSwitched(before, latest.current, change)),
    [],
  );
  const select = useCallback(
    (ids: Iterable<string>) => setSelection({ ids: new Set(ids), anchor: null }),
    [],
  );
  const drop = useCallback((gone: Iterable<string>) => {
    const without = new Set(gone);
    setSelection(({ ids: before, anchor }) => ({
      ids: new Set([...before].filter((id) => !without.has(id))),
      anchor,
    }));
  }, []);
  const ids = useMemo(() => withRows(selection, order).ids, [selection, order]);
  return { ids, onSwitch, select, drop };
}
