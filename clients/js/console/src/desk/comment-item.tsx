import { memo, type RefObject, useEffect, useRef, useState } from "react";
import type { TicketActions, TicketAttachment, TicketComment } from "../../../src/index.ts";
import { Avatar } from "../avatar.tsx";
import { Files } from "./files.tsx";
import { useNames } from "./names.ts";
import { NoteIcon } from "./note-icon.tsx";
import { Problem } from "./problem.tsx";
import { useKeptJson } from "./use-kept.ts";
import { useNow } from "./use-now.ts";
import { useViewer } from "./viewer.ts";
import { ago, fullTime } from "./words.ts";

interface CommentItemProps {
  readonly comment: TicketComment;
  readonly files: readonly TicketAttachment[] | undefined;
  readonly depth: number;
  readonly canReply: boolean;
  readonly actions: TicketActions;
  readonly onReply: (id: string) => void;
  readonly onDelete: (id: string) => Promise<void>;
}

const CONTENT_MAX = 10_000;

export const CommentItem = memo(function CommentItem(props: CommentItemProps) {
  const { comment, files, depth, canReply, actions, onReply, onDelete } = props;
  const { person } = useViewer();
  const nameOf = useNames();
  const [text, setText] = useKeptJson<string | null>(`penholder:console:edit:${comment.id}`, null);
  const [takesFocus, setTakesFocus] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const { id, author_id, content, is_internal } = comment;
  const name = author_id === null ? "Guest" : nameOf(author_id);
  const isOwn = author_id === person.user || person.role === "admin";
  const { editButton, comeBack } = useFocusAfterEdit(text !== null);
  const end = () => {
    comeBack();
    setError(null);
    setText(null);
  };
  const run = async (action: Promise<unknown>, onDone: () => void) => {
    setError(null);
    try {
      await action;
      onDone();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <li
      className="comment"
      data-depth={depth}
      data-internal={is_internal}
      tabIndex={-1}
      data-testid={`comment-${id}`}
    >
      <Avatar id={author_id ?? "guest"} name={name} isAi={author_id === "quill"} size="small" />
      <div className="comment-body">
        <CommentHead comment={comment} name={name} />
        {text === null ? (
          <p className="comment-text">{content}</p>
        ) : (
          <CommentEdit
            {...{ name, content, text, takesFocus, onChange: setText, onCancel: end }}
            onSave={() => void run(actions.editComment(id, text), end)}
          />
        )}
        <Files files={files} />
        <Problem error={error} />
        {text === null && (
          <CommentButtons
            {...{ name, canReply, isOwn, editButton }}
            onReply={() => onReply(id)}
            onEdit={() => {
              setTakesFocus(true);
              setText(content);
            }}
            onDelete={() => void run(onDelete(id), () => undefined)}
          />
        )}
      </div>
    </li>
  );
});

interface CommentButtonsProps {
  readonly name: string;
  readonly canReply: boolean;
  readonly isOwn: boolean;
  readonly editButton: RefObject<HTMLButtonElement | null>;
  readonly onReply: () => void;
  readonly onEdit: () => void;
  readonly onDelete: () => void;
}

function CommentButtons(props: CommentButtonsProps) {
  const { name, canReply, isOwn, editButton, onReply, onEdit, onDelete } = props;
  return (
    <div className="comment-actions">
      {canReply && (
        <button
          type="button"
          className="button link"
          onClick={onReply}
          aria-label={`Reply to ${name}`}
          data-testid="reply"
        >
          Reply
        </button>
      )}
      {isOwn && (
        <>
          <button
            type="button"
            className="button link"
            ref={editButton}
            onClick={onEdit}
            data-testid="edit-comment"
          >
            Edit
          </button>
          <DeleteButton onDelete={onDelete} />
        </>
      )}
    </div>
  );
}

function CommentHead({ comment, name }: { comment: TicketComment; name: string }) {
  const now = useNow();
  const { is_internal, created_at, updated_at } = comment;
  const isEdited = updated_at !== created_at;
  const title = isEdited
    ? `${fullTime(created_at)}, edited ${fullTime(updated_at)}`
    : fullTime(created_at);
  return (
    <p className="comment-head">
      <strong>{name}</strong>
      {is_internal && (
        <span className="note-label">
          <NoteIcon />
          Internal note
        </span>
      )}
      <time className="muted small" dateTime={created_at} title={title}>
        {ago(created_at, now)}
        {isEdited && ", edited"}
      </time>
    </p>
  );
}

/** The way into the form is the way back out of it. */
function useFocusAfterEdit(isEditing: boolean) {
  const editButton = useRef<HTMLButtonElement>(null);
  const isLeaving = useRef(false);
  useEffect(() => {
    if (isEditing || !isLeaving.current) return;
    isLeaving.current = false;
    editButton.current?.focus();
  }, [isEditing]);
  const comeBack = () => {
    isLeaving.current = true;
  };
  return { editButton, comeBack };
}

interface CommentEditProps {
  readonly name: string;
  readonly content: string;
  readonly text: string;
  readonly takesFocus: boolean;
  readonly onChange: (text: string) => void;
  readonly onSave: () => void;
  readonly onCancel: () => void;
}

function CommentEdit(props: CommentEditProps) {
  const { name, content, text, takesFocus, onChange, onSave, onCancel } = props;
  const field = useRef<HTMLTextAreaElement>(null);
  const isSame = text.trim() === "" || text === content;
  // Only what was just opened, and not what a reload has brought back.
  useEffect(() => {
    if (takesFocus) field.current?.focus();
  }, [takesFocus]);
  const save = () => (isSame ? undefined : onSave());
  return (
    <form
      className="comment-edit"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <textarea
        aria-label={`Comment of ${name}`}
        ref={field}
        value={text}
        rows={3}
        maxLength={CONTENT_MAX}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && text === content) onCancel();
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          save();
        }}
        data-testid="comment-edit"
      />
      <div className="form-buttons">
        <button
          type="submit"
          className="button small-button primary"
          aria-disabled={isSame}
          data-testid="comment-save"
        >
          Save
        </button>
        <button
          type="button"
          className="button quiet"
          onClick={onCancel}
          data-testid="comment-cancel"
        >
          Cancel
        </button>
      </div>
    </form>
  );
}

/** Asks once more: what is deleted does not come back. */
function DeleteButton({ onDelete }: { onDelete: () => void }) {
  const [isAsking, setAsking] = useState(false);
  return (
    <button
      type="button"
      className="button link"
      onClick={() => (isAsking ? onDelete() : setAsking(true))}
      onBlur={() => setAsking(false)}
      data-testid="delete-comment"
    >
      {isAsking ? "Delete for good?" : "Delete"}
    </button>
  );
}
