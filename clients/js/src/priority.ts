/**
 * Edit priority for one viewer.
 *
 * The server sends the same summary to everybody; the two fields that depend on the viewer are
 * computed here, as in section 6 of the design: the viewer has priority when the prior session is
 * their own (policy `earliest_session`). Priority is advice. It never authorises a write.
 */
import type { Certainty, Mode, PresenceSummary, SummaryPerson } from "./protocol.ts";

export interface EditPriority {
  /** Whether the server has answered yet; until then everything below is the cautious value. */
  readonly known: boolean;
  /** The viewer's session is the first that may edit. */
  readonly hasPriority: boolean;
  /** Who is first; null while nobody present may edit. */
  readonly prior: SummaryPerson | null;
  readonly priorSession: string | null;
  readonly certainty: Certainty;
  /** The viewer has priority, in another of their tabs. */
  readonly otherTab: boolean;
  /** What an editor should do with its fields: no priority, view-only, or not shown to others. */
  readonly isReadOnly: boolean;
}

/** What is known about the viewer. */
export interface Viewer {
  /** The summary last received, or null before the first. */
  readonly summary: PresenceSummary | null;
  /** The viewer's key and session, from the join reply. */
  readonly key: string | null;
  readonly session: string | null;
  readonly mode: Mode | null;
  /** Whether the viewer is in the presence set that others see. */
  readonly shown: boolean;
  /** While the connection is lost the answer is the last one heard, and only provisional. */
  readonly connected: boolean;
}

export const UNKNOWN_PRIORITY: EditPriority = Object.freeze({
  known: false,
  hasPriority: false,
  prior: null,
  priorSession: null,
  certainty: "provisional",
  otherTab: false,
  isReadOnly: true,
});

export function editPriority(viewer: Viewer): EditPriority {
  const { summary, session, key, mode, shown, connected } = viewer;
  if (summary === null || session === null) return UNKNOWN_PRIORITY;
  // Where nobody may edit, the join reply names the viewer as prior and later summaries name nobody:
  // the same to whoever asks who is in the way.
  const named = summary.prior_user_presence;
  const prior = named?.mode === "edit" ? named : null;
  // Nobody left who may edit: the viewer, as long as they are there themselves.
  const hasPriority = prior === null ? shown : summary.prior_session === session;
  return {
    known: true,
    hasPriority,
    prior,
    priorSession: prior === null ? null : summary.prior_session,
    certainty: connected ? summary.certainty : "provisional",
    otherTab: !hasPriority && prior !== null && prior.key === key,
    isReadOnly: !hasPriority || mode === "view" || !shown,
  };
}

/** Says why the viewer can't edit, in words for a banner; null when nobody is in the way. */
export function priorityMessage(priority: EditPriority, thing = "document"): string | null {
  if (!priority.known || priority.hasPriority || priority.prior === null) return null;
  if (priority.otherTab) {
    return `You have this ${thing} open in another tab. You can edit it there, or here once that tab is closed.`;
  }
  const name = priority.prior.user.name;
  return `${name} is currently active and you can't edit this ${thing} until they close the editor.`;
}
