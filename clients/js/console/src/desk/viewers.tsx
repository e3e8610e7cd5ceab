import type { Member, TopicState } from "../../../src/index.ts";
import { Avatar } from "../avatar.tsx";

/** Who looks at the ticket now, and what they do. */
export function Viewers({ state }: { state: TopicState }) {
  const { members, summary, pen, key, typing } = state;
  const rest = Math.max(0, (summary?.count ?? 0) - members.length);
  const isTyping = ({ activity, key }: Member) =>
    activity === "typing" || typing.some((it) => it.key === key && it.audience === undefined);
  const writesNote = ({ key }: Member) =>
    typing.some((it) => it.key === key && it.audience === "staff");
  const doing = (member: Member) => {
    if (isTyping(member)) return " typing…";
    if (writesNote(member)) return " is writing a note…";
    return member.activity === "editing" ? " editing" : "";
  };
  return (
    <section className="viewers" aria-label="Here now" data-testid="viewers">
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
            </span>
          </li>
        ))}
      </ul>
      {rest > 0 && <span className="muted small">and {rest} more</span>}
    </section>
  );
}
