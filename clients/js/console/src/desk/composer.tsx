import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { Ticket, TicketActions, TicketComment } from "../../../src/index.ts";
import { useNames } from "./names.ts";
import { NoteIcon } from "./note-icon.tsx";
import { Problem } from "./problem.tsx";
import { useKept } from "./use-kept.ts";
import { useViewer } from "./viewer.ts";

interface ComposerProps {
  readonly ticket: Ticket;
  /** What is answered. */
  readonly parent: TicketComment | null;
  readonly actions: TicketActions;
  readonly onTyping: (on: boolean) => void;
  readonly onDone: () => void;
}

const CONTENT_MAX = 10_000;

export function Composer({ ticket, parent, actions, onTyping, onDone }: ComposerProps) {
  const { isStaff } = useViewer();
  const nameOf = useNames();
  const [text, setText] = useKept(`penholder:console:comment:${ticket.id}`);
  // Kept with the text: what was begun as a note never goes out as a reply.
  const [audience, setAudience] = useKept(`penholder:console:audience:${ticket.id}`);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  // What answers a note is one: else it would show that there is a note.
  const answersNote = parent?.is_internal === true;
  const isInternal = isStaff && (audience === "staff" || answersNote);
  // The note may be deleted while it is answered.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is answered says when
  useEffect(() => {
    if (answersNote) setAudience("staff");
  }, [answersNote]);
  if (ticket.status === "closed") {
    return (
      <p className="muted closed-note" data-testid="closed-note">
        This ticket is closed. Open it again to write.
      </p>
    );
  }
  const send = async () => {
    if (text.trim() === "" || isBusy) return;
    setBusy(true);
    setError(null);
    try {
      const parent_id = parent?.id ?? null;
      await actions.comment({ content: text, parent_id, is_internal: isInternal });
      setText("");
      onTyping(false);
      onDone();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
      field.current?.focus();
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const shortcut = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void send();
  };
  const parentName = parent?.author_id == null ? "a guest" : nameOf(parent.author_id);
  return (
    <form
      className="composer"
      data-internal={isInternal}
      onSubmit={submit}
      data-testid="composer-form"
    >
      <div className="composer-head">
        {isStaff && (
          <fieldset className="segmented">
            <legend className="visually-hidden">Who sees it</legend>
            {[false, true].map((internal) => (
              <label key={String(internal)}>
                <input
                  type="radio"
                  name="audience"
                  checked={isInternal === internal}
                  disabled={!internal && answersNote}
                  onChange={() => setAudience(internal ? "staff" : "")}
                  data-testid={internal ? "as-note" : "as-reply"}
                />
                <span>{internal ? "Internal note" : "Reply"}</span>
              </label>
            ))}
          </fieldset>
        )}
        {parent !== null && (
          <span className="answering small" data-testid="answering">
            Answers {parentName}: “{shortened(parent.content)}”
            <button type="button" className="button link" onClick={onDone}>
              Don’t
            </button>
          </span>
        )}
      </div>
      <textarea
        id="composer"
        ref={field}
        aria-label={isInternal ? "Internal note" : "Your comment"}
        aria-describedby="composer-note"
        placeholder={isInternal ? "A note for the team" : "Write a reply"}
        value={text}
        rows={3}
        maxLength={CONTENT_MAX}
        readOnly={isBusy}
        onChange={(event) => {
          setText(event.target.value);
          // That a note is written is the team's alone too.
          if (!isInternal) onTyping(true);
        }}
        onBlur={() => onTyping(false)}
        onKeyDown={shortcut}
        data-testid="composer"
      />
      <Problem error={error} testId="composer-problem" />
      <div className="composer-foot">
        <p id="composer-note" className="composer-note small">
          {isInternal ? (
            <>
              <NoteIcon /> Only the team sees this.
            </>
          ) : (
            <span className="muted">
              {isStaff ? "The customer sees this." : "Ctrl + Enter sends."}
            </span>
          )}
        </p>
        <button
          type="submit"
          className="button primary"
          disabled={isBusy || text.trim() === ""}
          data-testid="send"
        >
          {isBusy ? "Sending…" : isInternal ? "Add note" : "Send"}
        </button>
      </div>
    </form>
  );
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 40 ? `${line.slice(0, 39)}…` : line;
}
