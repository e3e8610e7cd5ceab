/**
 * One topic on one socket: joins, rejoins with the newest resume token, folds what arrives into a
 * `TopicState`, and sends updates. Shared by all who use the topic; `TopicSession` is what each of
 * them holds.
 */
import type { Channel, Socket } from "phoenix";
import { isFinal, PenholderError } from "./errors.ts";
import { sameFields, sameItems, sameJson, withoutUndefined } from "./fields.ts";
import { Outbox } from "./outbox.ts";
import {
  EMPTY_SET,
  foldDiff,
  foldState,
  type Member,
  membersOf,
  type PresenceSet,
  RETURN_MS,
} from "./presence.ts";
import { editPriority } from "./priority.ts";
import type {
  ErrorReply,
  JoinReply,
  PenEvent,
  PresenceDiff,
  PresenceState,
  PresenceSummary,
  PresenceUpdate,
  TypingAudience,
  TypingEvent,
} from "./protocol.ts";
import { pushed } from "./push.ts";
import type { ResumeTokens } from "./resume.ts";
import { Store } from "./store.ts";
import {
  EVENTS_MAX,
  initialTopicState,
  type SessionUpdate,
  type TopicOptions,
  type TopicState,
  type TypingOptions,
} from "./topic-state.ts";
import { OwnTyping, TypingList } from "./typing.ts";
import { isSameWish, jointWish, type Wish } from "./wishes.ts";

/** What a topic needs from its client. */
export interface TopicHost {
  readonly socket: Socket;
  readonly resume: ResumeTokens;
  /** The person of the current token, where the client can read it. */
  readonly person: () => string | null;
  readonly isVisible: () => boolean;
  /** When the server was heard last; null before the first connection. */
  readonly heardAt: () => number | null;
}

/** Input is told to the server at most this often. */
const INPUT_INTERVAL_MS = 10_000;
/** Events that have a handler of their own, or are Phoenix's. */
const HANDLED = /^(phx_|chan_reply_|presence_|typing$|token_expiring$)/;

