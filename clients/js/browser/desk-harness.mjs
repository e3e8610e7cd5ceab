/** Pages at the help desk, and what people do there. */
import assert from "node:assert/strict";
import { sign, stage } from "./harness.mjs";

const QUILL = { sub: "quill", name: "Quill", role: "agent", kind: "ai" };

/** A stage as of the harness, with pages at the desk of its server. */
export async function deskStage() {
  const { server, open } = await stage();

  /** A page at the desk, whose list has come. `by`: another way to the server. */
  async function deskOf(person, { by = server, path = "", ...options } = {}) {
    const page = await open(by, { reducedMotion: "reduce", ...options });
    await page.goto(`${by.url}/?as=${person}${path}`);
    await page.locator('[data-testid="rows"][data-live="true"]').waitFor({ state: "attached" });
    return page;
  }

  /** Asks the server as an agent who has no page open, or as somebody else. */
  async function ask(path, { status = 200, by = QUILL, ...options } = {}) {
    const headers = { authorization: `Bearer ${sign(by)}`, "content-type": "application/json" };
    const response = await fetch(`${server.url}${path}`, { headers, ...options });
    assert.equal(response.status, status, `${path}: ${await response.clone().text()}`);
    return response.status === 204 ? null : response.json();
  }

  return { server, deskOf, ask };
}

let count = 0;

/** A title that no other ticket of this run has. */
export function freshTitle(what) {
  count += 1;
  return `${what} ${process.pid}-${count}`;
}

export async function createTicket(page, title, description = "It does not work any more.") {
  await page.getByTestId("new-ticket").click();
  await page.getByTestId("new-title").fill(title);
  await page.getByTestId("new-description").fill(description);
  await page.getByTestId("new-submit").click();
  await heading(page, title).waitFor();
  return new URL(page.url()).searchParams.get("ticket");
}

export function heading(page, title) {
  return page.getByTestId("ticket-heading").filter({ hasText: title });
}

export function row(page, id) {
  return page.getByTestId(`ticket-${id}`);
}

export async function openTicket(page, id) {
  await row(page, id).click();
  await page.locator('[data-testid="ticket-panel"][data-live="true"]').waitFor();
}

export async function waitForComment(page, text) {
  await page.getByTestId("comments").locator("li").filter({ hasText: text }).waitFor();
}

export async function say(page, text) {
  await page.getByTestId("composer").fill(text);
  await page.getByTestId("send").click();
  await waitForComment(page, text);
}

export async function waitForHistory(page, text) {
  await page.getByTestId("history").locator("li").filter({ hasText: text }).first().waitFor();
}

export function waitForValue(page, testId, value) {
  return page.waitForFunction(
    ([id, is]) => document.querySelector(`[data-testid="${id}"]`)?.value === is,
    [testId, value],
  );
}

/** Chooses somebody in a field of people; without an id nobody, or anybody. */
export async function pick(page, testId, choice) {
  await page.getByTestId(testId).click();
  await page.getByTestId(`option-${choice}`).click();
}

export async function assign(page, person) {
  await pick(page, "assignee", person);
  await waitForPerson(page, "assignee", person);
}

export function waitForPerson(page, testId, person) {
  return page.locator(`[data-testid="${testId}"][data-value="${person}"]`).waitFor();
}
