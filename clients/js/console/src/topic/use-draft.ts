import { useCallback, useEffect, useRef, useState } from "react";
import type { UsePen, UsePresence } from "../../../src/react.tsx";

/** A text that its author wrote and could not save. */
export interface Draft {
  readonly text: string;
  readonly at: number;
}

interface DraftOptions {
  readonly state: UsePresence;
  readonly pen: UsePen;
  readonly text: string;
  /** Whether the pen is being given back, after which what is written next stays where it is. */
  readonly isReleasing?: () => boolean;
  /** The unsaved text is safe in escrow, and not the topic's text any more. */
  readonly onKept: () => void;
}

/** Keeps what was not saved when the pen goes, and fetches what an earlier visit has left. */
export function useDraft(options: DraftOptions & { readonly original: string }): {
  readonly draft: Draft | null;
  /** Leaves the unsaved text in escrow. */
  readonly keep: () => Promise<void>;
  /** Keeps another text in the place of the draft; nothing for an empty one. */
  readonly replace: (text: string) => void;
} {
  const { state, pen, text, original, onKept } = options;
  const { actions, isMine, isTaken } = pen;
  const [draft, setDraft] = useState<Draft | null>(null);
  const { isReleasing = never } = options;
  const latest = useRef({ text, isMine, original, onKept, isReleasing });
  latest.current = { text, isMine, original, onKept, isReleasing };
  const had = useRef(isMine);
  const isJoined = state.status === "joined";
  const isDraining = isMine && pen.pen?.state === "draining";
  const isUnsavedElsewhere = (state.self?.sessions ?? []).some(
    (meta) => meta.session !== state.session && meta.unsaved,
  );

  // Again when another tab of the person has left its text there, or taken it back.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it says when, and not what
  useEffect(() => {
    if (!isJoined || state.session === null) return;
    let isCurrent = true;
    actions.fetchDraft().then(
      ({ draft: left, left_by, at }) => {
        const isOwn = left !== null && left !== "" && left_by?.id === state.key;
        if (isCurrent) setDraft(isOwn && at !== null ? { text: left, at } : null);
      },
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [actions, isJoined, state.session, state.key, isUnsavedElsewhere]);

  const keep = useCallback(async () => {
    const unsaved = latest.current.text;
    if (unsaved === latest.current.original) return;
    try {
      const { at } = await actions.leaveDraft(unsaved);
      if (latest.current.isMine) return;
      setDraft({ text: unsaved, at: at ?? Date.now() });
      if (latest.current.text === unsaved) latest.current.onKept();
    } catch {
      // Not kept elsewhere, so it stays where it is: in this tab.
    }
  }, [actions]);

  // Ahead of the loss, since whoever is cut off meanwhile could not leave it later.
  useEffect(() => {
    if (isDraining) void keep();
  }, [isDraining, keep]);
  // Taken also while the page was being loaded, when the text came back out of the tab's storage.
  useEffect(() => {
    if (!isJoined) return;
    const isLost = had.current && !isMine && !latest.current.isReleasing();
    if (isTaken || isLost) void keep();
    had.current = isMine;
  }, [isJoined, isMine, isTaken, keep]);

  const replace = useCallback(
    (left: string) => {
      setDraft(left === "" ? null : { text: left, at: Date.now() });
      actions.leaveDraft(left).catch(() => undefined);
    },
    [actions],
  );
  return { draft, keep, replace };
}

function never(): boolean {
  return false;
}
