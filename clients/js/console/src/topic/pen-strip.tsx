import { useRef, useState } from "react";
import { PenholderError, type PenView, type TopicState } from "../../../src/index.ts";
import type { UsePen, UsePresence } from "../../../src/react.tsx";
import { Avatar } from "../avatar.tsx";
import { penAsOf, penWords } from "./pen-text.ts";
import { SecondsLeft } from "./seconds-left.tsx";

interface PenStripProps {
  readonly state: UsePresence;
  readonly pen: UsePen;
}

/**
 * Who has the pen, who wants it, and what the viewer can do about it. Above the text and always as
 * high, so that a request is seen by whoever writes, and moves nothing.
 */
export function PenStrip({ state, pen }: PenStripProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const strip = useRef<HTMLElement>(null);
  const [told, setTold] = useState(pen.pen);
  if (told !== pen.pen) {
    // What was refused is of a moment that is over.
    setTold(pen.pen);
    setProblem(null);
  }
  const { title, since, detail, until } = penWords(pen, state);
  const run = async (action: Promise<unknown>) => {
    setProblem(null);
    try {
      await action;
    } catch (error) {
      setProblem(error instanceof PenholderError ? error.message : String(error));
    }
    // The button that was pressed may be gone, and the keyboard's place in the page with it.
    if (document.activeElement === document.body) strip.current?.focus();
  };
  return (
    <section
      className="pen"
      aria-label="Pen"
      tabIndex={-1}
      ref={strip}
      data-testid="pen"
      data-state={pen.pen?.state ?? "unknown"}
      data-mine={pen.isMine}
      data-asked={isAsked(pen, state)}
      data-stale={penAsOf(state) !== null}
    >
      <PenFace pen={pen} state={state} />
      <div
        id="pen-text"
        className="pen-text"
        role="status"
        aria-live="polite"
        data-testid="pen-text"
      >
        <p className="pen-title">
          {title}
          {since !== null && <span className="pen-since"> since {since}</span>}
        </p>
        <p className={problem === null ? "muted small" : "field-error"}>
          {problem ?? detail}
          {problem === null && until !== null && <SecondsLeft key={until} until={until} />}
        </p>
      </div>
      <PenButtons state={state} pen={pen} run={run} />
    </section>
  );
}

/** Of whom the strip speaks: who wants it of the viewer, else who has it. */
function PenFace({ pen, state }: { pen: PenView; state: TopicState }) {
  const taker = pen.isMine && penAsOf(state) === null ? pen.taker : null;
  const wanting = isAsked(pen, state) ? pen.request : taker;
  const person = wanting ?? pen.pen?.holder ?? null;
  if (person === null) {
    return (
      <svg className="pen-icon" viewBox="0 0 20 20" aria-hidden="true">
        <path d="M14.6 4.2a2 2 0 0 1 2.8 2.8L7.6 16.8 3.5 18l1.2-4.1z" />
      </svg>
    );
  }
  const isAi = "kind" in person && person.kind === "ai";
  return <Avatar id={person.id} name={person.name} isAi={isAi} size="small" />;
}

/** Whether the viewer has to answer somebody, and can: not while the connection is lost. */
export function isAsked(
  { isMine, pen, request }: PenView,
  state: Pick<TopicState, "status" | "asOf">,
): boolean {
  return penAsOf(state) === null && isMine && pen?.state === "held" && request !== null;
}

/** As a server has it by default. Whoever is refused is told so. */
const TAKE_OVER_ROLES: readonly string[] = ["admin", "agent"];

interface PenButtonsProps {
  readonly state: TopicState;
  readonly pen: UsePen;
  readonly run: (action: Promise<unknown>) => void;
}

function PenButtons({ state, pen, run }: PenButtonsProps) {
  const { actions, isMine, otherTab, isTaken, place, answerBy, request } = pen;
  if (state.status !== "joined" || state.mode !== "edit" || state.presence !== true) return null;
  const mayTakeOver = TAKE_OVER_ROLES.includes(state.self?.user.role ?? "");
  const button = (label: string, testId: string, action: () => Promise<unknown>, look = "") => (
    <button
      type="button"
      className={`button small-button ${look}`}
      onClick={() => run(action())}
      data-testid={testId}
    >
      {label}
    </button>
  );
  if (request !== null && isAsked(pen, state)) {
    const handOver = () => actions.answer("hand_over", { to: request.id });
    return (
      <div className="pen-buttons">
        {button("Hand over", "pen-hand-over", handOver, "primary")}
        {button("Decline", "pen-decline", () => actions.answer("decline"))}
      </div>
    );
  }
  return (
    <div className="pen-buttons">
      {isMine && button("Release", "pen-release", actions.release)}
      {otherTab && button("Move it here", "pen-move", () => actions.acquire())}
      {isTaken && pen.pen?.state !== "draining" && (
        <>
          {answerBy === null && button("Ask", "pen-ask", () => actions.request())}
          {place === null && button("Wait", "pen-wait", () => actions.acquire({ wait: true }))}
          {mayTakeOver && button("Take over", "pen-take-over", () => actions.takeOver(), "apart")}
        </>
      )}
    </div>
  );
}
