import type { SessionMeta, TopicState } from "../../../src/index.ts";
import { tabNames } from "../people.ts";
import { clockTime } from "./banner-text.ts";

/** The person's own tabs on this topic, once there are two. */
export function OwnTabs({
  sessions,
  state,
}: {
  sessions: readonly SessionMeta[];
  state: TopicState;
}) {
  if (sessions.length < 2) return null;
  const names = tabNames(sessions.map(({ session }) => session));
  const isStale = state.missing.has(state.key ?? "");
  return (
    <section
      className="card"
      aria-labelledby="tabs-title"
      data-stale={isStale}
      data-testid="own-tabs"
    >
      <h2 id="tabs-title" className="card-title">
        Your tabs <span className="count">{sessions.length}</span>
      </h2>
      <ul className="own-tabs">
        {sessions.map(({ session, joined_at, status, mode }) => (
          <li key={session}>
            <strong>{names.get(session)}</strong>
            <span className="muted small">
              {" "}
              {isStale ? "open" : status}, since {clockTime(joined_at)}
            </span>
            <span className="tags">
              {session === state.session && <span className="tag">This tab</span>}
              {session === state.pen?.session && <span className="tag pen-tag">Has the pen</span>}
              {session === state.priority.priorSession && (
                <span className="tag accent">Edit priority</span>
              )}
              {mode === "view" && <span className="tag">View only</span>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
