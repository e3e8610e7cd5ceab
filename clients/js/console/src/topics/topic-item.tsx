import type { TopicRow } from "../../../src/index.ts";
import { labelOf, titleOf } from "../demo-topics.ts";
import { follow, topicHref } from "../route.ts";
import { Present } from "./present.tsx";

interface TopicItemProps {
  readonly topic: string;
  readonly row: TopicRow | undefined;
  readonly asOf: number | null;
  readonly isOpen: boolean;
}

/** A link, so that it opens in another tab too: there, as another person. */
export function TopicItem({ topic, row, asOf, isOpen }: TopicItemProps) {
  const label = labelOf(topic);
  const title = titleOf(topic);
  return (
    <li>
      <a
        className="topic-item"
        href={topicHref(topic)}
        aria-current={isOpen ? "page" : undefined}
        onClick={(event) => follow(event, topicHref(topic))}
        data-testid={`topic-${topic}`}
      >
        <span className="topic-text">
          {label !== title && <span className="topic-label">{label}</span>}
          <span className="topic-title" title={title}>
            {title}
          </span>
        </span>
        <Present row={row} asOf={asOf} />
      </a>
    </li>
  );
}
