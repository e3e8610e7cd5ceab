import { memo } from "react";
import type { Activity, Member, Status, TopicState } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { Avatar } from "../avatar.tsx";
import { clockTime } from "./banner-text.ts";

export function PeopleList({ state }: { state: TopicState }) {
  const { members, summary, priority, pen, key, asOf } = state;
  const count = Math.max(summary?.count ?? 0, members.length);
  return (
    <section
      className="card"
      aria-labelledby="people-title"
      data-stale={asOf !== null}
      data-testid="people-here"
    >
      <h2 id="people-title" className="card-title">
        Here {asOf === null ? "now" : asOfWords(asOf)} <span className="count">{count}</span>
      </h2>
      {members.length === 0 ? (
        <p className="muted">Nobody is here.</p>
      ) : (
        <ul className="people" data-testid="people">
          {members.map((member) => (
            <MemberItem
              key={member.key}
              member={member}
              isSelf={member.key === key}
              isPrior={member.key === priority.prior?.key}
              hasPen={member.key === pen?.holder?.id}
              isStale={asOf !== null}
            />
          ))}
        </ul>
      )}
      {summary?.full === false && (
        <p className="muted small">
          A crowd: {members.length} of {count} people are shown.
        </p>
      )}
    </section>
  );
}

interface MemberItemProps {
  readonly member: Member;
  readonly isSelf: boolean;
  readonly isPrior: boolean;
  readonly hasPen: boolean;
  /** This was so, and may not be any more. */
  readonly isStale: boolean;
}

const MemberItem = memo(function MemberItem(props: MemberItemProps) {
  const { member, isSelf, isPrior, hasPen, isStale } = props;
  const { key, user, status, activity, sessions } = member;
  const isAi = user.kind === "ai";
  return (
    <li
      className="member"
      data-testid={`member-${key}`}
      data-status={status}
      data-activity={activity}
      data-prior={isPrior}
      data-pen={hasPen}
    >
      <Avatar id={key} name={user.name} isAi={isAi} status={status} />
      <div className="member-text">
        <p className="member-name">
          {user.name}
          {isSelf && <span className="muted"> (you)</span>}
        </p>
        <p className="member-state">
          <span>{isStale ? "Was here" : STATUS_TEXT[status]}</span>
          <ActivityText activity={isStale && activity === "typing" ? "editing" : activity} />
          {member.unsaved && <span>unsaved</span>}
        </p>
        <p className="muted small">
          {user.role}, since {clockTime(member.joinedAt)}
        </p>
        <ul className="tags" aria-label={`About ${user.name}`}>
          {hasPen && <li className="tag pen-tag">Has the pen</li>}
          {isPrior && <li className="tag accent">Edit priority</li>}
          {isAi && <li className="tag">AI</li>}
          {member.viewOnly && <li className="tag">View only</li>}
          {sessions.length > 1 && <li className="tag">{sessions.length} tabs</li>}
        </ul>
      </div>
    </li>
  );
});

const STATUS_TEXT: Record<Status, string> = {
  active: "Active",
  idle: "Idle",
  hidden: "In another window",
  reconnecting: "Reconnecting",
};

function ActivityText({ activity }: { activity: Activity }) {
  if (activity === "typing") {
    return (
      <span className="typing">
        typing
        <span className="typing-dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      </span>
    );
  }
  return <span>{activity}</span>;
}
