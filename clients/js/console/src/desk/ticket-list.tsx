import { useMemo, useRef } from "react";
import { type TicketFilters, ticketTopic } from "../../../src/index.ts";
import { type UseTickets, useSummaries, useTickets } from "../../../src/react.tsx";
import { deskHref, NEW_TICKET, navigate, type OpenTicket, replaceRoute } from "../route.ts";
import { Filters } from "./filters.tsx";
import { useLearnedNames } from "./names.ts";
import { Problem } from "./problem.tsx";
import { TicketRow } from "./ticket-row.tsx";
import { useThrottled } from "./use-throttled.ts";
import { useViewer } from "./viewer.ts";

interface TicketListProps {
  readonly filters: TicketFilters;
  readonly open: OpenTicket;
}

/** The server's bound on one list of summaries. */
const WATCHED_MAX = 200;
/** Another list of topics is another join, of which the server takes only so many. */
const WATCH_EVERY_MS = 1000;

export function TicketList({ filters, open }: TicketListProps) {
  const { isStaff } = useViewer();
  const tickets = useLastList(useTickets(filters));
  const { list, status, error, isLive, isLoadingMore, moreError } = tickets;
  // A list of rows is refused whole for one that a token does not name, as those of customers do not.
  const topics = useMemo(
    () => (isStaff ? list.rows : []).slice(0, WATCHED_MAX).map(({ id }) => ticketTopic(id)),
    [isStaff, list.rows],
  );
  const present = useSummaries(useThrottled(topics, WATCH_EVERY_MS));
  useAssigneeNames(tickets);
  return (
    <section className="desk-list" aria-labelledby="desk-title" data-testid="ticket-list">
      <header className="desk-head">
        <h1 id="desk-title">{isStaff ? "Tickets" : "Your tickets"}</h1>
        <button
          type="button"
          className="button primary"
          onClick={() => navigate(deskHref(NEW_TICKET, filters))}
          data-testid="new-ticket"
        >
          New ticket
        </button>
      </header>
      <Filters filters={filters} onChange={(next) => replaceRoute(deskHref(open, next))} />
      {status === "failed" && (
        <Problem error={error} onRetry={tickets.reload} testId="list-problem" />
      )}
      <ul
        className="ticket-rows"
        aria-label="Tickets, the newest first"
        aria-busy={status === "loading"}
        data-live={isLive}
        data-testid="rows"
      >
        {list.rows.map((ticket) => (
          <TicketRow
            key={ticket.id}
            ticket={ticket}
            href={deskHref(ticket.id, filters)}
            present={present.get(ticketTopic(ticket.id))}
            isOpen={ticket.id === open}
          />
        ))}
      </ul>
      {status === "ready" && list.rows.length === 0 && <Empty filters={filters} />}
      {status === "loading" && !list.isLoaded && <p className="muted">Loading…</p>}
      <Problem error={moreError} />
      {list.cursor !== null && (
        <button
          type="button"
          className="button more"
          onClick={tickets.more}
          disabled={isLoadingMore}
          data-testid="more"
        >
          {isLoadingMore ? "Loading…" : "Show more"}
        </button>
      )}
    </section>
  );
}

function Empty({ filters }: { filters: TicketFilters }) {
  const { isStaff } = useViewer();
  const isFiltered = Object.keys(filters).length > 0;
  return (
    <div className="empty" data-testid="empty">
      <p>{isFiltered ? "No ticket is like that." : "There are no tickets yet."}</p>
      {!isFiltered && (
        <p className="muted">
          {isStaff ? (
            <>
              Write one, or fill the desk of a development server: <code>penholder seed</code>
            </>
          ) : (
            "Write one when there is something that we can help with."
          )}
        </p>
      )}
    </div>
  );
}

/** While other filters load, what was there before stays, so that the page does not jump. */
function useLastList(tickets: UseTickets): UseTickets {
  const last = useRef(tickets);
  if (tickets.list.isLoaded) last.current = tickets;
  if (tickets.list.isLoaded || tickets.status === "failed") return tickets;
  return {
    ...tickets,
    list: { ...last.current.list, cursor: null, isLoaded: last.current.list.isLoaded },
  };
}

/** Assignees come with their names. */
function useAssigneeNames({ list }: UseTickets): void {
  const names = useMemo(
    () =>
      new Map(
        list.rows.flatMap(({ assigned_to_id: id, assignee_name: name }) =>
          id == null || name === null ? [] : [[id, name] as const],
        ),
      ),
    [list.rows],
  );
  useLearnedNames(names);
}
