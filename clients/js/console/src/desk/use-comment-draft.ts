import { useEffect } from "react";
import type { TicketComment } from "../../../src/index.ts";
import type { FileText } from "./files-field.tsx";
import { useKept, useKeptJson } from "./use-kept.ts";
import { useViewer } from "./viewer.ts";

/** What is being written to a ticket: an answer and a note, each with a text and files of its own. */
export interface CommentTextDraft {
  readonly text: string;
  readonly files: readonly FileText[];
  readonly isInternal: boolean;
  /** Whether what is not shown, the note or the answer, has been begun too. */
  readonly hasOther: boolean;
  setText(text: string): void;
  setFiles(files: readonly FileText[]): void;
  setInternal(isInternal: boolean): void;
  /** It was sent. */
  clear(): void;
}

const NONE: readonly FileText[] = [];

/**
 * Kept in the tab for each ticket and kind, so that nothing is lost by looking elsewhere, and what was begun as a
 * note never goes out as an answer.
 */
export function useCommentDraft(ticketId: string, parent: TicketComment | null): CommentTextDraft {
  const { isStaff } = useViewer();
  const key = (what: string) => `penholder:console:${what}:${ticketId}`;
  const [audience, setAudience] = useKept(key("audience"));
  const kinds = {
    reply: { text: useKept(key("reply")), files: useKeptJson(key("reply-files"), NONE) },
    note: { text: useKept(key("note")), files: useKeptJson(key("note-files"), NONE) },
  };
  // What answers a note is one: else it would show that there is a note.
  const answersNote = parent?.is_internal === true;
  const isInternal = isStaff && (audience === "staff" || answersNote);
  // The note may be deleted while it is answered.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is answered says when
  useEffect(() => {
    if (answersNote) setAudience("staff");
  }, [answersNote]);
  const [shown, other] = isInternal ? [kinds.note, kinds.reply] : [kinds.reply, kinds.note];
  const [text, setText] = shown.text;
  const [files, setFiles] = shown.files;
  return {
    text,
    files,
    isInternal,
    hasOther: other.text[0] !== "" || other.files[0].length > 0,
    setText,
    setFiles: (next) => setFiles(next.length === 0 ? null : next),
    setInternal: (internal) => setAudience(internal ? "staff" : ""),
    clear: () => {
      setText("");
      setFiles(null);
    },
  };
}
