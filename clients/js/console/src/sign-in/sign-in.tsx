import { useEffect, useState } from "react";
import type { Person } from "../people.ts";
import { isDevelopmentServer, type Session, signIn } from "../session.ts";
import { Brand } from "../shell/brand.tsx";
import { PeopleChoice } from "./people-choice.tsx";
import { TokenForm } from "./token-form.tsx";

type Server = "asking" | "development" | "production" | "unreachable";

interface SignInProps {
  /** Whose token was refused. */
  readonly returning: Person | null;
  readonly onSignedIn: (session: Session) => void;
}

/** Choose a demo person, or paste a token where the server hands none out. */
export function SignIn({ returning, onSignedIn }: SignInProps) {
  const [server, ask] = useServerKind();
  return (
    <main className="sign-in">
      <Brand />
      <h1>Who is here, who may edit</h1>
      <p className="lead">
        {returning === null
          ? "Sign in here as one person, and in a second window as another. Each sees the other arrive, and who goes first."
          : `Sign in again, ${returning.name}: the token has expired or is not accepted any more. What you have written is kept in this tab.`}
      </p>
      {server === "development" && (
        <PeopleChoice onChoose={(person) => onSignedIn(signIn(person))} />
      )}
      {server === "production" && <TokenForm onSignedIn={onSignedIn} />}
      {server === "unreachable" && (
        <div className="notice" role="alert">
          <p>The server does not answer.</p>
          <button type="button" className="button" onClick={ask}>
            Ask again
          </button>
        </div>
      )}
    </main>
  );
}

/** A server that was away is asked again. */
const AGAIN_MS = 3000;

function useServerKind(): [Server, () => void] {
  const [server, setServer] = useState<Server>("asking");
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each attempt asks again
  useEffect(() => {
    let isCurrent = true;
    const set = (kind: Server) => isCurrent && setServer(kind);
    isDevelopmentServer().then(
      (isDevelopment) => set(isDevelopment ? "development" : "production"),
      () => set("unreachable"),
    );
    return () => {
      isCurrent = false;
    };
  }, [attempt]);
  useEffect(() => {
    if (server !== "unreachable") return;
    const timer = setInterval(() => setAttempt((n) => n + 1), AGAIN_MS);
    return () => clearInterval(timer);
  }, [server]);
  return [server, () => setAttempt((n) => n + 1)];
}
