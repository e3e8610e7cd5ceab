import { type RefObject, useEffect, useMemo, useRef } from "react";
import { type TicketFilters, ticketTopic } from "../../../src/index.ts";
import {
  type UseTickets,
  useSummaries,
  useSummariesAsOf,
  useTickets,
} from "../../../src/react.tsx";
import { deskHref, NEW_TICKET, navigate, type OpenTicket, replaceRoute } from "../route.ts";
import { Filters } from "./filters.tsx";
import { ManyBar } from "./many-bar.tsx";
import { ManyOutcome } from "./many-outcome.tsx";
import { useLearnedNames } from "./names.ts";
import { Problem } from "./problem.tsx";
import { TicketRow } from "./ticket-row.tsx";
import { useAnnounced } from "./use-announced.ts";
import { useMany } from "./use-many.ts";
import { useThrottled } from "./use-throttled.ts";
import { useViewer } from "./viewer.ts";

interface TicketListProps {
  readonly filters: TicketFilters;
  readonly open: OpenTicket;
  readonly isDemo: boolean;
  /** What scrolls while a ticket is open beside it. */
  readonly scroller: RefObject<HTMLElement | null>;
}

/** The server's bound on one list of summaries. */
const WATCHED_MAX = 200;
/** Another list of topics is another join, of which the server takes only so many. */
const WATCH_EVERY_MS = 1000;

export function TicketList({ filters, open, isDemo, scroller }: TicketListProps) {
  const { isStaff } = useViewer();
  const tickets = useLastList(useTickets(filters));
  const { list, status, error, isLive, isLoadingMore, moreError } = tickets;
  // Where that is refused, the rows are without faces.
  const topics = useMemo(
    () => list.rows.slice(0, WATCHED_MAX).map(({ id }) => ticketTopic(id)),
    [list.rows],
  );
  const present = useSummaries(useThrottled(topics, WATCH_EVERY_MS));
  const asOf = useSummariesAsOf();
  useLearnedNames(list.names);
  const heard = useHeard(tickets, filters);
  const { rows, more } = useMore(tickets);
  const many = useMany(tickets, scroller);
  const there = useMemo(() => new Set(list.rows.map(({ id }) => id)), [list.rows]);
  const setFilters = (next: TicketFilters) => replaceRoute(deskHref(open, next));
  return (
    <section
      className="desk-list"
      aria-labelledby="desk-title"
      ref={scroller}
      data-testid="ticket-list"
    >
      <header className="desk-head">
        <h1 id="desk-title" tabIndex={-1}>
          {isStaff ? "Tickets" : "Your tickets"}
        </h1>
        <button
          type="button"
          className="button primary"
          onClick={() => navigate(deskHref(NEW_TICKET, filters))}
          data-testid="new-ticket"
        >
          New ticket
        </button>
      </header>
      <Filters filters={filters} isDemo={isDemo} onChange={setFilters} />
      <p className="visually-hidden" role="status" data-testid="list-heard">
        {heard}
      </p>
      <p className="visually-hidden" role="status" data-testid="many-heard">
        {many.heard}
      </p>
      {status === "failed" && (
        <Problem error={error} onRetry={tickets.reload} testId="list-problem" />
      )}
      <div className="ticket-table">
        {isStaff && list.rows.length > 0 && (
          <ManyBar
            shown={list.rows.length}
            selected={many.selected}
            isDemo={isDemo}
            isBusy={many.isBusy}
            said={many.outcome?.words ?? null}
            onSelectAll={many.selectAll}
            onChange={many.change}
          />
        )}
        {many.outcome !== null && many.outcome.failures.length > 0 && (
          <ManyOutcome
            outcome={many.outcome}
            filters={filters}
            there={there}
            onDismiss={many.dismiss}
          />
        )}
        <ul
          className="ticket-rows"
          ref={rows}
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
              asOf={asOf}
              isOpen={ticket.id === open}
              isSelected={isStaff ? many.ids.has(ticket.id) : null}
              onSwitch={many.onSwitch}
            />
          ))}
        </ul>
      </div>
      {status === "ready" && list.rows.length === 0 && (
        <Empty filters={filters} onClear={() => setFilters({})} />
      )}
      {status === "loading" && !list.isLoaded && <p className="muted">Loading…</p>}
      <Problem error={moreError} onRetry={more} testId="more-problem" />
      {list.cursor !== null && (
        <button
          type="button"
          className="button more"
          onClick={more}
          aria-disabled={isLoadingMore}
          data-testid="more"
        >
          {isLoadingMore ? "Loading…" : "Show more"}
        </button>
      )}
    </section>
  );
}

/** The next page, and then the focus on the first of its rows: the button goes after the last page. */
function useMore({ list, more }: UseTickets) {
  const rows = useRef<HTMLUListElement>(null);
  const end = useRef<string | null>(null);
  useEffect(() => {
    if (end.current === null) return;
    const place = list.rows.findIndex(({ id }) => id === end.current);
    if (place + 1 === list.rows.length) return;
    end.current = null;
    const focused = document.activeElement;
    const isElsewhere = focused !== document.body && !focused?.matches('[data-testid="more"]');
    if (!isElsewhere) rows.current?.children[place + 1]?.querySelector("a")?.focus();
  }, [list.rows]);
  const fetchMore = () => {
    end.current = list.rows.at(-1)?.id ?? null;
    void more();
  };
  return { rows, more: fetchMore };
}

/** What is said of tickets that are made while the list is looked at. */
function useHeard({ list }: UseTickets, filters: TicketFilters): string {
  const key = JSON.stringify(filters);
  const { person } = useViewer();
  const newest = useRef<{ key: string; at: string } | null>(null);
  const of = list.isLoaded && JSON.stringify(list.filters) === key ? key : null;
  // What comes with other filters or a further page was there before.
  if (of !== null && newest.current?.key !== of) {
    newest.current = { key: of, at: list.rows[0]?.created_at ?? "" };
  }
  const news = useMemo(
    () =>
      list.rows.map(({ id, title, user_id, created_at }) => {
        const isNew = user_id !== person.user && created_at > (newest.current?.at ?? "");
        return { id, words: isNew ? `A new ticket: ${title}` : null };
      }),
    [list.rows, person],
  );
  return useAnnounced(of, news, (count) => `${count} new tickets.`);
}

interface EmptyProps {
  readonly filters: TicketFilters;
  readonly onClear: () => void;
}

function Empty({ filters, onClear }: EmptyProps) {
  const { isStaff } = useViewer();
  const isFiltered = Object.keys(filters).length > 0;
  return (
    <div className="empty" data-testid="empty">
      <p className="empty-title">
        {isFiltered ? "No ticket is like that." : "There are no tickets yet."}
      </p>
      {isFiltered ? (
        <button
          type="button"
          className="button"
          onClick={() => {
            onClear();
            document.getElementById("desk-title")?.focus();
          }}
          data-testid="show-all"
        >
          Show all tickets
        </button>
      ) : (
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
