import { clockTime } from "./banner-text.ts";
import type { Draft } from "./use-draft.ts";

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
            Your draft of {clockTime(draft.at)} is kept
            {canRestore ? "." : <span className="muted">, to restore once you may write.</span>}
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
