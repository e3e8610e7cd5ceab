import { useEffect, useRef, useState } from "react";
import { type Ticket, type TicketChanges, TicketsError } from "../../../src/index.ts";
import type { UsePen, UseTicket } from "../../../src/react.tsx";
import { useKept } from "./use-kept.ts";

/** What is written under the pen. */
export interface TicketText {
  readonly title: string;
  readonly description: string;
}

/** An unsaved text, and what it was made of. */
interface Edit extends TicketText {
  readonly base: TicketText;
}

export interface TicketTextEdit {
  /** As it is shown: the own text where there is one. */
  readonly text: TicketText;
  readonly isUnsaved: boolean;
  /** Which fields somebody has saved with another text meanwhile. */
  readonly overtaken: readonly (keyof TicketText)[];
  readonly isSaving: boolean;
  readonly error: unknown;
  change(change: Partial<TicketText>): void;
  /** Puts a whole text in the place of what is there. */
  put(text: TicketText): void;
  discard(): void;
  /** Goes on with the own text over the newer one of somebody else, which stays where nothing was written. */
  overwrite(): void;
  /** Answers whether it was saved. */
  save(): Promise<boolean>;
}

const FIELDS = ["description", "title"] as const satisfies readonly (keyof TicketText)[];

/** A newer version may come while one is sent; more often than this somebody else is quicker each time. */
const TRIES_MAX = 3;

/**
 * Title and description while they are written. A change that somebody else makes to other fields meanwhile is
 * no matter: what counts is whether the text is still what it was.
 */
export function useTicketText(ticket: Ticket, { actions }: UseTicket, pen: UsePen): TicketTextEdit {
  const [kept, keep] = useKept(`penholder:console:ticket:${ticket.id}`);
  const edit = parsed(kept);
  const [isSaving, setSaving] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const latest = useRef({ ticket, pen });
  useEffect(() => {
    latest.current = { ticket, pen };
  });
  const saved: TicketText = { title: ticket.title, description: ticket.description };
  const put = (text: TicketText, base: TicketText) => {
    const { title, description } = text;
    keep(isSame(text, base) ? "" : JSON.stringify({ title, description, base }));
    setError(null);
  };
  const save = async (): Promise<boolean> => {
    if (edit === null) return true;
    setSaving(true);
    setError(null);
    try {
      await saveOver(edit, () => latest.current, actions);
      keep("");
      return true;
    } catch (problem) {
      setError(problem);
      return false;
    } finally {
      setSaving(false);
    }
  };
  return {
    text: edit ?? saved,
    isUnsaved: edit !== null,
    overtaken: edit === null ? [] : FIELDS.filter((field) => edit.base[field] !== saved[field]),
    isSaving,
    error,
    change: (change) => put({ ...(edit ?? saved), ...change }, edit?.base ?? saved),
    put: (text) => put(text, saved),
    discard: () => put(saved, saved),
    overwrite: () => edit !== null && put(over(edit, saved), saved),
    save,
  };
}

/** Saves under the version that is known, and under a newer one as long as its text is the same. */
async function saveOver(
  edit: Edit,
  now: () => { ticket: Ticket; pen: UsePen },
  actions: UseTicket["actions"],
): Promise<void> {
  let { ticket } = now();
  for (let attempt = 1; ; attempt += 1) {
    const { pen } = now();
    const fence = pen.isMine ? pen.pen?.fence : undefined;
    const changes: TicketChanges = {
      ...(edit.title === ticket.title ? {} : { title: edit.title.trim() }),
      ...(edit.description === ticket.description ? {} : { description: edit.description }),
    };
    try {
      await actions.update(changes, { version: ticket.version, fence });
      return;
    } catch (problem) {
      const isStale = problem instanceof TicketsError && problem.status === 412;
      if (!isStale || attempt >= TRIES_MAX) throw problem;
      ticket = await actions.refresh();
      if (!isSame(edit.base, ticket)) throw problem;
    }
  }
}

function over({ base, title, description }: Edit, saved: TicketText): TicketText {
  return {
    title: title === base.title ? saved.title : title,
    description: description === base.description ? saved.description : description,
  };
}

function isSame(a: TicketText, b: TicketText): boolean {
  return a.title === b.title && a.description === b.description;
}

function parsed(kept: string): Edit | null {
  try {
    const edit = JSON.parse(kept) as Edit | null;
    return typeof edit?.base?.title === "string" ? edit : null;
  } catch {
    return null;
  }
}
