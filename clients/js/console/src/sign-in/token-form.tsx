import { type FormEvent, useState } from "react";
import { type Session, signInWithToken } from "../session.ts";

/** For servers that are not in development mode. */
export function TokenForm({ onSignedIn }: { onSignedIn: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const [isRefused, setRefused] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const session = signInWithToken(token.trim());
    setRefused(session === null);
    if (session !== null) onSignedIn(session);
  };
  return (
    <form className="token-form" onSubmit={submit} noValidate>
      <label htmlFor="token">Token</label>
      <textarea
        id="token"
        rows={5}
        value={token}
        onChange={(event) => setToken(event.target.value)}
        aria-describedby="token-hint"
        aria-invalid={isRefused}
        autoComplete="off"
        spellCheck={false}
        data-testid="token"
      />
      <p id="token-hint" className={isRefused ? "field-error" : "muted small"} aria-live="polite">
        {isRefused
          ? "That is not a JSON Web Token with a subject."
          : "This server is not in development mode. Paste a token that it accepts; it stays in this tab."}
      </p>
      <button type="submit" className="button primary" data-testid="sign-in-token">
        Sign in
      </button>
    </form>
  );
}
