import type { TopicState } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { bannerText } from "./banner-text.ts";
import { CertaintyChip } from "./certainty-chip.tsx";
import { penAsOf } from "./pen-text.ts";

/** Says who may edit; announced politely when that changes. */
export function Banner({ state, thing }: { state: TopicState; thing: string }) {
  const { tone, title, detail } = bannerText(state, thing);
  const asOf = penAsOf(state);
  return (
    <div className="banner" data-tone={tone} data-stale={asOf !== null} data-testid="banner">
      <BannerIcon tone={tone} />
      <div className="banner-text" role="status" aria-live="polite" data-testid="banner-text">
        <p className="banner-title">{title}</p>
        {asOf !== null ? (
          <p className="muted">The connection is lost: this is {asOfWords(asOf)}.</p>
        ) : (
          detail !== null && <p className="muted">{detail}</p>
        )}
      </div>
      {state.priority.known && <CertaintyChip certainty={state.priority.certainty} />}
    </div>
  );
}

const ICONS = {
  yours: "M14.6 4.2a2 2 0 0 1 2.8 2.8L7.6 16.8 3.5 18l1.2-4.1z",
  theirs: "M6 9.5V7a4 4 0 0 1 8 0v2.5M5 9.5h10v7H5z",
  calm: "M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10zm8-2.2a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z",
} as const;

function BannerIcon({ tone }: { tone: keyof typeof ICONS }) {
  return (
    <svg className="banner-icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={ICONS[tone]} />
    </svg>
  );
}
