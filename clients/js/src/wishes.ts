/**
 * What all who hold a topic here want of their one membership.
 *
 * Another mode or visibility is another session, with a later place in line and without the pen. So
 * the answer does not depend on who came first, and who comes or goes without a wish changes nothing:
 *
 * - who asks for something wins over who asks for nothing;
 * - among those who ask, who needs more wins: editing over viewing, being shown over seeing unseen,
 *   seeing over neither;
 * - what nobody asks for any more stays as it is.
 */
import type { Mode, PresenceMode } from "./protocol.ts";
import type { TopicOptions } from "./topic-state.ts";

/** What one of them wants; `meta` is not a wish but an update, of which the last counts. */
export type Wish = Pick<TopicOptions, "mode" | "presence">;

const MODES: readonly Mode[] = ["edit", "view"];
const PRESENCES: readonly PresenceMode[] = [true, "receive", false];

/** What all of `wishes` come to, after `before`. */
export function jointWish(wishes: readonly Wish[], before: Wish): Wish {
  const isWanted = <F extends keyof Wish>(field: F, value: Wish[F]) =>
    wishes.some((wish) => wish[field] === value);
  return {
    mode: MODES.find((mode) => isWanted("mode", mode)) ?? before.mode,
    presence: PRESENCES.find((how) => isWanted("presence", how)) ?? before.presence,
  };
}

/** Whether both are the same to the server, which has editing and being shown as defaults. */
export function isSameWish(a: Wish, b: Wish): boolean {
  return (a.mode ?? "edit") === (b.mode ?? "edit") && (a.presence ?? true) === (b.presence ?? true);
}
