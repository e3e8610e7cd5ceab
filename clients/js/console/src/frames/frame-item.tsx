import { memo, useState } from "react";
import { type FrameRow, frameTime } from "./frame-log.ts";

/** One row; opened, it shows the payload over several lines. */
export const FrameItem = memo(function FrameItem({ row }: { row: FrameRow }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li className="frame" data-direction={row.direction}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <time dateTime={new Date(row.at).toISOString()}>{frameTime(row.at)}</time>
          <span className="frame-direction">{row.direction}</span>
          <span className="frame-event">{row.event}</span>
          <span className="frame-topic">{row.topic}</span>
          <span className="frame-payload">{row.payload}</span>
        </summary>
        {isOpen && <pre>{indented(row.payload)}</pre>}
      </details>
    </li>
  );
});

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
