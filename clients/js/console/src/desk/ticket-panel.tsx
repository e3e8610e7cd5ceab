import { useEffect, useMemo, useRef } from "react";
import { type Ticket, ticketTopic } from "../../../src/index.ts";
import {
  type UseTicket,
  useConnection,
  usePen,
  usePresence,
  useTicket,
} from "../../../src/react.tsx";
import { isAsked } from "../topic/pen-strip.tsx";
import { Conversation } from "./conversation.tsx";
import { Files } from "./files.tsx";
import { useLearnedNames, useNamesAsked, useOldNames } from "./names.ts";
import { Problem } from "./problem.tsx";
import { TicketEditor } from "./ticket-editor.tsx";
import { TicketFacts } from "./ticket-facts.tsx";
import { TicketHistory } from "./ticket-history.tsx";
import { useRequester } from "./ticket-row.tsx";
import { useViewer } from "./viewer.ts";
import { Viewers } from "./viewers.tsx";
import { failureWords } from "./words.ts";

interface TicketPanelProps {
  readonly id: string;
  readonly isDemo: boolean;
  readonly onClose: () => void;
}

/** One ticket: what is written about it, by whom, and who is here. */
export function TicketPanel({ id, isDemo, onClose }: TicketPanelProps) {
  const source = useTicket(id);
  const { record, status, error, isLive } = source;
  const { ticket, deletedBy } = record;
  useOldNames(record.names);
  const { known, fetches } = record.facts;
  const asked = useNamesAsked(fetches);
  useLearnedNames(useAssignee(ticket), known?.isLive ? undefined : asked);
  const failure = status === "failed" && ticket === null ? failureWords(error) : null;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // What had the focus is gone with the ticket.
    const isLost = document.activeElement === document.body;
    if (deletedBy !== null && isLost) heading.current?.focus();
  }, [deletedBy]);
  const connection = useConnection().status;
  return (
    <article
      className="ticket"
      aria-labelledby="ticket-heading"
      data-live={isLive}
      data-testid="ticket-panel"
    >
      <header className="ticket-head">
        <p className="eyebrow">{ticket === null ? "Ticket" : ticket.slug}</p>
        <button
          type="button"
          className="button quiet back"
          onClick={onClose}
          data-testid="close-ticket"
        >
          <BackIcon />
          Back to the list
        </button>
        <h1
          id="ticket-heading"
          ref={heading}
          tabIndex={-1}
          data-opened
          data-testid="ticket-heading"
        >
          {ticket?.title ?? failure?.title ?? "Loading…"}
        </h1>
      </header>
      {status === "loading" && ticket === null && connection !== "connected" && (
        <p className="muted" role="status">
          {connection === "closed"
            ? "There is no connection to the server any more."
            : "It comes as soon as the server answers."}
        </p>
      )}
      {deletedBy !== null && (
        <div className="notice" role="alert" data-testid="deleted">
          <p>{deletedBy.name} has deleted this ticket.</p>
        </div>
      )}
      {deletedBy === null && failure !== null && (
        <div className="notice" role="alert" data-testid="ticket-problem">
          <p>{failure.text}</p>
          <button
            type="button"
            className="button"
            onClick={() => {
              void source.reload();
              heading.current?.focus();
            }}
            data-testid="ticket-retry"
          >
            Try again
          </button>
        </div>
      )}
      {deletedBy === null && status === "failed" && ticket !== null && (
        <Problem error={error} onRetry={() => void source.reload()} testId="ticket-problem" />
      )}
      {deletedBy === null && ticket !== null && (
        <OpenTicket ticket={ticket} source={source} isDemo={isDemo} />
      )}
    </article>
  );
}

interface OpenTicketProps {
  readonly ticket: Ticket;
  readonly source: UseTicket;
  readonly isDemo: boolean;
}

function OpenTicket({ ticket, source, isDemo }: OpenTicketProps) {
  const { isStaff } = useViewer();
  const topic = ticketTopic(ticket.id);
  // As the server grants it: the team may edit, customers view.
  const state = usePresence(topic);
  const pen = usePen(topic);
  useTitle(isAsked(pen, state) ? `${pen.request?.name} asks for the pen` : null, ticket.title);
  return (
    <>
      <Viewers state={state} />
      <div className="ticket-columns">
        <div className="ticket-main">
          {isStaff ? (
            <TicketEditor ticket={ticket} source={source} state={state} pen={pen} />
          ) : (
            <TicketReading ticket={ticket} source={source} />
          )}
          <Conversation
            ticket={ticket}
            record={source.record}
            actions={source.actions}
            onTyping={state.actions.typing}
          />
        </div>
        <div className="ticket-side">
          <TicketFacts
            ticket={ticket}
            actions={source.actions}
            members={state.members}
            pen={pen}
            isDemo={isDemo}
          />
          <TicketHistory history={source.record.history} />
        </div>
      </div>
    </>
  );
}

function TicketReading({ ticket, source }: Pick<OpenTicketProps, "ticket" | "source">) {
  const requester = useRequester(ticket);
  return (
    <section className="card" aria-label="Description">
      <p className="comment-head">
        <strong>{requester ?? "Somebody"}</strong>
        <span className="muted small">wrote</span>
      </p>
      <p className="comment-text" data-testid="description">
        {ticket.description}
      </p>
      <Files files={source.record.files.get(ticket.id)} />
    </section>
  );
}

/** Who a ticket is assigned to, by id; nobody for those who may not know it. */
function useAssignee(ticket: Ticket | null): ReadonlyMap<string, string> {
  const { assigned_to_id: id = null, assignee_name: name = null } = ticket ?? {};
  return useMemo(() => new Map(id === null || name === null ? [] : [[id, name]]), [id, name]);
}

function BackIcon() {
  return (
    <svg className="back-icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M12 4.5 6.5 10l5.5 5.5" />
    </svg>
  );
}

/** A request for the pen is seen by a holder who is looking elsewhere. */
function useTitle(asking: string | null, title: string) {
  useEffect(() => {
    document.title = [asking, title, "Penholder"].filter((part) => part !== null).join(" · ");
    return () => {
      document.title = "Penholder";
    };
  }, [asking, title]);
}
