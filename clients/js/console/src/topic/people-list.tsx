import { memo } from "react";
import type { Activity, Member, Status, TopicState } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { Avatar } from "../avatar.tsx";
import { clockTime } from "./banner-text.ts";

export function PeopleList({ state }: { state: TopicState }) {
  const { members, summary, priority, pen, key, asOf, missing } = state;
  const isAway = asOf !== null && members.every((member) => missing.has(member.key));
  const count = Math.max(summary?.count ?? 0, members.length - (isAway ? 0 : missing.size));
  const was = asOf === null || isAway ? "Was here" : `Was here ${asOfWords(asOf)}`;
  return (
    <section
      className="card"
      aria-labelledby="people-title"
      data-stale={isAway}
      data-testid="people-here"
    >
      <h2 id="people-title" className="card-title">
        Here {isAway ? asOfWords(asOf) : "now"} <span className="count">{count}</span>
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
              was={missing.has(member.key) ? was : null}
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
  /** What is said of somebody who was here, and may not be any more; null of who is. */
  readonly was: string | null;
}

const MemberItem = memo(function MemberItem(props: MemberItemProps) {
  const { member, isSelf, isPrior, hasPen, was } = props;
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
      data-stale={was !== null}
    >
      <Avatar id={key} name={user.name} isAi={isAi} status={status} />
      <div className="member-text">
        <p className="member-name">
          {user.name}
          {isSelf && <span className="muted"> (you)</span>}
        </p>
        <p className="member-state">
          <span>{was ?? STATUS_TEXT[status]}</span>
          <ActivityText activity={was !== null && activity === "typing" ? "editing" : activity} />
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
