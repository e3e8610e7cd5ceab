import { type FormEvent, type KeyboardEvent, type RefObject, useRef, useState } from "react";
import {
  COMMENT_FILES_MAX,
  type Ticket,
  type TicketActions,
  type TicketComment,
} from "../../../src/index.ts";
import type { TopicActions } from "../../../src/react.tsx";
import { FilesField, type FileText, fileDrafts, filesProblem } from "./files-field.tsx";
import { useNames } from "./names.ts";
import { NoteIcon } from "./note-icon.tsx";
import { Problem } from "./problem.tsx";
import { type CommentTextDraft, useCommentDraft } from "./use-comment-draft.ts";
import { useViewer } from "./viewer.ts";

interface ComposerProps {
  readonly ticket: Ticket;
  /** What is answered. */
  readonly parent: TicketComment | null;
  readonly actions: TicketActions;
  readonly onTyping: TopicActions["typing"];
  readonly onDone: () => void;
}

const CONTENT_MAX = 10_000;

/** What was refused, and whether it was a note. */
interface Failure {
  readonly error: unknown;
  readonly isInternal: boolean;
  /** As they were sent. */
  readonly files: readonly FileText[];
}

export function Composer({ ticket, parent, actions, onTyping, onDone }: ComposerProps) {
  const draft = useCommentDraft(ticket.id, parent);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  if (ticket.status === "closed") return <ClosedNote draft={draft} />;
  const { text, files, isInternal } = draft;
  const send = async () => {
    if (text.trim() === "" || isBusy) return;
    setBusy(true);
    setFailure(null);
    try {
      const parent_id = parent?.id ?? null;
      const attachments = fileDrafts(files);
      await actions.comment({ content: text, parent_id, is_internal: isInternal, attachments });
      draft.clear();
      onTyping(false);
      onDone();
    } catch (problem) {
      setFailure({ error: problem, isInternal, files });
    } finally {
      setBusy(false);
      field.current?.focus();
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  // Not what was refused of the note beside the answer.
  const error = failure?.isInternal === isInternal ? failure.error : null;
  const refusedFiles = filesProblem(error, failure?.files ?? []);
  const isBlank = text.trim() === "";
  return (
    <form
      className="composer"
      data-internal={isInternal}
      onSubmit={submit}
      data-testid="composer-form"
    >
      <ComposerHead {...{ draft, parent, field, onDone }} />
      <ComposerText {...{ draft, field, isBusy, onTyping, onSend: () => void send() }} />
      <FilesField
        files={files}
        max={COMMENT_FILES_MAX}
        isReadOnly={isBusy}
        problem={refusedFiles}
        onChange={draft.setFiles}
      />
      <Problem error={refusedFiles === null ? error : null} testId="composer-problem" />
      <div className="composer-foot">
        <AudienceNote isInternal={isInternal} />
        <button
          type="submit"
          className="button primary"
          aria-disabled={isBusy || isBlank}
          data-testid="send"
        >
          {isBusy ? "Sending…" : isInternal ? "Add note" : "Send"}
        </button>
      </div>
    </form>
  );
}

/** Nothing can be written now; what was begun waits. */
function ClosedNote({ draft }: { draft: CommentTextDraft }) {
  return (
    <p className="muted closed-note" data-testid="closed-note">
      This ticket is closed. Open it again to write.
      {draft.text !== "" && " What you had begun is kept."}
    </p>
  );
}

type Field = RefObject<HTMLTextAreaElement | null>;

interface ComposerHeadProps extends Pick<ComposerProps, "parent" | "onDone"> {
  readonly draft: CommentTextDraft;
  readonly field: Field;
}

/** Who is to see it, and what it answers. */
function ComposerHead({ draft, parent, field, onDone }: ComposerHeadProps) {
  const { isStaff } = useViewer();
  const nameOf = useNames();
  const { isInternal, hasOther } = draft;
  const parentName = parent?.author_id == null ? "a guest" : nameOf(parent.author_id);
  return (
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
                disabled={!internal && parent?.is_internal === true}
                onChange={() => draft.setInternal(internal)}
                data-testid={internal ? "as-note" : "as-reply"}
              />
              <span>
                {internal ? "Internal note" : "Reply"}
                {hasOther && isInternal !== internal && (
                  <>
                    <span className="begun" aria-hidden="true" />
                    <span className="visually-hidden">, begun</span>
                  </>
                )}
              </span>
            </label>
          ))}
        </fieldset>
      )}
      {parent !== null && (
        <span className="answering small" data-testid="answering">
          <span>
            Answers {parentName}: “{shortened(parent.content)}”
          </span>
          <button
            type="button"
            className="button link"
            onClick={() => {
              onDone();
              field.current?.focus();
            }}
            data-testid="answer-none"
          >
            Don’t
          </button>
        </span>
      )}
    </div>
  );
}

interface ComposerTextProps extends Pick<ComposerProps, "onTyping"> {
  readonly draft: CommentTextDraft;
  readonly field: Field;
  readonly isBusy: boolean;
  readonly onSend: () => void;
}

function ComposerText({ draft, field, isBusy, onTyping, onSend }: ComposerTextProps) {
  const { text, isInternal } = draft;
  const shortcut = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onSend();
  };
  return (
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
        draft.setText(event.target.value);
        // That a note is written is the team's alone too.
        onTyping(true, isInternal ? { audience: "staff" } : undefined);
      }}
      onBlur={() => onTyping(false)}
      onKeyDown={shortcut}
      data-testid="composer"
    />
  );
}

function AudienceNote({ isInternal }: { isInternal: boolean }) {
  const { isStaff } = useViewer();
  return (
    <p id="composer-note" className="composer-note small">
      {isInternal ? (
        <>
          <NoteIcon /> Only the team sees this.
        </>
      ) : (
        <span className="muted">{isStaff ? "The customer sees this." : "Ctrl + Enter sends."}</span>
      )}
    </p>
  );
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 40 ? `${line.slice(0, 39)}…` : line;
}
