import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { PenholderClient } from "../../../src/index.ts";
import { CopyButton } from "../copy-button.tsx";
import { FrameItem } from "./frame-item.tsx";
import { FrameLog, filterRows, ROWS_MAX, rowText } from "./frame-log.ts";

/** Every frame on the connection of this tab, as it comes. */
export function EventTail({ client }: { client: PenholderClient }) {
  const [log] = useState(() => new FrameLog());
  useEffect(() => log.record(client), [log, client]);
  const rows = useSyncExternalStore(log.subscribe, log.getSnapshot);
  const [filter, setFilter] = useState("");
  const [isPaused, setPaused] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const shown = useMemo(() => (isOpen ? filterRows(rows, filter) : []), [isOpen, rows, filter]);
  const list = useStickToEnd(shown);
  const togglePause = () => {
    log.pause(!isPaused);
    setPaused(!isPaused);
  };
  return (
    <details
      className="card frames"
      data-testid="event-tail"
      onToggle={(event) =>
        event.target === event.currentTarget && setOpen(event.currentTarget.open)
      }
    >
      <summary>
        Events on this connection <span className="count">{rows.length}</span>
        {isPaused && <span className="tag">Paused</span>}
      </summary>
      <div className="frames-tools">
        <input
          type="search"
          aria-label="Filter events"
          placeholder="Filter: topic, event or text"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
          data-testid="events-filter"
        />
        <button
          type="button"
          className="button quiet"
          aria-pressed={isPaused}
          onClick={togglePause}
          data-testid="events-pause"
        >
          {isPaused ? "Resume" : "Pause"}
        </button>
        <button type="button" className="button quiet" onClick={() => log.clear()}>
          Clear
        </button>
        <CopyButton text={() => shown.map(rowText).join("\n")} testId="events-copy" />
      </div>
      <section
        className="frames-list"
        ref={list}
        aria-label="Events, oldest first"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
        tabIndex={0}
      >
        <ol data-testid="events">
          {shown.map((row) => (
            <FrameItem key={row.id} row={row} />
          ))}
        </ol>
        {shown.length === 0 && (
          <p className="muted">
            {rows.length === 0 ? "Nothing yet." : "No event contains that text."}
          </p>
        )}
      </section>
      <p className="muted small">The last {ROWS_MAX} frames of this tab. Tokens are hidden.</p>
    </details>
  );
}

/** Scrolls with the newest row, unless the reader has scrolled up to read. */
function useStickToEnd(content: unknown) {
  const element = useRef<HTMLElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    const list = element.current;
    if (list === null) return;
    const note = () => {
      isAtEnd.current = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
    };
    list.addEventListener("scroll", note, { passive: true });
    return () => list.removeEventListener("scroll", note);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: new content is what scrolls
  useEffect(() => {
    const list = element.current;
    if (list !== null && isAtEnd.current) list.scrollTop = list.scrollHeight;
  }, [content]);
  return element;
}
