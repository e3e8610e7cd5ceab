import { useState } from "react";
import { PenholderProvider } from "../../src/react.tsx";
import { Desk } from "./desk/desk.tsx";
import type { Person } from "./people.ts";
import { useRoute } from "./route.ts";
import { type Session, signOut } from "./session.ts";
import { Footer } from "./shell/footer.tsx";
import { Header } from "./shell/header.tsx";
import { SkipLink } from "./shell/skip-link.tsx";
import { SignIn } from "./sign-in/sign-in.tsx";
import { Workspace } from "./workspace.tsx";

export function App({ restored }: { restored: Session | null }) {
  const [session, setSession] = useState(restored);
  const [returning, setReturning] = useState<Person | null>(null);
  const route = useRoute();
  if (session === null) return <SignIn returning={returning} onSignedIn={setSession} />;
  const leave = () => {
    signOut(session);
    setReturning(null);
    setSession(null);
  };
  // What they have written stays in the tab.
  const signInAgain = () => {
    session.client.disconnect();
    setReturning(session.person);
    setSession(null);
  };
  return (
    <PenholderProvider client={session.client}>
      <SkipLink />
      <Header person={session.person} page={route.page} onSignOut={leave} onSignIn={signInAgain} />
      {route.page === "desk" ? (
        <Desk session={session} open={route.open} filters={route.filters} />
      ) : (
        <Workspace session={session} asked={route.topic} />
      )}
      <Footer />
    </PenholderProvider>
  );
}
