/**
 * The presence set of one topic, folded from `presence_state` and `presence_diff`.
 *
 * Pure functions over immutable maps. What did not change keeps its reference, so that a React
 * list re-renders only the people who changed.
 */
import type {
  Activity,
  PresenceDiff,
  PresenceEntry,
  PresenceState,
  Status,
  UserCard,
} from "./protocol.ts";

/** One session as others see it: the client's own fields, and what the server stamps over them. */
export type SessionMeta = PresenceEntry["metas"][number];

/** The folded set: sessions by key, each list in `(joined_at, phx_ref)` order. */
export type PresenceSet = ReadonlyMap<string, readonly SessionMeta[]>;

/** One person on a topic, with all their sessions. */
export interface Member {
  readonly key: string;
  readonly user: UserCard;
  /** When their earliest session joined, in ms since the epoch. */
  readonly joinedAt: number;
  /** The liveliest of their sessions: active, then idle, hidden, reconnecting. */
  readonly status: Status;
  /** The most engaged of their sessions: typing, then editing, viewing. */
  readonly activity: Activity;
  readonly unsaved: boolean;
  /** All of their sessions are view-only. */
  readonly viewOnly: boolean;
  /** In `(joined_at, phx_ref)` order, never empty. */
  readonly sessions: readonly SessionMeta[];
}

const STATUS_ORDER: readonly Status[] = ["active", "idle", "hidden", "reconnecting"];
const ACTIVITY_ORDER: readonly Activity[] = ["typing", "editing", "viewing"];

export const EMPTY_SET: PresenceSet = new Map();

/** How long others may take to come back to a server that has lost all of them: the longest pause between attempts. */
export const RETURN_MS = 5000;

/** Replaces the set by a snapshot; a session already known under the same ref keeps its reference. */
export function foldState(current: PresenceSet, state: PresenceState): PresenceSet {
  const next = new Map<string, readonly SessionMeta[]>();
  // Object.entries, not indexing: a key such as "constructor" must be just a key.
  for (const [key, { metas }] of Object.entries(state)) {
    const old = current.get(key) ?? [];
    const merged = metas.map((meta) => old.find((m) => m.phx_ref === meta.phx_ref) ?? meta);
    if (merged.length > 0) next.set(key, keepIfEqual(old, sortMetas(merged)));
  }
  return next;
}

/** Applies joins, then leaves; an update is both in one diff and never removes the person. */
export function foldDiff(current: PresenceSet, diff: PresenceDiff): PresenceSet {
  const next = new Map(current);
  for (const [key, { metas }] of Object.entries(diff.joins)) {
    const old = next.get(key) ?? [];
    const joined = metas.filter((meta) => !old.some((m) => m.phx_ref === meta.phx_ref));
    if (joined.length > 0) next.set(key, sortMetas([...old, ...joined]));
  }
  for (const [key, { metas }] of Object.entries(diff.leaves)) {
    const left = new Set(metas.map((meta) => meta.phx_ref));
    const rest = (next.get(key) ?? []).filter((meta) => !left.has(meta.phx_ref));
    if (rest.length > 0) next.set(key, keepIfEqual(next.get(key) ?? [], rest));
    else next.delete(key);
  }
  return next;
}

/** The people of a set in `(joined_at, phx_ref)` order of their earliest session. */
export function membersOf(set: PresenceSet): readonly Member[] {
  return [...set]
    .map(([key, sessions]) => memberOf(key, sessions))
    .sort((a, b) => compareMetas(earliest(a), earliest(b)));
}

const members = new WeakMap<readonly SessionMeta[], Member>();

function memberOf(key: string, sessions: readonly SessionMeta[]): Member {
  const known = members.get(sessions);
  if (known !== undefined) return known;
  const first = sessions[0] as SessionMeta;
  const member: Member = {
    key,
    user: first.user,
    joinedAt: first.joined_at,
    status: firstIn(STATUS_ORDER, sessions, "status"),
    activity: firstIn(ACTIVITY_ORDER, sessions, "activity"),
    unsaved: sessions.some((meta) => meta.unsaved),
    viewOnly: sessions.every((meta) => meta.mode === "view"),
    sessions,
  };
  members.set(sessions, member);
  return member;
}

function firstIn<F extends "status" | "activity">(
  order: readonly SessionMeta[F][],
  sessions: readonly SessionMeta[],
  field: F,
): SessionMeta[F] {
  const found = order.find((value) => sessions.some((meta) => meta[field] === value));
  return found ?? (order.at(-1) as SessionMeta[F]);
}

function earliest(member: Member): SessionMeta {
  return member.sessions[0] as SessionMeta;
}

function sortMetas(metas: SessionMeta[]): SessionMeta[] {
  return metas.sort(compareMetas);
}

function compareMetas(a: SessionMeta, b: SessionMeta): number {
  if (a.joined_at !== b.joined_at) return a.joined_at - b.joined_at;
  return a.phx_ref < b.phx_ref ? -1 : Number(a.phx_ref > b.phx_ref);
}

function keepIfEqual<T>(old: readonly T[], next: readonly T[]): readonly T[] {
  return old.length === next.length && next.every((item, i) => item === old[i]) ? old : next;
}
