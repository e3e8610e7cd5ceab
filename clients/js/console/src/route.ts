/**
 * The address of the page, so that back and reload work: `?ticket=` is the open ticket, `?new` the form for
 * another, `?topic=` the open topic, `?topics` the list of those; without any of these, the list of tickets.
 */
import { type MouseEvent, useMemo, useSyncExternalStore } from "react";
import type { TicketFilters } from "../../src/index.ts";
import { TICKET_CATEGORIES, TICKET_PRIORITIES, TICKET_STATUSES } from "../../src/index.ts";

const CHANGED = "penholder:route";

export type Route =
  | { readonly page: "desk"; readonly filters: TicketFilters; readonly open: OpenTicket }
  | { readonly page: "topics"; readonly topic: string | null };

/** A ticket by its id, the form for a new one, or none. */
export type OpenTicket = string | typeof NEW_TICKET | null;
export const NEW_TICKET = Symbol("new");

export function topicHref(topic: string | null): string {
  return topic === null ? "/?topics" : `/?topic=${topic}`;
}

/** The list with these filters, beside an open ticket if there is one. */
export function deskHref(open: OpenTicket, filters: TicketFilters): string {
  const query = new URLSearchParams();
  if (open === NEW_TICKET) query.set("new", "");
  else if (open !== null) query.set("ticket", open);
  const { status = [], ...rest } = filters;
  for (const word of status) query.append("status", word);
  for (const [name, value] of Object.entries(rest)) if (value) query.set(name, value);
  const text = query.toString();
  return text === "" ? "/" : `/?${text}`;
}

export function useRoute(): Route {
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => parseRoute(search), [search]);
}

export function parseRoute(search: string): Route {
  const query = new URLSearchParams(search);
  const topic = query.get("topic");
  if (topic !== null || query.has("topics")) return { page: "topics", topic };
  const open = query.has("new") ? NEW_TICKET : query.get("ticket");
  return { page: "desk", open, filters: parseFilters(query) };
}

/** What is not of the known words is left out: it may come from another version of this page. */
function parseFilters(query: URLSearchParams): TicketFilters {
  const one = <W extends string>(name: string, words: readonly W[]) => {
    const word = words.find((known) => known === query.get(name));
    return word === undefined ? {} : { [name]: word };
  };
  const text = (name: string) => {
    const value = query.get(name) ?? "";
    return value === "" ? {} : { [name]: value };
  };
  const status = TICKET_STATUSES.filter((word) => query.getAll("status").includes(word));
  return {
    ...(status.length === 0 ? {} : { status }),
    ...text("assigned_to"),
    ...one("priority", TICKET_PRIORITIES),
    ...one("category", TICKET_CATEGORIES),
    ...text("q"),
  };
}

export function navigate(href: string): void {
  history.pushState(null, "", href);
  dispatchEvent(new Event(CHANGED));
}

/** As `navigate`, but back leads to where one was before. */
export function replaceRoute(href: string): void {
  history.replaceState(null, "", href);
  dispatchEvent(new Event(CHANGED));
}

/** Follows a link within the page, unless it is to open elsewhere. */
export function follow(event: MouseEvent, href: string): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(href);
}

/** Reads a parameter and removes it from the address: it is to act once. */
export function takeParameter(name: string): string | null {
  const url = new URL(location.href);
  const value = url.searchParams.get(name);
  if (value === null) return null;
  const rest = [...url.searchParams].filter(([key]) => key !== name);
  const query = rest.map(([key, v]) => (v === "" ? key : `${key}=${v}`)).join("&");
  history.replaceState(null, "", query === "" ? url.pathname : `${url.pathname}?${query}`);
  return value;
}

function subscribe(listener: () => void): () => void {
  addEventListener("popstate", listener);
  addEventListener(CHANGED, listener);
  return () => {
    removeEventListener("popstate", listener);
    removeEventListener(CHANGED, listener);
  };
}
