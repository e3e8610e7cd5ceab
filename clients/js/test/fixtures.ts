import type {
  JoinReply,
  Pen,
  PenEvent,
  PresenceMeta,
  PresenceSummary,
  SummaryPerson,
  UserCard,
} from "../src/protocol.ts";

export function user(id: string, fields: Partial<UserCard> = {}): UserCard {
  const name = `${id[0]?.toUpperCase()}${id.slice(1)}`;
  return { id, name, role: "agent", kind: "human", avatar: null, ...fields };
}

let refs = 0;

export function meta(id: string, fields: Partial<PresenceMeta> = {}): PresenceMeta {
  return {
    phx_ref: `ref-${++refs}`,
    joined_at: 1000,
    session: `${id}-1`,
    user: user(id),
    mode: "edit",
    status: "active",
    activity: "viewing",
    unsaved: false,
    idle_since: null,
    ...fields,
  };
}

export function person(id: string, fields: Partial<SummaryPerson> = {}): SummaryPerson {
  return {
    key: id,
    user: user(id),
    joined_at: 1000,
    active_sessions: 1,
    mode: "edit",
    status: "active",
    ...fields,
  };
}

/** A summary in which the first of `people` is prior, with the session `<id>-1`. */
export function summary(
  people: SummaryPerson[],
  fields: Partial<PresenceSummary> = {},
): PresenceSummary {
  const prior = people.find(({ mode }) => mode === "edit") ?? null;
  return {
    presences: people,
    prior_user_presence: prior,
    prior_session: prior === null ? null : `${prior.key}-1`,
    certainty: "confirmed",
    count: people.length,
    full: true,
    ...fields,
  };
}

export function joinReply(id: string, fields: Partial<JoinReply> = {}): JoinReply {
  return {
    session: `${id}-1`,
    resume: `resume-${id}-1`,
    key: id,
    joined_at: 1000,
    mode: "edit",
    seq: 0,
    recovered: null,
    summary: null,
    pen: null,
    limits: {} as JoinReply["limits"],
    ...fields,
  };
}

/** A token as far as the client reads it. */
export function token(sub: string, expiresInMs = 3_600_000): string {
  const claims = { sub, exp: Math.floor((Date.now() + expiresInMs) / 1000) };
  return `e30.${btoa(JSON.stringify(claims)).replaceAll("=", "")}.c2ln`;
}

export const FREE: Pen = {
  state: "free",
  holder: null,
  session: null,
  fence: "0",
  since: null,
  deadline: null,
  queue: [],
};

/** What a pen says of its holder, in the session `<id>-1`. */
export function heldBy(id: string): Partial<Pen> {
  const { name, kind } = user(id);
  return { state: "held", holder: { id, name, kind }, session: `${id}-1`, since: 1000 };
}

export function penEvent(
  seq: number,
  type: PenEvent["type"],
  pen: Partial<Pen>,
  fields: Partial<PenEvent> = {},
): PenEvent {
  const after = { ...FREE, ...pen };
  return { seq, type, rule: "free", by: null, fence: after.fence, at: 1000, pen: after, ...fields };
}
