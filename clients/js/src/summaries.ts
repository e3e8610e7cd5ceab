import type { Channel, Socket } from "phoenix";
import { isFinal, PenholderError } from "./errors.ts";
import { RETURN_MS } from "./presence.ts";
import type { ErrorReply, Summaries, TopicRow } from "./protocol.ts";
import { type Readable, Store } from "./store.ts";

/** Who is on each of many topics, for lists: rows by topic. */
export type SummaryRows = ReadonlyMap<string, TopicRow>;

const TOPIC = "system:summaries";
/** The server's bound on one list. */
const TOPICS_MAX = 200;

/**
 * One `system:summaries` channel for all who watch lists on this connection: it asks for the union
 * of what they want, and joins anew when that changes.
 */
export class SummaryFeed {
  readonly rows: Readable<SummaryRows>;
  /** Why the list was refused: one topic that may not be viewed refuses it whole. */
  readonly error: Readable<PenholderError | null>;
  /** When the server was heard last, once it tells nothing more; null while the rows are followed live. */
  readonly asOf: Readable<number | null>;
  readonly #socket: Socket;
  readonly #heardAt: () => number | null;
  readonly #store = new Store<SummaryRows>(new Map());
  readonly #error = new Store<PenholderError | null>(null);
  readonly #asOf = new Store<number | null>(null);
  readonly #wanted = new Map<string, number>();
  /** As the server told last. */
  #told: SummaryRows = new Map();
  /** After a loss: the rows of before with more people than are back, for as long as those have the time for it. */
  #before: SummaryRows | null = null;
  #returnTimer: ReturnType<typeof setTimeout> | undefined;
  #asked: readonly string[] = [];
  #channel: Channel | null = null;
  #planned = false;

  constructor(socket: Socket, heardAt: () => number | null) {
    this.#socket = socket;
    this.#heardAt = heardAt;
    this.rows = this.#store;
    this.error = this.#error;
    this.asOf = this.#asOf;
  }

  /** Watches `topics` until the function that it answers is called. At most 200 in all. */
  watch(topics: readonly string[]): () => void {
    for (const topic of topics) this.#wanted.set(topic, (this.#wanted.get(topic) ?? 0) + 1);
    this.#plan();
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      for (const topic of topics) {
        const rest = (this.#wanted.get(topic) ?? 1) - 1;
        if (rest > 0) this.#wanted.set(topic, rest);
        else this.#wanted.delete(topic);
      }
      this.#plan();
    };
  }

  /** Once for all changes of one turn, so that replacing a list by another is one join. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#ask([...this.#wanted.keys()].slice(0, TOPICS_MAX));
    });
  }

  #ask(topics: readonly string[]): void {
    if (topics.join() === this.#asked.join()) return;
    this.#asked = topics;
    this.#channel?.leave();
    this.#channel = null;
    this.#error.set(null);
    const isAsked = ([topic]: [string, TopicRow]) => topics.includes(topic);
    this.#told = new Map([...this.#told].filter(isAsked));
    this.#store.set(new Map([...this.#store.getSnapshot()].filter(isAsked)));
    if (this.#before !== null) this.#before = new Map([...this.#before].filter(isAsked));
    if (topics.length === 0) {
      this.#returned();
      return;
    }
    const channel = this.#socket.channel(TOPIC, { topics });
    this.#channel = channel;
    channel.on("summaries", ({ data }: Summaries) => {
      if (this.#channel === channel) this.#rows(data);
    });
    channel.onError(() => {
      if (this.#channel === channel) this.#lost();
    });
    channel
      .join()
      .receive("ok", () => this.#error.set(null))
      .receive("error", (reply: ErrorReply) => {
        if (this.#channel === channel) this.#refused(channel, PenholderError.from(reply));
      });
  }

  /** The first after a join are all rows. */
  #rows(data: readonly TopicRow[]): void {
    const before = this.#told;
    this.#told = new Map([...before, ...data.map((row) => [row.topic, row] as const)]);
    if (this.#asOf.getSnapshot() !== null && this.#before === null) {
      this.#before = before;
      this.#returnTimer = setTimeout(() => this.#returned(), RETURN_MS);
    }
    const isMissed = ([topic, { count }]: [string, TopicRow]) =>
      (this.#told.get(topic)?.count ?? 0) < count;
    const missed = [...(this.#before ?? [])].filter(isMissed);
    if (missed.length === 0) {
      this.#returned();
      return;
    }
    this.#before = new Map(missed);
    this.#store.set(new Map([...this.#told, ...missed]));
  }

  /** All are back, or will not be. */
  #returned(): void {
    this.#forgetBefore();
    this.#store.set(this.#told);
    this.#asOf.set(null);
  }

  #forgetBefore(): void {
    clearTimeout(this.#returnTimer);
    this.#before = null;
  }

  #lost(): void {
    this.#told = this.#store.getSnapshot();
    this.#forgetBefore();
    const isKnown = this.#store.getSnapshot().size > 0;
    if (isKnown) this.#asOf.set(this.#asOf.getSnapshot() ?? this.#heardAt());
  }

  #refused(channel: Channel, error: PenholderError): void {
    this.#error.set(error);
    if (!isFinal(error.code)) return;
    this.#channel = null;
    channel.leave();
  }
}
