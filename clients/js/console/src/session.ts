import { connect, isStaff, type PenholderClient } from "../../src/index.ts";
import { type TokenClaims, tokenClaims } from "../../src/token.ts";
import { DEMO_PEOPLE, type Person } from "./people.ts";
import { takeParameter } from "./route.ts";

/** Who is signed in in this tab, and their connection. */
export interface Session {
  readonly person: Person;
  readonly client: PenholderClient;
  /** Whether a development server vouches for the person, who may then open the demo topics. */
  readonly isDemo: boolean;
  /** A token for HTTP requests. */
  readonly token: () => Promise<string>;
}

/** What is remembered in the tab; a pasted token is its own proof, demo people get theirs anew. */
interface Remembered {
  readonly person: Person;
  readonly token: string | null;
}

const STORAGE_KEY = "penholder:console:person";
/** What the keys of all that a tab keeps begin with, unsent texts among them. */
const STORAGE_PREFIX = "penholder:console:";

/** Signs in whom the address asks for (`?as=ada`), or whom this tab remembers. */
export function startSession(): Session | null {
  const asked = takeParameter("as");
  const demo = DEMO_PEOPLE.find((person) => person.user === asked);
  if (demo !== undefined) return signIn(demo);
  const remembered = recall();
  return remembered === null ? null : open(remembered);
}

/** Signs in a demo person of a development server. */
export function signIn(person: Person): Session {
  return open({ person, token: null });
}

/** Signs in with a token; answers null when it is not a JWT with a subject. */
export function signInWithToken(token: string): Session | null {
  const person = personOf(token);
  return person === null ? null : open({ person, token });
}

export function signOut(session: Session): void {
  session.client.disconnect();
  forgetAll();
}

/** Forgets what somebody has left in the tab: it is not for who comes next. */
function forgetAll(): void {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(STORAGE_PREFIX)) sessionStorage.removeItem(key);
  }
}

/** Whether the server hands out demo tokens. */
export async function isDevelopmentServer(): Promise<boolean> {
  const health: { development?: boolean } = await (await fetch("/healthz")).json();
  return health.development === true;
}

/**
 * Lets a development server see the agents of the demonstration: it assigns tickets to nobody of whom it has not
 * heard. One who could not be introduced is refused when they are chosen.
 */
export async function introduceTeam(): Promise<void> {
  const team = DEMO_PEOPLE.filter(({ role }) => isStaff(role));
  await Promise.allSettled(
    team.map(async (person) => {
      const authorization = `Bearer ${await fetchDemoToken(person)}`;
      await fetch("/v1/tickets?limit=1", { headers: { authorization } });
    }),
  );
}

function open(remembered: Remembered): Session {
  const before = recall();
  if (before !== null && before.person.user !== remembered.person.user) forgetAll();
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(remembered));
  const { person, token } = remembered;
  if (token !== null) {
    return {
      person,
      isDemo: false,
      client: connect({ token }),
      token: () => Promise.resolve(token),
    };
  }
  let held: { token: string; claims: TokenClaims } | null = null;
  return {
    person,
    isDemo: true,
    client: connect({ token: () => fetchDemoToken(person) }),
    token: async () => {
      const spent = held === null || (held.claims.expiresAt ?? 0) - Date.now() < 60_000;
      if (held === null || spent) {
        const fresh = await fetchDemoToken(person);
        held = { token: fresh, claims: tokenClaims(fresh) };
      }
      return held.token;
    },
  };
}

async function fetchDemoToken({ user, name, role, kind }: Person): Promise<string> {
  const response = await fetch(`/dev/token?${new URLSearchParams({ user, name, role, kind })}`);
  if (response.status === 404) throw new Error("this server is not in development mode");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const { token } = (await response.json()) as { token: string };
  return token;
}

function recall(): Remembered | null {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "null") as Remembered | null;
  } catch {
    return null;
  }
}

function personOf(token: string): Person | null {
  const { sub, name, role, kind } = tokenClaims(token);
  if (sub === null) return null;
  return {
    user: sub,
    name: name ?? sub,
    role: role ?? "customer",
    kind: kind === "ai" ? "ai" : "human",
  };
}
