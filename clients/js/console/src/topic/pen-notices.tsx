import type { UsePen } from "../../../src/react.tsx";
import { clockTime } from "./banner-text.ts";
import type { Draft } from "./use-draft.ts";

/** Somebody asks the holder for the pen. Below the text, so that the line being written stays put. */
export function RequestNotice({ pen }: { pen: UsePen }) {
  const { actions, isMine, request } = pen;
  const next = pen.pen?.queue[0];
  const isHeld = isMine && pen.pen?.state === "held";
  const name = request?.by?.name ?? next?.name;
  const reason = request?.reason === undefined ? "." : `: “${request.reason}”`;
  const says =
    request === null ? `${name} waits for the pen.` : `${name} asks for the pen${reason}`;
  const to = request?.by?.id ?? next?.id;
  return (
    <div role="status" aria-live="polite">
      {isHeld && to !== undefined && (
        <div className="pen-notice" data-testid="pen-request">
          <p>{says}</p>
          <div className="pen-buttons">
            <button
              type="button"
              className="button primary small-button"
              onClick={() => void actions.answer("hand_over", { to }).catch(() => undefined)}
              data-testid="pen-hand-over"
            >
              Hand over
            </button>
            {request !== null && (
              <button
                type="button"
                className="button small-button"
                onClick={() => void actions.answer("decline").catch(() => undefined)}
                data-testid="pen-decline"
              >
                Decline
              </button>
            )}
          </div>
        </div>
      )}
    </div>
  );
}

interface DraftNoticeProps {
  readonly draft: Draft | null;
  readonly canRestore: boolean;
  readonly onRestore: () => void;
  readonly onDiscard: () => void;
}

/** Offers back what was written and not saved when the pen went. */
export function DraftNotice({ draft, canRestore, onRestore, onDiscard }: DraftNoticeProps) {
  return (
    <div role="status" aria-live="polite">
      {draft !== null && (
        <div className="pen-notice" data-testid="pen-draft">
          <p>
            Your draft of {clockTime(draft.at)}
            {!canRestore && <span className="muted">, to restore once you may write</span>}
          </p>
          <div className="pen-buttons">
            <button
              type="button"
              className="button small-button"
              disabled={!canRestore}
              onClick={onRestore}
              data-testid="draft-restore"
            >
              Restore
            </button>
            <button
              type="button"
              className="button quiet"
              onClick={onDiscard}
              aria-label="Discard the draft"
              data-testid="draft-discard"
            >
              Discard
            </button>
          </div>
        </div>
      )}
    </div>
  );
}