export class TopicChannel {
  readonly store: Store<TopicState>;
  readonly #host: TopicHost;
  readonly #outbox = new Outbox((update) => this.#sendUpdate(update));
  readonly #typists = new TypingList((typing) => this.store.patch({ typing }));
  readonly #ownTyping = new OwnTyping((on, audience) => this.#sendTyping(on, audience));
  #wish: Wish = {};
  #meta: TopicOptions["meta"];
  #hasBegun = false;
  #channel: Channel | null = null;
  #set = EMPTY_SET;
  /** After a loss: who was here before it and has not been here again, for as long as they have the time for it. */
  #before: PresenceSet | null = null;
  #returnTimer: ReturnType<typeof setTimeout> | undefined;
  /** Diffs that came before the snapshot of this join; null once it is here. */
  #early: PresenceDiff[] | null = [];
  #seq: number | null = null;
  /** The number of the event that the pen is as of. */
  #penSeq = 0;
  #resuming = false;
  #inputAt = Number.NEGATIVE_INFINITY;
  #own: Required<Pick<SessionUpdate, "activity" | "unsaved">> = {
    activity: "viewing",
    unsaved: false,
  };

  /** Joins nothing yet: that is for `configure`. */
  constructor(topic: string, host: TopicHost) {
    this.#host = host;
    this.store = new Store(initialTopicState(topic));
  }

  get topic(): string {
    return this.store.getSnapshot().topic;
  }

  /** Joins as all who hold the topic wish; anew where that is another membership than before. */
  configure(wishes: readonly Wish[]): void {
    const before = this.#wish;
    this.#wish = jointWish(wishes, before);
    if (!this.#hasBegun) this.#begin();
    else if (!isSameWish(this.#wish, before)) this.rejoin();
  }

  /** Takes a new meta: with the join, or as an update. */
  describe(meta: TopicOptions["meta"]): void {
    if (meta === undefined || sameJson(meta, this.#meta)) return;
    this.#meta = meta;
    if (this.#hasBegun) this.#outbox.add({ meta: { ...meta } });
  }

  /**
   * Leaves and joins anew. The session is a new one on purpose: who turns from viewing to editing
   * comes after those who were editing already.
   */
  rejoin(): void {
    if (!this.#hasBegun) return;
    this.#drop();
    this.#begin();
  }

  close(): void {
    this.#drop();
    this.store.patch({ status: "closed" });
  }

  update({ meta, ...rest }: SessionUpdate): void {
    this.describe(meta);
    const change: PresenceUpdate = withoutUndefined(rest);
    if (change.activity === this.#own.activity) delete change.activity;
    if (change.unsaved === this.#own.unsaved) delete change.unsaved;
    this.#own = {
      activity: change.activity ?? this.#own.activity,
      unsaved: change.unsaved ?? this.#own.unsaved,
    };
    if (Object.keys(change).length > 0) this.#outbox.add(change);
  }

  /** A person pressed a key or moved the pointer. */
  input(): void {
    const now = Date.now();
    if (now - this.#inputAt < INPUT_INTERVAL_MS) return;
    this.#inputAt = now;
    this.#outbox.add({ input: true });
  }

  typing(on: boolean, { audience }: TypingOptions = {}): void {
    this.#ownTyping.set(on, audience);
  }

  push(event: string, payload: object): Promise<unknown> {
    if (this.#channel === null || this.store.getSnapshot().status !== "joined") {
      return Promise.reject(new PenholderError("not_joined", `${this.topic} is not joined`));
    }
    return pushed(this.#channel.push(event, payload));
  }

  #begin(): void {
    this.#hasBegun = true;
    this.store.patch({
      status: "joining",
      error: null,
      presence: this.#wish.presence ?? true,
    });
    this.#open();
  }

  #open(): void {
    const channel = this.#host.socket.channel(this.topic, () => this.#joinParams());
    this.#channel = channel;
    // An older channel of this topic can still be told things while it leaves.
    const current =
      <A extends unknown[]>(handler: (...args: A) => void) =>
      (...args: A) => {
        if (this.#channel === channel) handler(...args);
      };
    channel.on(
      "presence_state",
      current((state: PresenceState) => this.#presenceState(state)),
    );
    channel.on(
      "presence_diff",
      current((diff: PresenceDiff) => this.#presenceDiff(diff)),
    );
    channel.on(
      "presence_summary",
      current((summary: PresenceSummary) => this.#summary(summary)),
    );
    channel.on(
      "typing",
      current((event: TypingEvent) => this.#typing(event)),
    );
    channel.onMessage = (event, payload) => {
      if (this.#channel === channel && !HANDLED.test(event)) this.#event(event, payload);
      return payload;
    };
    channel.onError(current(() => this.#lost()));
    channel.onClose(current(() => this.#closedByServer()));
    channel
      .join()
      .receive(
        "ok",
        current((reply: JoinReply) => this.#joined(reply)),
      )
      .receive(
        "error",
        current((reply: ErrorReply) => this.#refused(reply)),
      );
  }

  #drop(): void {
    const channel = this.#channel;
    this.#channel = null;
    this.#forgetBefore();
    this.#outbox.close();
    this.#ownTyping.reset();
    this.#typists.remove(() => true);
    this.#host.resume.delete(this.topic);
    channel?.leave();
  }

  /** Called by `phoenix` at each join and rejoin. */
  #joinParams(): object {
    this.#early = [];
    const { mode, presence } = this.#wish;
    const meta = this.#meta;
    const resume = this.#host.resume.get(this.topic, this.#host.person()) ?? undefined;
    this.#resuming = resume !== undefined;
    return withoutUndefined({ mode, presence, meta, resume, since: this.#seq ?? undefined });
  }

  #joined(reply: JoinReply): void {
    const resumed = this.store.getSnapshot().session === reply.session;
    this.#host.resume.set(this.topic, { resume: reply.resume, key: reply.key });
    // What cannot be told any more is given up: the next join asks for what comes from here on.
    if (this.#seq === null || reply.recovered === false) this.#seq = reply.seq ?? null;
    this.#penSeq = reply.seq ?? 0;
    this.#change({
      status: "joined",
      error: null,
      session: reply.session,
      key: reply.key,
      joinedAt: reply.joined_at,
      mode: reply.mode,
      recovered: reply.recovered,
      limits: reply.limits,
      pen: reply.pen ?? null,
      summary: reply.summary ?? this.store.getSnapshot().summary,
      // Who is here comes after this, unless it was not asked for.
      ...(this.#wish.presence === false ? { asOf: null } : {}),
    });
    if (!resumed) this.#ownTyping.reset();
    this.#stateOwn();
    this.#outbox.open();
  }

  /** Says how the own session stands: a new one has the defaults, a resumed one may not. */
  #stateOwn(): void {
    const own = { ...this.#own, visible: this.#host.isVisible() };
    const isDefault = own.activity === "viewing" && !own.unsaved && own.visible;
    if (this.#resuming || !isDefault) this.#outbox.add(own);
  }

  #refused(reply: ErrorReply): void {
    const error = PenholderError.from(reply);
    if (!isFinal(error.code)) {
      this.store.patch({ error });
      return;
    }
    this.#drop();
    this.store.patch({ status: "refused", error });
  }

  #lost(): void {
    this.#set = this.#shown();
    this.#forgetBefore();
    this.#outbox.close();
    this.#typists.remove(() => true);
    const { status } = this.store.getSnapshot();
    this.#change({
      ...(status === "joined" ? { status: "reconnecting" } : {}),
      asOf: this.#knownAsOf(),
    });
  }

  /** As of when that is which nothing follows any more; null where nothing was known. */
  #knownAsOf(): number | null {
    const { asOf, session } = this.store.getSnapshot();
    return asOf ?? (session === null ? null : this.#host.heardAt());
  }

  #closedByServer(): void {
    this.#channel = null;
    this.#forgetBefore();
    this.#outbox.close();
    this.#host.resume.delete(this.topic);
    this.#typists.remove(() => true);
    this.#change({ status: "closed", asOf: this.#knownAsOf() });
  }

  #presenceState(state: PresenceState): void {
    const before = this.#set;
    this.#set = (this.#early ?? []).reduce(foldDiff, foldState(before, state));
    this.#early = null;
    // The first after a loss: another of the same join tells who is here now, and has no time of its own.
    if (this.store.getSnapshot().asOf !== null && this.#before === null) {
      this.#before = before;
      this.#returnTimer = setTimeout(() => this.#returned(), RETURN_MS);
    }
    this.#present();
  }

  #presenceDiff(diff: PresenceDiff): void {
    if (this.#early !== null) {
      this.#early.push(diff);
      return;
    }
    this.#set = foldDiff(this.#set, diff);
    this.#present();
  }

  /** Shows who is here; while somebody is missing who was here before a loss, that is not all yet. */
  #present(): void {
    // Who has been here again is not missing: if they leave, they have left.
    const missing = [...(this.#before ?? [])].filter(([key]) => !this.#set.has(key));
    if (missing.length === 0) {
      this.#returned();
      return;
    }
    this.#before = new Map(missing);
    this.#change({});
  }

  #returned(): void {
    this.#forgetBefore();
    this.#change({ asOf: null });
  }

  #forgetBefore(): void {
    clearTimeout(this.#returnTimer);
    this.#before = null;
  }

  /** Who is here, and who is missing still: a server that has started again knows nobody at first. */
  #shown(): PresenceSet {
    return this.#before === null ? this.#set : new Map([...this.#before, ...this.#set]);
  }

  #summary(summary: PresenceSummary): void {
    this.#change({ summary });
  }

  #typing(event: TypingEvent): void {
    const person = this.#set.get(event.key)?.[0]?.user.name ?? event.key;
    if (event.session !== this.store.getSnapshot().session) this.#typists.apply(event, person);
  }

  #event(event: string, payload: unknown): void {
    const seq = (payload as { seq?: unknown } | null)?.seq;
    if (typeof seq === "number") this.#seq = Math.max(this.#seq ?? 0, seq);
    if (event === "pen" && this.#pen(payload as PenEvent).type === "renewed") return;
    const entry = {
      event,
      payload,
      seq: typeof seq === "number" ? seq : null,
      receivedAt: Date.now(),
    };
    const events = [...this.store.getSnapshot().events, entry].slice(-EVENTS_MAX);
    this.store.patch({ events });
  }

  /** Takes the pen of an event, unless the join reply was newer. */
  #pen(event: PenEvent): PenEvent {
    if (event.seq > this.#penSeq) {
      this.#penSeq = event.seq;
      this.store.patch({ pen: event.pen });
    }
    return event;
  }

  /** Sets fields and recomputes what follows from them and from the presence set. */
  #change(fields: Partial<TopicState>): void {
    const old = this.store.getSnapshot();
    const next = { ...old, ...fields };
    const members = membersOf(this.#shown());
    const present = new Set(members.flatMap((m) => m.sessions.map((meta) => meta.session)));
    this.#typists.remove((typist) => !present.has(typist.session));
    const priority = editPriority({
      summary: next.summary,
      key: next.key,
      session: next.session,
      mode: next.mode,
      shown: next.presence === true,
      connected: next.status === "joined",
    });
    this.store.patch({
      ...fields,
      members: sameItems(old.members, members) ? old.members : members,
      missing: this.#missing(next, members),
      self: members.find((member) => member.key === next.key) ?? null,
      priority: sameFields(old.priority, priority) ? old.priority : priority,
    });
  }

  /** Of whom it is not known whether they are here still. */
  #missing({ asOf, missing: old }: TopicState, members: readonly Member[]): ReadonlySet<string> {
    const everybody = members.map(({ key }) => key);
    const keys = asOf === null ? [] : [...(this.#before?.keys() ?? everybody)];
    return sameItems([...old], keys) ? old : new Set(keys);
  }

  #sendUpdate(update: PresenceUpdate): void {
    // Who is not shown has no entry that could be updated.
    if (this.store.getSnapshot().presence !== true) return;
    if (update.activity !== undefined) this.#ownTyping.repeat();
    this.push("presence_update", update).catch((error: unknown) => {
      if (error instanceof PenholderError && error.code === "rate_limited") {
        this.#outbox.retry(update, error.retryAfterMs ?? 1000);
      }
    });
  }

  #sendTyping(on: boolean, audience?: TypingAudience): void {
    const { mode, presence } = this.store.getSnapshot();
    if (mode === "view" || presence !== true) return;
    // Typing sets the activity too, unless it is for the staff alone: an update made before it must not arrive
    // after it.
    if (audience === undefined) this.#outbox.hurry();
    // Typing is of the moment: what could not be sent now is worth nothing later.
    this.push("typing", withoutUndefined({ on, audience })).catch(() => undefined);
  }
}
