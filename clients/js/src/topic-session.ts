import type { Readable } from "./store.ts";
import type { TopicChannel } from "./topic.ts";
import type { SessionUpdate, TopicOptions, TopicState, TypingOptions } from "./topic-state.ts";

/** What a hold can change in what all who hold the topic share. */
export interface Hold {
  configure(options: TopicOptions): void;
  release(): void;
}

/** One caller's hold on a topic. Its state is shared with all who hold the same topic. */
export class TopicSession implements Readable<TopicState> {
  readonly subscribe: Readable<TopicState>["subscribe"];
  readonly getSnapshot: Readable<TopicState>["getSnapshot"];
  readonly #channel: TopicChannel;
  #hold: Hold | null;

  constructor(channel: TopicChannel, hold: Hold) {
    this.#channel = channel;
    this.#hold = hold;
    this.subscribe = channel.store.subscribe;
    this.getSnapshot = channel.store.getSnapshot;
  }

  get topic(): string {
    return this.#channel.topic;
  }

  /** Tells the others what this session does. Repeats cost nothing; the rate is bounded here. */
  update(update: SessionUpdate): void {
    this.#channel.update(update);
  }

  /**
   * Says that the person is typing: call it at each key stroke. Ends by itself after a pause. With
   * `audience: "staff"` only the staff of a ticket is told, and the activity stays what it is.
   */
  typing(on: boolean, options?: TypingOptions): void {
    this.#channel.typing(on, options);
  }

  /** Sends an event to the others on the topic. Needs the capability `publish`; not stored. */
  async broadcast(event: string, payload: object, options?: { self?: boolean }): Promise<void> {
    await this.#channel.push("broadcast", { event, payload, ...options });
  }

  /** Sends any event of the protocol; rejects with a `PenholderError`. */
  push(event: string, payload: object): Promise<unknown> {
    return this.#channel.push(event, payload);
  }

  /**
   * Changes mode, visibility or meta; a mode or visibility of `undefined` takes back what this hold
   * wished. What is wished by all holds together counts, and another mode or visibility begins a
   * new session.
   */
  configure(options: TopicOptions): void {
    this.#hold?.configure(options);
  }

  /** Joins again after `refused` or `closed`. */
  rejoin(): void {
    this.#channel.rejoin();
  }

  /** Gives up this hold; the topic is left when it was the last. Again: no effect. */
  leave(): void {
    this.#hold?.release();
    this.#hold = null;
  }
}
