import { useMemo, useState } from "react";
import type { Ticket, TicketActions, TicketComment } from "../../../src/index.ts";
import { CommentItem } from "./comment-item.tsx";
import { Composer } from "./composer.tsx";

interface ConversationProps {
  readonly ticket: Ticket;
  readonly comments: readonly TicketComment[];
  readonly actions: TicketActions;
  /** Tells the others that one types. */
  readonly onTyping: (on: boolean) => void;
}

/** Comments with what answers them, and a place to write. */
export function Conversation({ ticket, comments, actions, onTyping }: ConversationProps) {
  const [answered, setAnswered] = useState<string | null>(null);
  const thread = useMemo(() => threaded(comments), [comments]);
  const parent = comments.find(({ id }) => id === answered) ?? null;
  return (
    <section className="card conversation" aria-labelledby="conversation-title">
      <h2 id="conversation-title" className="card-title">
        Conversation <span className="count">{comments.length}</span>
      </h2>
      {comments.length === 0 && <p className="muted">Nobody has written yet.</p>}
      <ol className="comments" data-testid="comments">
        {thread.map(({ comment, depth }) => (
          <CommentItem
            key={comment.id}
            comment={comment}
            depth={depth}
            canReply={ticket.status !== "closed"}
            actions={actions}
            onReply={() => {
              setAnswered(comment.id);
              document.getElementById("composer")?.focus();
            }}
          />
        ))}
      </ol>
      <Composer
        ticket={ticket}
        parent={parent}
        actions={actions}
        onTyping={onTyping}
        onDone={() => setAnswered(null)}
      />
    </section>
  );
}

/** Deeper ones are not indented further, so that there is room for their text. */
const DEPTH_MAX = 3;

/** Each comment after what it answers. What answers something that is gone stands by itself. */
export function threaded(
  comments: readonly TicketComment[],
): readonly { comment: TicketComment; depth: number }[] {
  const ids = new Set(comments.map(({ id }) => id));
  const answers = new Map<string | null, TicketComment[]>();
  for (const comment of comments) {
    const { parent_id } = comment;
    const parent = parent_id !== null && ids.has(parent_id) ? parent_id : null;
    answers.set(parent, [...(answers.get(parent) ?? []), comment]);
  }
  const list: { comment: TicketComment; depth: number }[] = [];
  const open = [...(answers.get(null) ?? [])].reverse().map((comment) => ({ comment, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    list.push(next);
    const depth = Math.min(next.depth + 1, DEPTH_MAX);
    for (const comment of [...(answers.get(next.comment.id) ?? [])].reverse()) {
      open.push({ comment, depth });
    }
  }
  return list;
}
