/** Many tickets changed at once in the list, in a real browser against the real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deskStage, freshTitle, row } from "./desk-harness.mjs";
import { overflow, picture, sign } from "./harness.mjs";

const { server, deskOf, ask } = await deskStage();

/** Tickets that this test alone finds: their ids, as the list has them, the newest first. */
async function tickets(count, what) {
  const title = freshTitle(what);
  const ids = [];
  for (let n = 1; n <= count; n += 1) {
    const body = JSON.stringify({ title: `${title} no. ${n}`, description: "Once." });
    ids.unshift((await ask("/v1/tickets", { method: "POST", body, status: 201 })).id);
  }
  return { ids, title, path: `&${new URLSearchParams({ q: title })}` };
}

function transition(id, to) {
  return ask(`/v1/tickets/${id}/transitions`, { method: "POST", body: JSON.stringify({ to }) });
}

function box(page, id) {
  return page.getByTestId(`select-${id}`);
}

/** Waits until these are selected, in the order of the rows, and no others. */
async function waitForSelected(page, ids) {
  const text = ids.length === 0 ? null : `${ids.length} selected`;
  if (text !== null) await page.getByTestId("many-count").filter({ hasText: text }).waitFor();
  await page.waitForFunction(
    (wanted) =>
      [...document.querySelectorAll(".row-check:checked")]
        .map(({ dataset }) => dataset.testid.replace("select-", ""))
        .join() === wanted,
    ids.join(),
  );
}

async function waitForStatus(page, id, words) {
  await row(page, id).getByTestId("row-status").filter({ hasText: words }).waitFor();
}

test("rows are selected one by one, as a range, all, and not any more", async () => {
  const { ids, path } = await tickets(5, "Selected");
  const [a, b, c, d, e] = ids;
  const ada = await deskOf("ada", { path });
  await box(ada, b).click();
  await waitForSelected(ada, [b]);
  await box(ada, d).click({ modifiers: ["Shift"] });
  await waitForSelected(ada, [b, c, d]);
  await box(ada, c).click({ modifiers: ["Shift"] });
  await waitForSelected(ada, [b]);
  const all = ada.getByTestId("select-all");
  assert.equal(await all.evaluate((input) => input.indeterminate), true);
  await all.click();
  await waitForSelected(ada, [a, b, c, d, e]);
  assert.equal(await all.evaluate((input) => input.indeterminate), false);
  await ada.getByTestId("many-heard").filter({ hasText: "5 tickets selected." }).waitFor();
  await ada.keyboard.press("Escape");
  await waitForSelected(ada, []);

  // By keys alone, and the focus goes nowhere when what has it goes.
  await box(ada, a).focus();
  await ada.keyboard.press("Space");
  await waitForSelected(ada, [a]);
  await ada.getByTestId("many-clear").focus();
  await ada.keyboard.press("Enter");
  await waitForSelected(ada, []);
  await ada.waitForFunction(() => document.activeElement?.dataset.testid === "select-all");
  // An open list of people has a use of its own for Escape.
  await box(ada, a).click();
  await ada.getByTestId("many-assignee").click();
  await ada.getByTestId("option-bruno").waitFor();
  await ada.keyboard.press("Escape");
  await ada.getByTestId("option-bruno").waitFor({ state: "detached" });
  await waitForSelected(ada, [a]);
  await ada.keyboard.press("Escape");
  await waitForSelected(ada, []);
});

