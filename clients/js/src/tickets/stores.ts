/** A list of tickets, one ticket, and the counts, each followed live. */
import type { PenholderClient } from "../client.ts";
import type { PenholderError } from "../errors.ts";
import type { Ticket, TicketCommentDetail, TicketStats, TicketStatus } from "../protocol.ts";
import { type Guard, TicketsError } from "./http.ts";
import {
  beginFetch,
  emptyList,
  type TicketList,
  withEvent,
  withFirstPage,
  withPage,
  withTicket,
} from "./list-fold.ts";
import { type LiveState, LiveStore, LOADING } from "./live-store.ts";
import { changeMany, type ManyChanged } from "./many.ts";
import {
  type CommentDraft,
  type DeskUser,
  listTopic,
  type ManyChanges,
  type Page,
  type TicketChanges,
  type TicketFilters,
  type TicketNews,
  ticketTopic,
} from "./ticket.ts";
import {
  beginRecordFetch,
  EMPTY_RECORD,
  lacksFiles,
  type TicketRecord,
  withAnswer,
  withComment,
  withFetched,
  withFilesOf,
  withoutComment,
  withTicketEvent,
} from "./ticket-fold.ts";

/** A list is watched, not attended: nobody is shown there. */
const UNSEEN = { presence: false } as const;
/** For what events say that it has changed, and not how. */
const EVENTS_PAUSE_MS = 400;
const PAGE_LEN = 25;
const PAGE_LEN_MAX = 100;
/** More rows are not fetched again at once: who comes back to so many finds the first of them. */
const ROWS_AGAIN_MAX = 500;

export interface TicketListState extends LiveState {
  readonly list: TicketList;
  readonly isLoadingMore: boolean;
  /** Why the next page did not come. */
  readonly moreError: PenholderError | null;
}

export class TicketListStore extends LiveStore<TicketListState> {
  constructor(client: PenholderClient, filters: TicketFilters) {
    super(client, { ...LOADING, list: emptyList(filters), isLoadingMore: false, moreError: null });
  }

  /** Fetches the next page, if there is one. */
  readonly more = async (): Promise<void> => {
    const { list, isLoadingMore } = this.getSnapshot();
    if (list.cursor === null || isLoadingMore) return;
    this.store.patch({ isLoadingMore: true, moreError: null });
    try {
      const { filters, cursor, fetches, seq } = list;
      const page = await this.client.tickets.list(filters, { cursor, limit: PAGE_LEN });
      const now = this.getSnapshot().list;
      // Begun anew meanwhile, so that this page follows nothing.
      if (now.fetches === fetches) this.store.patch({ list: withPage(now, page, seq) });
    } catch (error) {
      this.store.patch({ moreError: error as PenholderError });
    } finally {
      this.store.patch({ isLoadingMore: false });
    }
  };

  /**
   * Changes many of its tickets, as far as each allows it, and shows at once what came of it. Ids of tickets that it
   * does not have are left out.
   */
  readonly changeMany = async (
    ids: Iterable<string>,
    changes: ManyChanges,
  ): Promise<ManyChanged> => {
    const { rows, seq } = this.getSnapshot().list;
    const wanted = new Set(ids);
    const tickets = rows.filter(({ id }) => wanted.has(id));
    const done = await changeMany(this.client.tickets, tickets, changes);
    const list = done.changed.reduce(
      (before, ticket) => withTicket(before, ticket, seq),
      this.getSnapshot().list,
    );
    this.store.patch({ list });
    return done;
  };

  protected topic(user: DeskUser) {
    return [listTopic(user), UNSEEN] as const;
  }

  protected async load(signal: AbortSignal): Promise<void> {
    this.store.patch({ list: beginFetch(this.getSnapshot().list), moreError: null });
    const { filters, rows, seq } = this.getSnapshot().list;
    // As many as were there, so that who has scrolled down stays where they are.
    const wanted = Math.min(Math.max(rows.length, 1), ROWS_AGAIN_MAX);
    const data: Ticket[] = [];
    let cursor: Page<Ticket>["next_cursor"] | undefined;
    while (data.length < wanted && cursor !== null) {
      const limit = Math.min(Math.max(wanted - data.length, PAGE_LEN), PAGE_LEN_MAX);
      const asked = { cursor, limit, signal };
      const page: Page<Ticket> = await this.client.tickets.list(filters, asked);
      if (signal.aborted) return;
      data.push(...page.data);
      cursor = page.data.length === 0 ? null : page.next_cursor;
    }
    const page = { data, next_cursor: cursor ?? null };
    this.store.patch({ list: withFirstPage(this.getSnapshot().list, page, seq) });
  }

  protected event(event: TicketNews): void {
    this.store.patch({ list: withEvent(this.getSnapshot().list, event) });
  }
}

