import { type RefObject, useEffect, useLayoutEffect, useMemo, useRef } from "react";
import type { TicketFilters } from "../../../src/index.ts";
import { EventTail } from "../frames/event-tail.tsx";
import { deskHref, NEW_TICKET, navigate, type OpenTicket } from "../route.ts";
import { introduceTeam, type Session } from "../session.ts";
import { learnNames } from "./names.ts";
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
  const list = useRef<HTMLElement>(null);
  useKeptScroll(open, list);
  const main = useFocusOnOpen(open);
  useEffect(() => {
    if (session.isDemo && viewer.isStaff) void introduceTeam();
  }, [session, viewer]);
  // Before any event tells it: what they write is under their name at once.
  useEffect(() => {
    learnNames([[session.person.user, session.person.name]]);
  }, [session]);
  const show = (ticket: OpenTicket) => navigate(deskHref(ticket, filters));
  return (
    <ViewerProvider value={viewer}>
      <main id="main" className="desk" data-open={open !== null} ref={main} tabIndex={-1}>
        <TicketList filters={filters} open={open} isDemo={session.isDemo} scroller={list} />
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
            {viewer.isStaff && <EventTail client={session.client} />}
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

/** Where the page of the list was scrolled to last, for who comes back to it from another page. */
let listTop = 0;

/**
 * Keeps the place in the list: beside a ticket the list scrolls by itself, and without one with the page. The browser's
 * own way back loses it: what it takes for a mark of the place may be what stays in sight wherever that is.
 */
function useKeptScroll(open: OpenTicket, list: RefObject<HTMLElement | null>): void {
  const shown = useRef<OpenTicket>(open);
  // Before the page of what comes next is laid out, which may be too short for where this one is scrolled to.
  useLayoutEffect(() => {
    history.scrollRestoration = "manual";
    const restore = () => {
      history.scrollRestoration = "auto";
    };
    // Only while the list is all there is: a ticket is another page.
    const note = () => {
      if (shown.current === null) listTop = scrollY;
    };
    addEventListener("scroll", note, { passive: true });
    addEventListener("pagehide", restore);
    return () => {
      removeEventListener("scroll", note);
      removeEventListener("pagehide", restore);
      restore();
    };
  }, []);
  useLayoutEffect(() => {
    if (shown.current === null) scrollTo(0, listTop);
  }, []);
  useLayoutEffect(() => {
    const before = shown.current;
    shown.current = open;
    if (open === before) return;
    if (open === null) {
      scrollTo(0, listTop);
      return;
    }
    scrollTo(0, 0);
    const row = list.current?.querySelector<HTMLElement>('[aria-current="page"]');
    if (before === null && row && list.current) center(row, list.current);
  }, [open, list]);
}

/** Scrolls `list`, and nothing around it, so that `row` is in its middle; not where it is in sight as it is. */
function center(row: HTMLElement, list: HTMLElement): void {
  const { top, bottom } = row.getBoundingClientRect();
  const sight = list.getBoundingClientRect();
  if (top >= sight.top && bottom <= Math.min(sight.bottom, innerHeight)) return;
  list.scrollTop += top - sight.top - list.clientHeight / 2;
}
