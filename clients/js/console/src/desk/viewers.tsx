import type { Member, Status, TopicState } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { Avatar } from "../avatar.tsx";

/**
 * Who looks at the ticket now, and what they do; while the connection is lost, who did when it was there last, and after
 * it who is not back yet.
 */
export function Viewers({ state }: { state: TopicState }) {
  const { members, summary, pen, key, typing, asOf, missing } = state;
  const rest = Math.max(0, (summary?.count ?? 0) - members.length);
  // Nobody types for as long as a connection is gone.
  const isTyping = ({ activity, key }: Member) =>
    (activity === "typing" && !missing.has(key)) ||
    typing.some((it) => it.key === key && it.audience === undefined);
  const writesNote = ({ key }: Member) =>
    typing.some((it) => it.key === key && it.audience === "staff");
  const doing = (member: Member) => {
    if (isTyping(member)) return " typing…";
    if (writesNote(member)) return " is writing a note…";
    return member.activity === "editing" ? " editing" : "";
  };
  const gone = members.filter((member) => missing.has(member.key));
  const isAway = asOf !== null && gone.length === members.length;
  const label = isAway ? `Here ${asOfWords(asOf)}` : "Here now";
  return (
    <section className="viewers" aria-label={label} data-stale={isAway} data-testid="viewers">
      <ul>
        {members.map((member) => (
          <li
            key={member.key}
            className="viewer"
            data-testid={`viewer-${member.key}`}
            data-status={member.status}
            data-typing={isTyping(member)}
            data-note={writesNote(member)}
            data-pen={pen?.holder?.id === member.key}
            data-stale={missing.has(member.key)}
          >
            <Avatar
              id={member.key}
              name={member.user.name}
              isAi={member.user.kind === "ai"}
              size="small"
              status={member.status}
            />
            <span className="viewer-name">
              {member.key === key ? "You" : member.user.name}
              <span className="muted">{doing(member)}</span>
              <span className="visually-hidden">
                {missing.has(member.key) ? "" : STATUS_WORDS[member.status]}
              </span>
            </span>
          </li>
        ))}
      </ul>
      {rest > 0 && <span className="muted small">and {rest} more</span>}
      {asOf !== null && (
        <p className="viewers-as-of" data-testid="viewers-as-of">
          {isAway ? label : `${namesOf(gone)} ${asOfWords(asOf)}`}
        </p>
      )}
    </section>
  );
}

function namesOf([first, ...rest]: readonly Member[]): string {
  const name = first?.user.name ?? "";
  return rest.length === 0 ? name : `${name} and ${rest.length} more`;
}

/** What a colour says. */
const STATUS_WORDS: Readonly<Record<Status, string>> = {
  active: "",
  idle: " (idle)",
  hidden: " (in another window)",
  reconnecting: " (reconnecting)",
};
