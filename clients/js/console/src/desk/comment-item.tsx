import { memo, useState } from "react";
import type { TicketActions, TicketComment } from "../../../src/index.ts";
import { Avatar } from "../avatar.tsx";
import { useNames } from "./names.ts";
import { NoteIcon } from "./note-icon.tsx";
import { Problem } from "./problem.tsx";
import { useNow } from "./use-now.ts";
import { useViewer } from "./viewer.ts";
import { ago, fullTime } from "./words.ts";

interface CommentItemProps {
  readonly comment: TicketComment;
  readonly depth: number;
  readonly canReply: boolean;
  readonly actions: TicketActions;
  readonly onReply: () => void;
}

const CONTENT_MAX = 10_000;

export const CommentItem = memo(function CommentItem(props: CommentItemProps) {
  const { comment, depth, canReply, actions, onReply } = props;
  const { person } = useViewer();
  const nameOf = useNames();
  const now = useNow();
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const { id, author_id, content, created_at, updated_at, is_internal } = comment;
  const name = author_id === null ? "Guest" : nameOf(author_id);
  const isOwn = author_id === person.user || person.role === "admin";
  const run = async (action: Promise<unknown>) => {
    setError(null);
    try {
      await action;
      setText(null);
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <li
      className="comment"
      data-depth={depth}
      data-internal={is_internal}
      data-testid={`comment-${id}`}
    >
      <Avatar id={author_id ?? "guest"} name={name} isAi={author_id === "quill"} size="small" />
      <div className="comment-body">
        <p className="comment-head">
          <strong>{name}</strong>
          {is_internal && (
            <span className="note-label">
              <NoteIcon />
              Internal note
            </span>
          )}
          <time className="muted small" dateTime={created_at} title={fullTime(created_at)}>
            {ago(created_at, now)}
            {updated_at !== created_at && ", edited"}
          </time>
        </p>
        {text === null ? (
          <p className="comment-text">{content}</p>
        ) : (
          <form
            className="comment-edit"
            onSubmit={(event) => {
              event.preventDefault();
              void run(actions.editComment(id, text));
            }}
          >
            <textarea
              aria-label={`Comment of ${name}`}
              value={text}
              rows={3}
              maxLength={CONTENT_MAX}
              onChange={(event) => setText(event.target.value)}
              data-testid="comment-edit"
            />
            <div className="form-buttons">
              <button
                type="submit"
                className="button small-button primary"
                disabled={text.trim() === "" || text === content}
                data-testid="comment-save"
              >
                Save
              </button>
              <button type="button" className="button quiet" onClick={() => setText(null)}>
                Cancel
              </button>
            </div>
          </form>
        )}
        <Problem error={error} />
        {text === null && (
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
                  onClick={() => setText(content)}
                  data-testid="edit-comment"
                >
                  Edit
                </button>
                <DeleteButton onDelete={() => void run(actions.deleteComment(id))} />
              </>
            )}
          </div>
        )}
      </div>
    </li>
  );
});

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
