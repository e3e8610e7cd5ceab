import { useState } from "react";
import { PenholderError } from "../../../src/index.ts";
import type { UsePen, UsePresence } from "../../../src/react.tsx";
import { penDetail, penTitle } from "./pen-text.ts";
import { SecondsLeft } from "./seconds-left.tsx";

interface PenStripProps {
  readonly state: UsePresence;
  readonly pen: UsePen;
  readonly isReadOnly: boolean;
}

/** Who has the pen, and what the viewer can do about it. */
export function PenStrip({ state, pen, isReadOnly }: PenStripProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState<{ fence: string; by: number } | null>(null);
  const { actions } = pen;
  const run = async (action: Promise<unknown>) => {
    setProblem(null);
    try {
      await action;
    } catch (error) {
      setProblem(error instanceof PenholderError ? error.message : String(error));
    }
  };
  const ask = async () => {
    const { pen: then, answer_by } = await actions.request();
    if (answer_by !== null) setAsked({ fence: then.fence, by: answer_by });
  };
  const isWaiting = asked !== null && asked.fence === pen.pen?.fence && pen.declined === null;
  const answerBy = isWaiting && pen.place !== null ? asked.by : null;
  const until = pen.pen?.state === "draining" ? pen.pen.deadline : answerBy;
  const detail = answerBy === null ? penDetail(pen, isReadOnly) : "You have asked for it.";
  return (
    <div
      className="pen"
      data-testid="pen"
      data-state={pen.pen?.state ?? "unknown"}
      data-mine={pen.isMine}
    >
      <div className="pen-text" role="status" aria-live="polite" data-testid="pen-text">
        <p className="pen-title">{penTitle(pen)}</p>
        <p className={problem === null ? "muted small" : "field-error"}>
          {problem ?? detail}
          {problem === null && until !== null && <SecondsLeft until={until} />}
        </p>
      </div>
      <PenButtons state={state} pen={pen} hasAsked={answerBy !== null} onAsk={ask} run={run} />
    </div>
  );
}

/** As a server has it by default. Whoever is refused is told so. */
const TAKE_OVER_ROLES: readonly string[] = ["admin", "agent"];

interface PenButtonsProps {
  readonly state: UsePresence;
  readonly pen: UsePen;
  readonly hasAsked: boolean;
  readonly onAsk: () => Promise<void>;
  readonly run: (action: Promise<unknown>) => void;
}

function PenButtons({ state, pen, hasAsked, onAsk, run }: PenButtonsProps) {
  const { actions, isMine, otherTab, isTaken, place } = pen;
  if (state.status !== "joined" || state.mode !== "edit" || state.presence !== true) return null;
  const mayTakeOver = TAKE_OVER_ROLES.includes(state.self?.user.role ?? "");
  const isDraining = pen.pen?.state === "draining";
  const button = (label: string, testId: string, action: () => Promise<unknown>) => (
    <button
      type="button"
      className="button small-button"
      onClick={() => run(action())}
      data-testid={testId}
    >
      {label}
    </button>
  );
  return (
    <div className="pen-buttons">
      {isMine && button("Release", "pen-release", actions.release)}
      {otherTab && button("Move it here", "pen-move", () => actions.acquire())}
      {isTaken && !isDraining && (
        <>
          {!hasAsked && button("Ask", "pen-ask", onAsk)}
          {place === null && button("Wait", "pen-wait", () => actions.acquire({ wait: true }))}
          {mayTakeOver && button("Take over", "pen-take-over", () => actions.takeOver())}
        </>
      )}
    </div>
  );
}
