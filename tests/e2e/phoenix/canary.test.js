// What only the staff may see is looked for in all that others get, and found.

import assert from "node:assert/strict";
import { CANARY, takeEscaped } from "../harness/canary.js";
import { suite } from "../harness/suite.js";

suite("canary", {}, ({ test, server }) => {
  const ask = async (method, path, json, headers) => {
    const { status, body } = await server.ask(method, `/v1${path}`, { json, headers });
    assert.ok(status < 300, `${method} ${path}: ${status}`);
    return body;
  };

  test("the canary bites", async ({ person, raw }) => {
    const metadata = { canary: CANARY };
    const made = { title: "t", description: "d", user_id: "carl", metadata };
    const { id } = await ask("POST", "/tickets", made);
    const customer = { role: "customer" };
    const token = await server.token("carl", customer);
    const page = await (await person("carl", customer)).join(`tickets:${id}`);
    const polling = await (await person("carl", { ...customer, polls: true })).join(
      `tickets:${id}`,
    );
    const agent = await (await person("eve")).join(`tickets:${id}`);
    const opened = await raw("carl", customer);
    await opened.ask(["1", "1", `tickets:${id}`, "phx_join", {}]);
    const bearer = { authorization: `Bearer ${token}` };
    await ask("GET", `/tickets/${id}`, undefined, bearer);
    await ask("POST", `/tickets/${id}/comments`, { content: `${CANARY} note`, is_internal: true });
    await ask("POST", `/tickets/${id}/comments`, { content: "a word" });
    await Promise.all([agent, page, polling].map((it) => it.next("comment_created")));
    await opened.event("comment_created");
    assert.equal(agent.received("internal_note_created").length, 1);
    assert.deepEqual(takeEscaped(), []);
    // Said in public it is a leak only to whoever looks for one.
    await ask("PATCH", `/tickets/${id}`, { title: `${CANARY} in public` });
    await Promise.all([agent, page, polling].map((it) => it.next("ticket_updated")));
    await opened.event("ticket_updated");
    assert.equal(takeEscaped().length, 3, "two sockets and one that polls");
    await ask("GET", `/tickets/${id}`, undefined, bearer);
    assert.equal(takeEscaped().length, 1);
  });
});
