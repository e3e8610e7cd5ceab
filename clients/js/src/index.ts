export { type ClientOptions, connect, PenholderClient } from "./client.ts";
export type { ConnectionState, ConnectionStatus } from "./connection.ts";
export { PenholderError } from "./errors.ts";
export { type PenFacts, type PenRequest, type PenView, penView } from "./pen.ts";
export type { Member, SessionMeta } from "./presence.ts";
export { type EditPriority, priorityMessage } from "./priority.ts";
export type * from "./protocol.ts";
export type { Readable } from "./store.ts";
export type { SummaryRows } from "./summaries.ts";
export { type FeedListener, TicketsFeed } from "./tickets/feed.ts";
export type { HistoryEntry } from "./tickets/history.ts";
export {
  type Guard,
  type PageOptions,
  TicketsClient,
  TicketsError,
} from "./tickets/http.ts";
export type { TicketList } from "./tickets/list-fold.ts";
export type { LiveState } from "./tickets/live-store.ts";
export { type ManyChanged, refusedOf } from "./tickets/many.ts";
export {
  type TicketActions,
  type TicketListState,
  TicketListStore,
  type TicketState,
  type TicketStatsState,
  TicketStatsStore,
  TicketStore,
} from "./tickets/stores.ts";
export * from "./tickets/ticket.ts";
export type { NamedAt, TicketRecord } from "./tickets/ticket-fold.ts";
export type { TokenInput } from "./token.ts";
export { topicNameError } from "./topic-name.ts";
export { TopicSession } from "./topic-session.ts";
export type {
  SessionUpdate,
  TopicEvent,
  TopicOptions,
  TopicState,
  TopicStatus,
  TypingOptions,
  Typist,
} from "./topic-state.ts";
export type { Frame } from "./transport.ts";
