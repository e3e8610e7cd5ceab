const SEGMENT = /^[A-Za-z0-9_.~-]+$/;
const BYTES_MAX = 200;
const RESERVED: ReadonlySet<string> = new Set(["phoenix", "tickets", "user", "system"]);

/** Says why `name` can't be a topic of an application, or null when it can. */
export function topicNameError(name: string): string | null {
  if (name === "") return "Enter a topic, for example doc:42.";
  if (name.length > BYTES_MAX) return `A topic has at most ${BYTES_MAX} characters.`;
  const segments = name.split(":");
  if (segments.includes("")) return "There is nothing between, before or after a colon.";
  if (!segments.every((segment) => SEGMENT.test(segment))) {
    return "Only letters, digits and _ . ~ - are possible between colons.";
  }
  const namespace = segments[0] as string;
  if (RESERVED.has(namespace)) return `Topics that begin with “${namespace}:” belong to Penholder.`;
  return null;
}
