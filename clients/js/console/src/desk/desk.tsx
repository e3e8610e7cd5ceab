import { useEffect, useMemo, useRef } from "react";
import type { TicketFilters } from "../../../src/index.ts";
import { EventTail } from "../frames/event-tail.tsx";
import { deskHref, NEW_TICKET, navigate, type OpenTicket } from "../route.ts";
import { introduceTeam, type Session } from "../session.ts";
import { NewTicket } from "./new-ticket.tsx";
import { TicketList } from "./ticket-list.tsx";
import { TicketPanel } from "./ticket-panel.tsx";
import { ViewerProvider, viewerOf } from "./viewer.ts";

interface DeskProps {
  readonly session: Session;
  readonly open: OpenTicket;
  readonly filters: TicketFilters;
}

/** The help desk: the list of tickets, and beside it the one that is open. */
export function Desk({ session, open, filters }: DeskProps) {
  const viewer = useMemo(() => viewerOf(session.person), [session]);
  const main = useFocusOnOpen(open);
  useEffect(() => {
    if (session.isDemo && viewer.isStaff) void introduceTeam();
  }, [session, viewer]);
  const show = (ticket: OpenTicket) => navigate(deskHref(ticket, filters));
  return (
    <ViewerProvider value={viewer}>
      <main id="main" className="desk" data-open={open !== null} ref={main} tabIndex={-1}>
        <TicketList filters={filters} open={open} />
        {open !== null && (
          <div className="desk-open">
            {open === NEW_TICKET ? (
              <NewTicket onMade={show} onCancel={() => show(null)} />
            ) : (
              <TicketPanel
                key={open}
                id={open}
                isDemo={session.isDemo}
                onClose={() => show(null)}
              />
            )}
            <EventTail client={session.client} />
          </div>
        )}
      </main>
    </ViewerProvider>
  );
}

/** Moves the focus to what was opened here, and back to its row when it is closed. */
function useFocusOnOpen(open: OpenTicket) {
  const main = useRef<HTMLElement>(null);
  const shown = useRef(open);
  useEffect(() => {
    const before = shown.current;
    shown.current = open;
    if (open === before) return;
    const find = (selector: string) => main.current?.querySelector<HTMLElement>(selector);
    const row = typeof before === "string" ? find(`[data-testid="ticket-${before}"]`) : null;
    (open === null ? (row ?? find("#desk-title")) : find("[data-opened]"))?.focus();
  }, [open]);
  return main;
}
