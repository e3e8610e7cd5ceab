import type { HistoryEntry } from "../../../src/index.ts";
import { useNow } from "./use-now.ts";
import { useViewer } from "./viewer.ts";
import { ago, fullTime, historyWords } from "./words.ts";

/** All that happened to a ticket, the newest first. */
export function TicketHistory({ history }: { history: readonly HistoryEntry[] }) {
  const { isStaff } = useViewer();
  const now = useNow();
  return (
    <section className="card history" aria-labelledby="history-title">
      <h2 id="history-title" className="card-title">
        History <span className="count">{history.length}</span>
      </h2>
      <ol data-testid="history">
        {[...history].reverse().map((entry) => (
          <li key={entry.key} data-type={entry.what.type}>
            <p>
              <strong>{entry.actor?.name ?? "Somebody"}</strong> {historyWords(entry, isStaff)}
            </p>
            {entry.reason !== null && entry.reason !== "" && (
              <p className="history-reason">“{entry.reason}”</p>
            )}
            <time className="muted small" dateTime={entry.at} title={fullTime(entry.at)}>
              {ago(entry.at, now)}
            </time>
          </li>
        ))}
      </ol>
    </section>
  );
}