export interface TicketState extends LiveState {
  readonly record: TicketRecord;
}

/** What can be done with a ticket. Each rejects with a `TicketsError`, and shows at once what came of it. */
export interface TicketActions {
  update(changes: TicketChanges, guard?: Guard): Promise<Ticket>;
  transition(to: TicketStatus, reason?: string): Promise<Ticket>;
  assign(userId: string | null): Promise<Ticket>;
  comment(draft: CommentDraft): Promise<TicketCommentDetail>;
  editComment(id: string, content: string): Promise<TicketCommentDetail>;
  deleteComment(id: string): Promise<void>;
  /** The ticket as it is now, also where events are late. */
  refresh(): Promise<Ticket>;
}

export class TicketStore extends LiveStore<TicketState> implements TicketActions {
  readonly #id: string;

  constructor(client: PenholderClient, id: string) {
    super(client, { ...LOADING, record: EMPTY_RECORD });
    this.#id = id;
  }

  readonly update = (changes: TicketChanges, guard?: Guard) =>
    this.#answered(this.client.tickets.update(this.#id, changes, guard));

  readonly transition = (to: TicketStatus, reason?: string) =>
    this.#answered(this.client.tickets.transition(this.#id, to, reason));

  readonly assign = (userId: string | null) =>
    this.#answered(this.client.tickets.assign(this.#id, userId));

  readonly refresh = () => this.#answered(this.client.tickets.read(this.#id));

  readonly comment = async (draft: CommentDraft) =>
    this.#said(await this.client.tickets.comment(this.#id, draft));

  readonly editComment = async (id: string, content: string) =>
    this.#said(await this.client.tickets.editComment(id, content));

  readonly deleteComment = async (id: string) => {
    await this.client.tickets.deleteComment(id);
    this.#fold((record) => withoutComment(record, id));
  };

  protected topic() {
    return [ticketTopic(this.#id), {}] as const;
  }

  protected async load(signal: AbortSignal): Promise<void> {
    this.#fold(beginRecordFetch);
    const { tickets } = this.client;
    const [ticket, comments, changes, log] = await Promise.all([
      tickets.read(this.#id, signal),
      tickets.comments(this.#id, signal),
      tickets.history(this.#id, signal),
      tickets.events(ticketTopic(this.#id), undefined, signal).catch(withoutLog),
    ]);
    if (!signal.aborted) {
      this.#fold((record) => withFetched(record, { ticket, comments, changes, log }));
    }
  }

  protected event(event: TicketNews): void {
    this.#fold((record) => withTicketEvent(record, event));
    if (lacksFiles(this.getSnapshot().record)) this.later(EVENTS_PAUSE_MS, this.#fetchFiles);
  }

  /** Events of comments come without their files. */
  readonly #fetchFiles = async (): Promise<void> => {
    // The answer to the own comment has had them meanwhile.
    if (this.isOver() || !lacksFiles(this.getSnapshot().record)) return;
    try {
      const comments = await this.client.tickets.comments(this.#id);
      this.#fold((record) => withFilesOf(record, comments));
    } catch {
      await this.reload();
    }
  };

  protected override isOver(): boolean {
    return this.getSnapshot().record.deletedBy !== null;
  }

  async #answered(asked: Promise<Ticket>): Promise<Ticket> {
    const ticket = await asked;
    this.#fold((record) => withAnswer(record, ticket));
    return ticket;
  }

  #said(comment: TicketCommentDetail): TicketCommentDetail {
    this.#fold((record) => withComment(record, comment));
    return comment;
  }

  #fold(step: (record: TicketRecord) => TicketRecord): void {
    this.store.patch({ record: step(this.getSnapshot().record) });
  }
}

/** Who may not read the log sees the history of the status, and what happens from here on. */
function withoutLog(error: unknown): readonly TicketNews[] {
  if (error instanceof TicketsError && (error.status === 404 || error.status === 403)) return [];
  throw error;
}

export interface TicketStatsState extends LiveState {
  readonly stats: TicketStats | null;
}

/** Counts are asked for again when something may have changed them: they cannot drift. */
export class TicketStatsStore extends LiveStore<TicketStatsState> {
  constructor(client: PenholderClient) {
    super(client, { ...LOADING, stats: null });
  }

  protected topic(user: DeskUser) {
    return [listTopic(user), UNSEEN] as const;
  }

  protected async load(signal: AbortSignal): Promise<void> {
    const stats = await this.client.tickets.stats(signal);
    if (!signal.aborted) this.store.patch({ stats });
  }

  protected event({ event }: TicketNews): void {
    if (event.startsWith("comment_") || event === "internal_note_created") return;
    this.later(EVENTS_PAUSE_MS, this.reload);
  }
}
