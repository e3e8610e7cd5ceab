import type { TopicRow } from "../../../src/index.ts";
import { hueClassOfName, initialsOf } from "../people.ts";

/** The faces of the first who are on a topic of a list. */
export function Present({ row }: { row: TopicRow | undefined }) {
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
