import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import { type PenView, type Ticket, TicketsError } from "../../../src/index.ts";
import type { UsePen, UsePresence, UseTicket } from "../../../src/react.tsx";
import { DraftNotice } from "../topic/draft-notice.tsx";
import { PenStrip } from "../topic/pen-strip.tsx";
import { useDraft } from "../topic/use-draft.ts";
import { type Taken, useTake } from "../topic/use-take.ts";
import { Files } from "./files.tsx";
import { type TicketText, type TicketTextEdit, useTicketText } from "./use-ticket-text.ts";
import { holderOf, problemWords } from "./words.ts";

interface TicketEditorProps {
  readonly ticket: Ticket;
  readonly source: UseTicket;
  readonly state: UsePresence;
  readonly pen: UsePen;
}

const TITLE_MAX = 255;
const DESCRIPTION_MAX = 20_000;

/** Title and description, which one of the team at a time may write: whoever begins takes the pen. */
export function TicketEditor({ ticket, source, state, pen }: TicketEditorProps) {
  const edit = useTicketText(ticket, source, pen);
  const [hasFocus, setFocus] = useState(false);
  const { isReadOnly } = pen;
  const isReleasing = useRef(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const { draft, keep, replace } = useDraft({
    state,
    pen,
    text: asDraft(edit.text),
    original: asDraft(ticket),
    isReleasing: () => isReleasing.current,
    onKept: edit.discard,
  });
  // After the drafts, which look whether the pen was given back or lost.
  const wish = { isJoined: state.status === "joined", isUnsaved: edit.isUnsaved };
  const takePen = useTake(pen, wish);
  const { take, release } = useTakeAndRelease({
    pen,
    takePen,
    isReleasing,
    onHeld: () => void keep(),
  });
  const activity = hasFocus && !isReadOnly ? "editing" : "viewing";
  const { actions } = state;
  useEffect(() => {
    actions.update({ activity, unsaved: edit.isUnsaved });
  }, [actions, activity, edit.isUnsaved]);
  const change = (fields: Partial<TicketText>) => {
    edit.change(fields);
    void take();
  };
  const save = async () => {
    if (edit.isSaving || edit.overtaken.length > 0 || isReadOnly) return;
    if (await edit.save()) release();
    field.current?.focus();
  };
  const discard = () => {
    edit.discard();
    release();
    field.current?.focus();
  };
  const restore = async () => {
    if (draft === null || (await take()) !== "granted") return;
    const text = fromDraft(draft.text, ticket);
    // What was written meanwhile changes places with it, so that nothing is lost.
    replace(edit.isUnsaved ? asDraft(edit.text) : "");
    edit.put(text);
    field.current?.focus();
  };
  const focus = { onFocus: () => setFocus(true), onBlur: () => setFocus(false) };
  const shortcut = (event: KeyboardEvent) => {
    const isSave = event.key === "Enter" || event.key.toLowerCase() === "s";
    if (!isSave || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void save();
  };
  return (
    <section
      className="card ticket-text"
      aria-label="Title and description"
      data-readonly={isReadOnly}
      data-unsaved={edit.isUnsaved}
      data-testid="ticket-text"
    >
      <PenStrip state={state} pen={pen} />
      <DraftNotice
        draft={draft}
        canRestore={!isReadOnly}
        onRestore={() => void restore()}
        onDiscard={() => replace("")}
      />
      <div className="ticket-fields">
        <label htmlFor="ticket-title">Title</label>
        <input
          id="ticket-title"
          className="title-field"
          value={edit.text.title}
          maxLength={TITLE_MAX}
          readOnly={isReadOnly || edit.isSaving}
          {...focus}
          onChange={(event) => change({ title: event.target.value })}
          onKeyDown={shortcut}
          aria-describedby="pen-text"
          autoComplete="off"
          data-testid="title-field"
        />
        <label htmlFor="ticket-description">Description</label>
        <textarea
          id="ticket-description"
          className="description-field"
          ref={field}
          value={edit.text.description}
          maxLength={DESCRIPTION_MAX}
          rows={4}
          readOnly={isReadOnly || edit.isSaving}
          {...focus}
          onChange={(event) => change({ description: event.target.value })}
          onKeyDown={shortcut}
          aria-describedby="pen-text"
          data-testid="description-field"
        />
      </div>
      <Files files={source.record.files.get(ticket.id)} />
      <SaveBar
        edit={edit}
        pen={pen}
        ticket={ticket}
        onSave={() => void save()}
        onDiscard={discard}
        onKeep={() => {
          edit.overwrite();
          field.current?.focus();
        }}
      />
    </section>
  );
}

interface TakeAndReleaseOptions {
  readonly pen: UsePen;
  readonly takePen: () => Promise<Taken>;
  readonly isReleasing: RefObject<boolean>;
  readonly onHeld: () => void;
}

/**
 * Takes the pen and gives it back. Who writes on while it is given back takes it again once that is done; `onHeld`
 * where somebody else was faster.
 */
function useTakeAndRelease({ pen, takePen, isReleasing, onHeld }: TakeAndReleaseOptions) {
  const isWanted = useRef(false);
  const take = async () => {
    if (isReleasing.current) {
      isWanted.current = true;
      return null;
    }
    const taken = await takePen();
    if (taken === "held") onHeld();
    return taken;
  };
  const { isMine, actions } = pen;
  const release = () => {
    if (!isMine) return;
    isReleasing.current = true;
    actions.release().catch(() => {
      isReleasing.current = false;
    });
  };
  // Given back is what the server tells all, not what it answers.
  // biome-ignore lint/correctness/useExhaustiveDependencies: whose the pen is says when
  useEffect(() => {
    if (isMine) return;
    isReleasing.current = false;
    if (isWanted.current) void take();
    isWanted.current = false;
  }, [isMine]);
  return { take, release };
}

interface SaveBarProps {
  readonly edit: TicketTextEdit;
  readonly pen: PenView;
  readonly ticket: Ticket;
  readonly onSave: () => void;
  readonly onDiscard: () => void;
  readonly onKeep: () => void;
}

/** What there is to save, and what stands in its way. */
function SaveBar({ edit, pen, ticket, onSave, onDiscard, onKeep }: SaveBarProps) {
  const isBlank = edit.text.title.trim() === "" || edit.text.description.trim() === "";
  const isOvertaken = edit.overtaken.length > 0;
  return (
    <>
      <div role="alert">
        {isOvertaken && (
          <div className="pen-notice" data-testid="overtaken">
            <p>
              Somebody has saved another {edit.overtaken.join(" and another ")} while you wrote.
              Yours is kept. Theirs:{" "}
              {edit.overtaken.map((it) => `“${start(ticket[it])}”`).join(", ")}
            </p>
            <div className="pen-buttons">
              <button
                type="button"
                className="button small-button"
                onClick={onKeep}
                data-testid="keep-mine"
              >
                Go on with mine
              </button>
              <button
                type="button"
                className="button small-button"
                onClick={onDiscard}
                data-testid="take-theirs"
              >
                Take theirs
              </button>
            </div>
          </div>
        )}
        {edit.error !== null && (
          <p className="field-error" data-testid="save-problem">
            {saveProblem(edit.error)}
          </p>
        )}
      </div>
      {edit.isUnsaved && (
        <div className="form-buttons">
          <button
            type="button"
            className="button primary"
            onClick={onSave}
            disabled={edit.isSaving || isOvertaken || isBlank || pen.isReadOnly}
            data-testid="save"
          >
            {edit.isSaving ? "Saving…" : "Save"}
          </button>
          <button
            type="button"
            className="button quiet"
            onClick={onDiscard}
            data-testid="discard-text"
          >
            Discard
          </button>
          <span className="muted small">
            {isBlank ? "Neither may be empty." : "Ctrl + Enter saves."}
          </span>
        </div>
      )}
    </>
  );
}

function saveProblem(error: unknown): string {
  if (!(error instanceof TicketsError)) return problemWords(error);
  const who = holderOf(error) ?? "Somebody else";
  switch (error.code) {
    case "stale_fence":
    case "pen_held":
      return `Not saved: ${who} has got the pen. Your text is kept here; ask for the pen to save it.`;
    case "stale_version":
      return "Not saved: somebody else was faster. Your text is kept; look at theirs, then go on.";
    default:
      return `Not saved. ${problemWords(error)}`;
  }
}

function start(text: string): string {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}

function asDraft({ title, description }: TicketText): string {
  return JSON.stringify({ title, description });
}

/** A draft may come from another page, which keeps the text alone. */
function fromDraft(text: string, { title }: TicketText): TicketText {
  try {
    const draft = JSON.parse(text) as Partial<TicketText> | null;
    if (typeof draft?.title === "string" && typeof draft.description === "string") {
      return { title: draft.title, description: draft.description };
    }
  } catch {
    // No JSON, so it is the description.
  }
  return { title, description: text };
}
