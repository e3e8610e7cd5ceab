import type { Mode } from "../../../src/index.ts";
import type { Wish } from "./use-wish.ts";

interface SessionControlsProps {
  readonly wish: Wish;
  /** What the server granted; null before the first answer. */
  readonly granted: Mode | null;
  readonly onChange: (wish: Wish) => void;
}

const MODES: readonly { mode: Mode; label: string }[] = [
  { mode: "edit", label: "Edit" },
  { mode: "view", label: "View only" },
];

export function SessionControls({ wish, granted, onChange }: SessionControlsProps) {
  const isReduced = wish.mode === "edit" && granted === "view";
  return (
    <div className="session-controls">
      <fieldset className="segmented">
        <legend className="visually-hidden">Mode</legend>
        {MODES.map(({ mode, label }) => (
          <label key={mode}>
            <input
              type="radio"
              name="mode"
              value={mode}
              checked={(isReduced ? "view" : wish.mode) === mode}
              disabled={isReduced && mode === "edit"}
              onChange={() => onChange({ ...wish, mode })}
              data-testid={`mode-${mode}`}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <label className="switch">
        <input
          type="checkbox"
          role="switch"
          checked={wish.isInvisible}
          aria-checked={wish.isInvisible}
          onChange={(event) => onChange({ ...wish, isInvisible: event.target.checked })}
          data-testid="invisible"
        />
        <span className="switch-track" aria-hidden="true" />
        <span>Invisible</span>
        <span className="muted small">receive only</span>
      </label>
      {isReduced && <p className="muted small">Your token allows viewing only.</p>}
    </div>
  );
}