test("status, assignee and priority of many are changed at once, and others see it", async () => {
  const { ids, path } = await tickets(3, "Together");
  const ada = await deskOf("ada", { path });
  const bruno = await deskOf("bruno", { path });
  await ada.getByTestId("select-all").click();
  await waitForSelected(ada, ids);
  await ada.getByTestId("many-status").selectOption("waiting_for_user");
  await ada.getByTestId("many-priority").selectOption("urgent");
  await ada.getByTestId("many-assignee").click();
  await ada.getByTestId("option-bruno").click();
  const asked = [];
  ada.on("request", (request) => request.method() === "POST" && asked.push(request.url()));
  await ada.getByRole("button", { name: "Change 3 tickets" }).press("Enter");
  await ada.getByTestId("many-count").filter({ hasText: "3 tickets changed." }).waitFor();
  await ada.getByTestId("many-heard").filter({ hasText: "3 tickets changed." }).waitFor();
  await waitForSelected(ada, []);
  assert.deepEqual(asked, [`${server.url}/v1/tickets/bulk`]);
  for (const page of [ada, bruno]) {
    for (const id of ids) {
      await waitForStatus(page, id, "Waiting for customer");
      await row(page, id).filter({ hasText: "Urgent" }).waitFor();
      await row(page, id).getByTestId("row-assignee").filter({ hasText: "Bruno Salas" }).waitFor();
    }
  }
  // What had the focus is gone, and the keys go on from where it was.
  await ada.waitForFunction(() => document.activeElement?.dataset.testid === "select-all");
});

test("what is not changed is named with why, stays selected, and the others are changed", async () => {
  const { ids, path } = await tickets(4, "In part");
  const [a, b, c, d] = ids;
  await transition(b, "closed");
  await transition(d, "waiting_for_user");
  const ada = await deskOf("ada", { path });
  await waitForStatus(ada, b, "Closed");
  await ada.getByTestId("select-all").click();
  await waitForSelected(ada, ids);
  const option = ada.getByTestId("many-status").locator('[value="waiting_for_user"]');
  assert.equal(await option.textContent(), "Waiting for customer (3 of 4)");
  await ada.getByTestId("many-status").selectOption("waiting_for_user");
  await ada.getByTestId("many-change").click();
  const outcome = ada.getByTestId("many-outcome");
  await outcome.getByText("2 tickets changed, 1 was so already, 1 not changed.").waitFor();
  await outcome
    .getByText("From “Closed” the status cannot become “Waiting for customer”.")
    .waitFor();
  await outcome.getByTestId(`failed-${b}`).filter({ hasText: "no. 3" }).waitFor();
  await ada.getByTestId("many-heard").filter({ hasText: "1 not changed. In part" }).waitFor();
  await waitForSelected(ada, [b]);
  await waitForStatus(ada, a, "Waiting for customer");
  await waitForStatus(ada, c, "Waiting for customer");
  await waitForStatus(ada, b, "Closed");
  await picture(ada, "many-wide");
  await ada.getByTestId("many-dismiss").click();
  await outcome.waitFor({ state: "detached" });
  await waitForSelected(ada, [b]);
  await ada.waitForFunction(() => document.activeElement?.dataset.testid === "select-all");
  await box(ada, c).click();
  await ada.getByTestId("many-heard").filter({ hasText: "2 tickets selected." }).waitFor();
});

test("whoever has the pen keeps others from it, and the result says who", async () => {
  const { ids, path } = await tickets(2, "Held");
  const [held, free] = ids;
  const ada = await deskOf("ada", { path });
  // A server that lets nobody write past a pen answers like this.
  const holder = { id: "bruno", name: "Bruno Salas", kind: "human" };
  await ada.route("**/v1/tickets/bulk", async (route) => {
    const { ids: asked } = route.request().postDataJSON();
    if (!asked.includes(held)) return route.continue();
    const why = { code: "pen_held", message: "Somebody else has it." };
    const refused = [{ ticket_id: held, ...why, details: { holder } }];
    return route.fulfill({ status: 409, json: { ...why, details: { holder, refused } } });
  });
  await ada.getByTestId("select-all").click();
  await waitForSelected(ada, ids);
  await ada.getByTestId("many-priority").selectOption("high");
  await ada.getByTestId("many-change").click();
  const outcome = ada.getByTestId("many-outcome");
  await outcome.getByText("1 ticket changed, 1 not changed.").waitFor();
  await outcome.getByText("Bruno Salas has the pen.").waitFor();
  await waitForSelected(ada, [held]);
  await row(ada, free).filter({ hasText: "High" }).waitFor();
});

