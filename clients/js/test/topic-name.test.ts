import { expect, test } from "vitest";
import { topicNameError } from "../src/topic-name.ts";

test.each(["doc:42", "lobby", "workflow:abc:node:7", "a.b_c~d-e", "x".repeat(200)])(
  "%s is a topic",
  (name) => expect(topicNameError(name)).toBeNull(),
);

test.each([
  ["", "Enter"],
  ["x".repeat(201), "200"],
  ["doc:", "nothing"],
  [":doc", "nothing"],
  ["doc::1", "nothing"],
  ["doc:ü", "letters"],
  ["doc 1", "letters"],
  ["system:summaries", "system:"],
  ["phoenix", "phoenix:"],
  ["tickets:1", "tickets:"],
  ["user:1", "user:"],
])("%s is none, and says why", (name, why) => expect(topicNameError(name)).toContain(why));
