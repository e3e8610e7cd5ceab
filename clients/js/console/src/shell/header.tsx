import { Avatar } from "../avatar.tsx";
import type { Person } from "../people.ts";
import { deskHref, follow, type Route, topicHref } from "../route.ts";
import { Brand } from "./brand.tsx";
import { ConnectionPill } from "./connection-pill.tsx";

interface HeaderProps {
  readonly person: Person;
  readonly page: Route["page"];
  readonly onSignOut: () => void;
  /** With another token, as the same person. */
  readonly onSignIn: () => void;
}

const PAGES = [
  { page: "desk", label: "Tickets", href: deskHref(null, {}) },
  { page: "topics", label: "Topics", href: topicHref(null) },
] as const;

export function Header({ person, page, onSignOut, onSignIn }: HeaderProps) {
  return (
    <header className="header">
      <Brand />
      <nav className="pages" aria-label="Pages">
        {PAGES.map(({ page: name, label, href }) => (
          <a
            key={name}
            href={href}
            aria-current={name === page ? "page" : undefined}
            onClick={(event) => follow(event, href)}
            data-testid={`page-${name}`}
          >
            {label}
          </a>
        ))}
      </nav>
      <ConnectionPill onSignIn={onSignIn} />
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
