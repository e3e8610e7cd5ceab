import type { Status } from "../../src/index.ts";
import { hueOf, initialsOf } from "./people.ts";

interface AvatarProps {
  readonly id: string;
  readonly name: string;
  readonly isAi: boolean;
  readonly size?: "small" | "large";
  readonly status?: Status;
}

/** Initials on a person's colour. Decoration: the name always stands beside it as text. */
export function Avatar({ id, name, isAi, size = "large", status }: AvatarProps) {
  return (
    <span
      className={`avatar ${size} hue-${hueOf(id)}`}
      data-ai={isAi}
      data-status={status}
      aria-hidden="true"
    >
      {initialsOf(name)}
      {status !== undefined && <span className="avatar-status" />}
    </span>
  );
}