test("a selection outlives what happens to the rows, but not the rows", async () => {
  const { ids, title, path } = await tickets(4, "Moving");
  const [a, b, c, d] = ids;
  const ada = await deskOf("ada", { path: `${path}&status=open` });
  await box(ada, b).click();
  await box(ada, d).click({ modifiers: ["Shift"] });
  await waitForSelected(ada, [b, c, d]);
  const body = (fields) => JSON.stringify(fields);
  await ask(`/v1/tickets/${b}`, { method: "PATCH", body: body({ title: `${title} other` }) });
  await row(ada, b).filter({ hasText: "other" }).waitFor();
  const made = { title: `${title} new`, description: "One on top." };
  const { id } = await ask("/v1/tickets", { method: "POST", body: body(made), status: 201 });
  await row(ada, id).waitFor();
  await waitForSelected(ada, [b, c, d]);
  // One is deleted, one is not of the filter any more: neither is changed with the others.
  await ask(`/v1/tickets/${c}`, { method: "DELETE", status: 204 });
  await row(ada, c).waitFor({ state: "detached" });
  await transition(d, "resolved");
  await row(ada, d).waitFor({ state: "detached" });
  await waitForSelected(ada, [b]);
  await transition(d, "open");
  await row(ada, d).waitFor();
  await waitForSelected(ada, [b]);
  // It is there once it is changed to something else, but not in this list.
  await ada.getByTestId("many-status").selectOption("closed");
  await ada.getByTestId("many-change").click();
  await row(ada, b).waitFor({ state: "detached" });
  await ada.getByTestId("many-heard").filter({ hasText: "1 ticket changed." }).waitFor();
  await waitForSelected(ada, []);
  await row(ada, a).waitFor();
});

test("customers are offered none of it", async () => {
  const { ids } = await tickets(1, "Not theirs");
  const title = freshTitle("My own");
  const body = JSON.stringify({ title, description: "Mine." });
  const by = { sub: "tomas", name: "Tomas Novak", role: "customer" };
  const { id } = await ask("/v1/tickets", { method: "POST", body, by, status: 201 });
  const tomas = await deskOf("tomas");
  await row(tomas, id).waitFor();
  assert.equal(await tomas.getByTestId("many-bar").count(), 0);
  assert.equal(await tomas.locator('.desk-list [type="checkbox"]').count(), 0);
  const refused = JSON.stringify({ ids: [id, ...ids], changes: { priority: "high" } });
  const authorization = `Bearer ${sign(by)}`;
  const headers = { authorization, "content-type": "application/json" };
  const url = `${server.url}/v1/tickets/bulk`;
  assert.equal((await fetch(url, { method: "POST", body: refused, headers })).status, 403);
});

test("on a phone the fields are folded away until they are asked for, and nothing is wider than it", async () => {
  const { ids, path } = await tickets(3, "On a phone");
  const ada = await deskOf("ada", { path, viewport: { width: 390, height: 844 }, hasTouch: true });
  const place = () => row(ada, ids[0]).boundingBox();
  const before = await place();
  await box(ada, ids[0]).tap();
  await box(ada, ids[2]).tap();
  await waitForSelected(ada, [ids[0], ids[2]]);
  assert.deepEqual(await place(), before, "a selection moves no row");
  assert.ok((await box(ada, ids[0]).boundingBox()).width >= 44, "as large as a finger");
  const fields = ada.getByTestId("many-status");
  assert.equal(await fields.isVisible(), false);
  await ada.getByTestId("many-toggle").tap();
  await fields.waitFor();
  assert.equal(await overflow(ada), 0);
  await picture(ada, "many-phone");
  await fields.selectOption("resolved");
  await ada.getByTestId("many-change").tap();
  await waitForStatus(ada, ids[2], "Resolved");
  await ada.getByTestId("many-count").filter({ hasText: "2 tickets changed." }).waitFor();
  // What is not changed is selected still, and the keys go on at what unfolds the fields.
  await box(ada, ids[1]).tap();
  await box(ada, ids[2]).tap();
  await ada.getByTestId("many-toggle").tap();
  await fields.selectOption("in_progress");
  await ada.getByTestId("many-change").press("Enter");
  await ada.getByTestId("many-outcome").waitFor();
  await waitForSelected(ada, [ids[2]]);
  assert.equal(await fields.isVisible(), false);
  await ada.waitForFunction(() => document.activeElement?.dataset.testid === "many-toggle");
  assert.equal(await overflow(ada), 0);
});
