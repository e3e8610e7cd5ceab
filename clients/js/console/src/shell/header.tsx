import { Avatar } from "../avatar.tsx";
import type { Person } from "../people.ts";
import { Brand } from "./brand.tsx";
import { ConnectionPill } from "./connection-pill.tsx";

export function Header({ person, onSignOut }: { person: Person; onSignOut: () => void }) {
  return (
    <header className="header">
      <Brand />
      <ConnectionPill />
      <div className="who">
        <Avatar id={person.user} name={person.name} isAi={person.kind === "ai"} size="small" />
        <span className="who-name" data-testid="signed-in-as">
          {person.name}
        </span>
        <button type="button" className="button quiet" onClick={onSignOut} data-testid="sign-out">
          Sign out
        </button>
      </div>
    </header>
  );
}
