import { useId, useState } from "react";
import type { Certainty } from "../../../src/index.ts";

const EXPLANATIONS: Record<Certainty, string> = {
  confirmed: "Every live replica has the facts that this answer rests on.",
  provisional:
    "Not every replica has been heard, or the connection is lost. Another answer may follow.",
  contested:
    "A partition has healed and brought somebody who came earlier. Agree among you who goes on.",
};

/** How sure the answer is; the explanation appears on hover and focus, and Escape hides it. */
export function CertaintyChip({ certainty }: { certainty: Certainty }) {
  const id = useId();
  const [isDismissed, setDismissed] = useState(false);
  return (
    <span className="tooltip-anchor" onPointerLeave={() => setDismissed(false)}>
      <button
        type="button"
        className="chip"
        data-certainty={certainty}
        data-testid="certainty"
        aria-describedby={id}
        onKeyDown={(event) => event.key === "Escape" && setDismissed(true)}
        onBlur={() => setDismissed(false)}
      >
        {certainty}
      </button>
      <span className="tooltip" role="tooltip" id={id} data-dismissed={isDismissed}>
        {EXPLANATIONS[certainty]}
      </span>
    </span>
  );
}
