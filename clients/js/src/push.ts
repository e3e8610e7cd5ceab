import type { Push } from "phoenix";
import { PenholderError } from "./errors.ts";

/** A push as a promise of its reply; rejects with a `PenholderError`. */
export function pushed(push: Push): Promise<unknown> {
  return new Promise((resolve, reject) => {
    push
      .receive("ok", resolve)
      .receive("error", (reply) => reject(PenholderError.from(reply)))
      .receive("timeout", () =>
        reject(new PenholderError("timeout", "The server did not answer in time.")),
      );
  });
}
