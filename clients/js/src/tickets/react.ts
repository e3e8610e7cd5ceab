import { useMemo, useSyncExternalStore } from "react";
import type { PenholderClient } from "../client.ts";
import { usePenholder } from "../provider.ts";
import {
  type TicketActions,
  type TicketListState,
  TicketListStore,
  type TicketState,
  type TicketStatsState,
  TicketStatsStore,
  TicketStore,
} from "./stores.ts";
import type { TicketFilters } from "./ticket.ts";

export interface UseTickets extends TicketListState {
  /** Fetches the next page; does nothing where there is none. */
  readonly more: () => Promise<void>;
  readonly reload: () => Promise<void>;
  /** Changes many of its tickets, as far as each allows it; stable while client and filters stay. */
  readonly changeMany: TicketListStore["changeMany"];
}

/** The last list of each client: who comes back to it finds as many rows as there were, and their place. */
const LISTS = new WeakMap<PenholderClient, { key: string; store: TicketListStore }>();

/** The tickets that pass `filters`, followed live: staff see all, others their own. */
export function useTickets(filters: TicketFilters = {}): UseTickets {
  const client = usePenholder();
  const key = JSON.stringify(filters);
  const store = useMemo(() => {
    const last = LISTS.get(client);
    if (last?.key === key) return last.store;
    const fresh = new TicketListStore(client, JSON.parse(key) as TicketFilters);
    LISTS.set(client, { key, store: fresh });
    return fresh;
  }, [client, key]);
  const state = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
  return useMemo(() => {
    const { more, reload, changeMany } = store;
    return { ...state, more, reload, changeMany };
  }, [state, store]);
}

export interface UseTicket extends TicketState {
  /** Stable while client and ticket stay. */
  readonly actions: TicketActions;
  readonly reload: () => Promise<void>;
}

/**
 * One ticket with comments and history, followed live. Joins `tickets:{id}`, so that who looks at it is seen
 * there; `usePresence` and `usePen` on that topic share the membership.
 */
export function useTicket(id: string): UseTicket {
  const client = usePenholder();
  const store = useMemo(() => new TicketStore(client, id), [client, id]);
  const state = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
  return useMemo(() => ({ ...state, actions: store, reload: store.reload }), [state, store]);
}

const STATS = new WeakMap<PenholderClient, TicketStatsStore>();

/** How many tickets there are, in all and by status; one question for all who ask here. */
export function useTicketStats(): TicketStatsState {
  const client = usePenholder();
  const store = useMemo(() => {
    const shared = STATS.get(client) ?? new TicketStatsStore(client);
    STATS.set(client, shared);
    return shared;
  }, [client]);
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}
