import type { MouseEvent } from "react";
import type { TopicRow } from "../../../src/index.ts";
import { labelOf, titleOf } from "../demo-topics.ts";
import { hueClassOfName, initialsOf } from "../people.ts";
import { topicHref } from "../route.ts";

interface TopicItemProps {
  readonly topic: string;
  readonly row: TopicRow | undefined;
  readonly isOpen: boolean;
  readonly onOpen: (topic: string) => void;
}

/** A link, so that it opens in another tab too: there, as another person. */
export function TopicItem({ topic, row, isOpen, onOpen }: TopicItemProps) {
  const label = labelOf(topic);
  const title = titleOf(topic);
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(topic);
  };
  return (
    <li>
      <a
        className="topic-item"
        href={topicHref(topic)}
        aria-current={isOpen ? "page" : undefined}
        onClick={follow}
        data-testid={`topic-${topic}`}
      >
        <span className="topic-text">
          {label !== title && <span className="topic-label">{label}</span>}
          <span className="topic-title" title={title}>
            {title}
          </span>
        </span>
        <Present row={row} />
      </a>
    </li>
  );
}

function Present({ row }: { row: TopicRow | undefined }) {
  if (row === undefined || row.count === 0) return null;
  const rest = row.count - row.names.length;
  const names = row.names.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  return (
    <span className="present" data-testid={`present-${row.topic}`}>
      <span className="visually-hidden">Here: {names}</span>
      <span className="present-faces" aria-hidden="true" title={names}>
        {row.names.map((name) => (
          <span key={name} className={`face ${hueClassOfName(name)}`}>
            {initialsOf(name)}
          </span>
        ))}
        {rest > 0 && <span className="face more">+{rest}</span>}
      </span>
    </span>
  );
}
