import { expect, test } from "vitest";
import { editPriority, priorityMessage, type Viewer } from "../src/priority.ts";
import { person, summary } from "./fixtures.ts";

const ada = person("ada");
const bruno = person("bruno");

function viewer(fields: Partial<Viewer> = {}): Viewer {
  return {
    summary: summary([ada, bruno]),
    key: "ada",
    session: "ada-1",
    mode: "edit",
    shown: true,
    connected: true,
    ...fields,
  };
}

test("nothing is promised before the server has answered", () => {
  const priority = editPriority(viewer({ summary: null }));
  expect(priority).toMatchObject({ known: false, hasPriority: false, isReadOnly: true });
  expect(priorityMessage(priority)).toBeNull();
});

test("the prior session has priority", () => {
  expect(editPriority(viewer())).toMatchObject({ hasPriority: true, isReadOnly: false });
});

test("another person's is in the way, and the message is Lightning's", () => {
  const priority = editPriority(viewer({ key: "bruno", session: "bruno-1" }));
  expect(priority).toMatchObject({ hasPriority: false, otherTab: false, isReadOnly: true });
  expect(priorityMessage(priority, "workflow")).toBe(
    "Ada is currently active and you can't edit this workflow until they close the editor.",
  );
});

test("the person's second tab is told that it is the other tab", () => {
  const priority = editPriority(viewer({ session: "ada-2" }));
  expect(priority).toMatchObject({ hasPriority: false, otherTab: true, priorSession: "ada-1" });
  expect(priorityMessage(priority)).toContain("another tab");
});

test("under single_session no tab has it while there are two", () => {
  const both = summary([person("ada", { active_sessions: 2 })], { prior_session: null });
  expect(editPriority(viewer({ summary: both }))).toMatchObject({
    hasPriority: false,
    otherTab: true,
  });
});

test("with nobody left who may edit it is the viewer's, who still only views", () => {
  const views = summary([person("ada", { mode: "view" })]);
  expect(editPriority(viewer({ summary: views, mode: "view" }))).toMatchObject({
    hasPriority: true,
    isReadOnly: true,
    prior: null,
  });
});

test("the join reply's summary, which then names the viewer, says the same", () => {
  const self = person("ada", { mode: "view" });
  for (const priorSession of ["ada-1", null]) {
    const reply = summary([self], { prior_user_presence: self, prior_session: priorSession });
    expect(editPriority(viewer({ summary: reply, mode: "view" }))).toMatchObject({
      hasPriority: true,
      otherTab: false,
      prior: null,
    });
  }
});

test("who is not shown has no place, even alone", () => {
  const empty = summary([]);
  expect(editPriority(viewer({ summary: empty, shown: false }))).toMatchObject({
    hasPriority: false,
    isReadOnly: true,
  });
});

test("a lost connection makes the last answer provisional", () => {
  expect(editPriority(viewer({ connected: false })).certainty).toBe("provisional");
});
