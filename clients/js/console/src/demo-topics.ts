/** Topics of the demonstration. They are an application's own: nothing about them is stored. */
export interface DemoTopic {
  readonly topic: string;
  readonly title: string;
  readonly draft: string;
}

export const DEMO_TOPICS: readonly DemoTopic[] = [
  {
    topic: "demo:ticket-1042",
    title: "Invoice shows the wrong currency",
    draft:
      "Hello Tomas,\n\nthank you for the screenshot. The invoice took the currency of the old contract. I have corrected it and will send you a new copy today.\n\nKind regards",
  },
  {
    topic: "demo:ticket-1043",
    title: "Can't sign in after a password reset",
    draft: "Hello,\n\ncould you tell us which browser you use, and whether the link had expired?\n",
  },
  {
    topic: "demo:ticket-1044",
    title: "Export stops at ten thousand rows",
    draft: "Hello,\n\nwe can see the export that stopped. A fix is on its way.\n",
  },
  {
    topic: "demo:article-7",
    title: "How refunds are paid out",
    draft: "A refund goes back the way the payment came. Cards take three to five working days.\n",
  },
  {
    topic: "demo:workflow-nightly",
    title: "Nightly sync of contacts",
    draft: "When the clock strikes two, fetch what has changed since yesterday.\n",
  },
];

/** What people call it: the word before the dash of a demo topic, else a document. */
export function thingOf(topic: string): string {
  return /^demo:(ticket|article|workflow)-/.exec(topic)?.[1] ?? "document";
}

/** A title for people; a topic that nobody named is its own. */
export function titleOf(topic: string): string {
  return demoTopic(topic)?.title ?? topic;
}

/** `demo:ticket-1042` as `Ticket 1042`; any other topic unchanged. */
export function labelOf(topic: string): string {
  const [, thing, id] = /^demo:(ticket|article|workflow)-(.+)$/.exec(topic) ?? [];
  if (thing === undefined || id === undefined) return topic;
  return `${thing[0]?.toUpperCase()}${thing.slice(1)} ${id}`;
}

export function demoTopic(topic: string): DemoTopic | undefined {
  return DEMO_TOPICS.find((demo) => demo.topic === topic);
}
