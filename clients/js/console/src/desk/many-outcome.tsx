import type { TicketFilters } from "../../../src/index.ts";
import { deskHref, follow } from "../route.ts";
import type { Outcome } from "./many-words.ts";

interface ManyOutcomeProps {
  readonly outcome: Outcome;
  readonly filters: TicketFilters;
  /** Ids of the tickets that are there still. */
  readonly there: ReadonlySet<string>;
  readonly onDismiss: () => void;
}

/** Which tickets were not changed, and why; they are selected still. */
export function ManyOutcome({ outcome, filters, there, onDismiss }: ManyOutcomeProps) {
  return (
    <section className="many-outcome" aria-label="Not changed" data-testid="many-outcome">
      <div className="many-outcome-head">
        <p className="field-error">{outcome.words}</p>
        <button
          type="button"
          className="button link"
          onClick={onDismiss}
          data-testid="many-dismiss"
        >
          Dismiss
        </button>
      </div>
      <ul className="many-failures">
        {outcome.failures.map(({ words, tickets }) => (
          <li key={words}>
            <p>{words}</p>
            <ul>
              {tickets.map(({ id, title }) => (
                <li key={id} data-testid={`failed-${id}`}>
                  {there.has(id) ? (
                    <a
                      href={deskHref(id, filters)}
                      onClick={(event) => follow(event, deskHref(id, filters))}
                    >
                      {title}
                    </a>
                  ) : (
                    title
                  )}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </section>
  );
}
