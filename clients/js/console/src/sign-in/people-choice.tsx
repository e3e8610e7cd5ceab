import { Avatar } from "../avatar.tsx";
import { DEMO_PEOPLE, type Person } from "../people.ts";

export function PeopleChoice({ onChoose }: { onChoose: (person: Person) => void }) {
  return (
    <section aria-labelledby="people-choice">
      <h2 id="people-choice" className="eyebrow">
        Sign in as
      </h2>
      <ul className="people-choice">
        {DEMO_PEOPLE.map((person) => (
          <li key={person.user}>
            <button
              type="button"
              className="person-button"
              onClick={() => onChoose(person)}
              data-testid={`sign-in-${person.user}`}
            >
              <Avatar id={person.user} name={person.name} isAi={person.kind === "ai"} />
              <span>
                <strong>{person.name}</strong>
                <span className="muted">{describe(person)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      <p className="muted small">
        A development server hands out these tokens to anybody on this machine. Each browser tab
        signs in for itself.
      </p>
    </section>
  );
}

function describe({ role, kind }: Person): string {
  if (kind === "ai") return "AI agent, comes after people";
  if (role === "viewer") return "Viewer, can look but not edit";
  return role[0]?.toUpperCase() + role.slice(1);
}
