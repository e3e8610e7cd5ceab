/** Events of tickets from a joined topic: each once, in order, with word when some were missed for good. */
import type { PenholderError } from "../errors.ts";
import type { TopicSession } from "../topic-session.ts";
import type { TopicStatus } from "../topic-state.ts";
import { type TicketNews, ticketEvent } from "./ticket.ts";

export interface FeedListener {
  event(event: TicketNews): void;
  /**
   * Joined: what is fetched from here on is followed by events without a gap. `isWhole`: nothing was
   * missed since the last time, so nothing need be fetched.
   */
  joined(isWhole: boolean): void;
  /** The connection is lost, or the topic joined anew: nothing more is told until `joined`. */
  lost(): void;
  /** The server keeps the topic closed, or has closed it; null when it did not say why. */
  refused(error: PenholderError | null): void;
}

export class TicketsFeed {
  readonly #session: TopicSession;
  readonly #listener: FeedListener;
  readonly #stop: () => void;
  #status: TopicStatus = "joining";
  #seq: number;

  /** Takes over the hold on the topic. */
  constructor(session: TopicSession, listener: FeedListener) {
    this.#session = session;
    this.#listener = listener;
    // What was told before is part of what will be fetched.
    const seqs = session.getSnapshot().events.map(({ seq }) => seq ?? 0);
    this.#seq = Math.max(0, ...seqs);
    // Called at each change, so that no event passes unseen.
    this.#stop = session.subscribe(() => this.#look());
    this.#look();
  }

  close(): void {
    this.#stop();
    this.#session.leave();
  }

  #look(): void {
    const { status, recovered, error, events } = this.#session.getSnapshot();
    const isFirst = status !== this.#status;
    this.#status = status;
    if (isFirst && status === "joined") this.#listener.joined(recovered === true);
    const isAway = status === "reconnecting" || status === "joining";
    if (isFirst && isAway) this.#listener.lost();
    for (const { event, payload, seq } of events) {
      if (seq === null || seq <= this.#seq) continue;
      this.#seq = seq;
      const told = ticketEvent(event, payload);
      if (told !== null) this.#listener.event(told);
    }
    if (isFirst && (status === "refused" || status === "closed")) this.#listener.refused(error);
  }
}
