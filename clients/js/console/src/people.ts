/** Somebody to sign in as on a development server. */
export interface Person {
  readonly user: string;
  readonly name: string;
  readonly role: string;
  readonly kind: "human" | "ai";
}

export const DEMO_PEOPLE: readonly Person[] = [
  { user: "ada", name: "Ada Okafor", role: "agent", kind: "human" },
  { user: "bruno", name: "Bruno Salas", role: "agent", kind: "human" },
  { user: "mei", name: "Mei Tanaka", role: "admin", kind: "human" },
  { user: "noor", name: "Noor Haddad", role: "viewer", kind: "human" },
  { user: "tomas", name: "Tomas Novak", role: "customer", kind: "human" },
  { user: "quill", name: "Quill", role: "agent", kind: "ai" },
];

/** Those of the demonstration to whom tickets are assigned. */
export const DEMO_TEAM: readonly { readonly id: string; readonly label: string }[] =
  DEMO_PEOPLE.filter(({ role }) => role === "agent" || role === "admin").map(({ user, name }) => ({
    id: user,
    label: name,
  }));

/** The other customers for whom `penholder seed` writes. */
const SEED_NAMES: readonly (readonly [id: string, name: string])[] = [
  ["lena", "Lena Fischer"],
  ["kofi", "Kofi Mensah"],
  ["ines", "Inês Duarte"],
  ["haruto", "Haruto Ito"],
  ["priya", "Priya Raman"],
  ["oskar", "Oskar Lindqvist"],
  ["yara", "Yara Benali"],
];

/** Names of the demonstration, by id. */
export const DEMO_NAMES: ReadonlyMap<string, string> = new Map([
  ...DEMO_PEOPLE.map(({ user, name }) => [user, name] as const),
  ...SEED_NAMES,
]);

const HUES = 8;

/** The colour class of a face of which only the name is known: none but for the demo people. */
export function hueClassOfName(name: string): string {
  const demo = DEMO_PEOPLE.findIndex((person) => person.name === name);
  return demo >= 0 ? `hue-${demo}` : "";
}

/** The colour of a person's avatar: fixed for the demo people, spread over the rest. */
export function hueOf(key: string): number {
  const demo = DEMO_PEOPLE.findIndex((person) => person.user === key);
  return demo >= 0 ? demo : hash(key) % HUES;
}

export function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...(word ?? "?")][0]?.toUpperCase()).join("");
}

const TAB_NAMES = [
  ...["amber", "birch", "cedar", "clover", "coral", "fern", "hazel", "heron"],
  ...["indigo", "ivory", "jade", "juniper", "lark", "linden", "maple", "marble"],
  ...["moss", "ochre", "olive", "opal", "pearl", "pine", "plum", "robin"],
  ...["rowan", "ruby", "sage", "slate", "teal", "thistle", "willow", "wren"],
] as const;

/**
 * A word for each of a person's sessions: the same in every tab, and after a reload. Two never
 * share one, up to as many as there are words; pass the sessions in their order.
 */
export function tabNames(sessions: readonly string[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const session of sessions) {
    const start = hash(session);
    const free = TAB_NAMES.map((_, step) => nthTabName(start + step)).find((n) => !taken.has(n));
    const name = free ?? nthTabName(start);
    names.set(session, name);
    taken.add(name);
  }
  return names;
}

function nthTabName(n: number): string {
  return TAB_NAMES[n % TAB_NAMES.length] as string;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return value >>> 0;
}
