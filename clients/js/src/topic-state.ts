import type { PenholderError } from "./errors.ts";
import type { Member } from "./presence.ts";
import { type EditPriority, UNKNOWN_PRIORITY } from "./priority.ts";
import type {
  Activity,
  JoinReply,
  Mode,
  Pen,
  PresenceMode,
  PresenceSummary,
  TypingAudience,
} from "./protocol.ts";

/** How to be on a topic. What is left out is the server's default. */
export interface TopicOptions {
  /** `edit` where the token allows it, else `view`. */
  readonly mode?: Mode | undefined;
  /** `true`: shown to others; `"receive"`: sees others, unseen; `false`: no presence at all. */
  readonly presence?: PresenceMode | undefined;
  /** About this session: colour, device, cursor. At most 1 KiB of JSON. */
  readonly meta?: Readonly<Record<string, unknown>> | undefined;
}

/** Fields of the own session that may change while joined; absent ones stay as they are. */
export interface SessionUpdate {
  readonly activity?: Activity;
  readonly unsaved?: boolean;
  readonly visible?: boolean;
  readonly meta?: Readonly<Record<string, unknown>>;
}

/**
 * `reconnecting`: was joined, and the last known state is still shown; `refused`: see `error`;
 * `closed`: left, or closed by the server.
 */
export type TopicStatus = "joining" | "joined" | "reconnecting" | "refused" | "closed";

/** Somebody else's session that is typing now. */
export interface Typist {
  readonly key: string;
  readonly session: string;
  readonly name: string;
  /** `staff`: a note, which the staff of the ticket alone knows of. Absent: what everybody may see. */
  readonly audience?: TypingAudience | undefined;
}

/** How to say that one types. */
export interface TypingOptions {
  /** `staff`: only they are told, on the topic of a ticket, where the person is one of them. */
  readonly audience?: TypingAudience | undefined;
}

/** An event of the topic that is not about presence: a broadcast, or a durable event. */
export interface TopicEvent {
  readonly event: string;
  readonly payload: unknown;
  /** Place in the topic's durable order; null for what is not stored. */
  readonly seq: number | null;
  readonly receivedAt: number;
}

/** All that is known about a topic. Parts that did not change keep their reference. */
export interface TopicState {
  readonly topic: string;
  readonly status: TopicStatus;
  /** Why the last join was refused; gone once joined. */
  readonly error: PenholderError | null;
  /** The own session and person, from the join reply. */
  readonly session: string | null;
  readonly key: string | null;
  readonly joinedAt: number | null;
  /** What the server granted, which may be less than was asked for. */
  readonly mode: Mode | null;
  readonly presence: PresenceMode;
  /** False: events were missed for good, fetch the state anew. Null on a first join. */
  readonly recovered: boolean | null;
  /** What the server bounds; null before the first join. */
  readonly limits: JoinReply["limits"] | null;
  /** In `(joined_at, ref)` order. In a crowd not everybody: `summary.full` is false then. */
  readonly members: readonly Member[];
  /** The viewer among `members`, when shown. */
  readonly self: Member | null;
  readonly summary: PresenceSummary | null;
  readonly priority: EditPriority;
  /** Who may edit, as the server told last; null before the join and where it does not know. */
  readonly pen: Pen | null;
  readonly typing: readonly Typist[];
  /**
   * When the server was heard last, in ms since the epoch, once it tells nothing any more: members are as of then, and
   * until `joined` summary and pen too. Null while they are followed live, which after a reconnect is once all who were
   * here are here again, or some seconds later: a server that has started again knows nobody at first.
   */
  readonly asOf: number | null;
  /**
   * Keys of those among `members` who were here at `asOf` and may have left since: everybody while the connection is lost,
   * after it those who are not here again yet. Empty while `asOf` is null.
   */
  readonly missing: ReadonlySet<string>;
  /** The newest last; at most 50. */
  readonly events: readonly TopicEvent[];
}

export const EVENTS_MAX = 50;

/** The state of a topic before anything is known about it. */
export function initialTopicState(topic: string): TopicState {
  return {
    topic,
    status: "joining",
    error: null,
    session: null,
    key: null,
    joinedAt: null,
    mode: null,
    presence: true,
    recovered: null,
    limits: null,
    members: [],
    self: null,
    summary: null,
    priority: UNKNOWN_PRIORITY,
    pen: null,
    typing: [],
    asOf: null,
    missing: new Set(),
    events: [],
  };
}
