import type { TopicRow } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { hueClassOfName, initialsOf } from "../people.ts";

interface PresentProps {
  readonly row: TopicRow | undefined;
  /** When they were there, if that is not now. */
  readonly asOf: number | null;
}

/** The faces of the first who are on a topic of a list. */
export function Present({ row, asOf }: PresentProps) {
  if (row === undefined || row.count === 0) return null;
  const rest = row.count - row.names.length;
  const names = row.names.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  const when = asOf === null ? "" : ` ${asOfWords(asOf)}`;
  return (
    <span className="present" data-stale={asOf !== null} data-testid={`present-${row.topic}`}>
      <span className="visually-hidden">
        Here{when}: {names}
      </span>
      <span className="present-faces" aria-hidden="true" title={`${names}${when}`}>
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
