import { useCallback, useMemo, useRef } from "react";
import type { Ticket, TicketActions, TicketComment, TicketRecord } from "../../../src/index.ts";
import type { TopicActions } from "../../../src/react.tsx";
import { CommentItem } from "./comment-item.tsx";
import { Composer } from "./composer.tsx";
import { useNames } from "./names.ts";
import { useAnnounced } from "./use-announced.ts";
import { useKept } from "./use-kept.ts";
import { useViewer } from "./viewer.ts";

interface ConversationProps {
  readonly ticket: Ticket;
  readonly record: TicketRecord;
  readonly actions: TicketActions;
  /** Tells the others that one types. */
  readonly onTyping: TopicActions["typing"];
}

/** Comments with what answers them, and a place to write. */
export function Conversation({ ticket, record, actions, onTyping }: ConversationProps) {
  const { comments, files } = record;
  const [answered, setAnswered] = useKept(`penholder:console:answers:${ticket.id}`);
  const thread = useMemo(() => threaded(comments), [comments]);
  const parent = comments.find(({ id }) => id === answered) ?? null;
  const { list, remove } = useRemoval(thread, actions);
  const heard = useHeard(ticket.id, comments);
  const latest = useRef(setAnswered);
  latest.current = setAnswered;
  const reply = useCallback((id: string) => {
    latest.current(id);
    document.getElementById("composer")?.focus();
  }, []);
  return (
    <section className="card conversation" aria-labelledby="conversation-title" ref={list}>
      <h2 id="conversation-title" className="card-title" tabIndex={-1}>
        Conversation <span className="count">{comments.length}</span>
      </h2>
      <p className="visually-hidden" role="status" data-testid="comments-heard">
        {heard}
      </p>
      {comments.length === 0 && <p className="muted none-yet">Nobody has written yet.</p>}
      <ol className="comments" data-testid="comments">
        {thread.map(({ comment, depth }) => (
          <CommentItem
            key={comment.id}
            comment={comment}
            files={files.get(comment.id)}
            depth={depth}
            canReply={ticket.status !== "closed"}
            actions={actions}
            onReply={reply}
            onDelete={remove}
          />
        ))}
      </ol>
      <Composer
        ticket={ticket}
        parent={parent}
        actions={actions}
        onTyping={onTyping}
        onDone={() => setAnswered("")}
      />
    </section>
  );
}

type Thread = readonly { readonly comment: TicketComment }[];

/** Takes a comment away; who did it goes on at the one after it, else before it. */
function useRemoval(thread: Thread, { deleteComment }: TicketActions) {
  const list = useRef<HTMLElement>(null);
  const latest = useRef(thread);
  latest.current = thread;
  const remove = useCallback(
    async (id: string) => {
      const place = latest.current.findIndex(({ comment }) => comment.id === id);
      const next = latest.current[place + 1] ?? latest.current[place - 1];
      await deleteComment(id);
      const find = (selector: string) => list.current?.querySelector<HTMLElement>(selector);
      const neighbour = next && find(`[data-testid="comment-${next.comment.id}"]`);
      (neighbour ?? find("#conversation-title"))?.focus();
    },
    [deleteComment],
  );
  return { list, remove };
}

/** What is said of comments of others as they come. */
function useHeard(ticketId: string, comments: readonly TicketComment[]): string {
  const { person } = useViewer();
  const nameOf = useNames();
  const latest = useRef(nameOf);
  latest.current = nameOf;
  const news = useMemo(
    () =>
      comments.map(({ id, author_id: author, is_internal }) => {
        if (author === person.user) return { id, words: null };
        const name = author === null ? "A guest" : latest.current(author);
        return { id, words: `${name} has written ${is_internal ? "a note" : "a comment"}.` };
      }),
    [comments, person],
  );
  return useAnnounced(ticketId, news, (count) => `${count} new comments.`);
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
