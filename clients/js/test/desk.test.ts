import { expect, test } from "vitest";
import { asOfWords } from "../console/src/as-of.ts";
import { threaded } from "../console/src/desk/conversation.tsx";
import { webHost } from "../console/src/desk/files.tsx";
import { fileDrafts } from "../console/src/desk/files-field.tsx";
import { withNames, withOldNames } from "../console/src/desk/names.ts";
import {
  ago,
  failureWords,
  fileSize,
  historyWords,
  problemWords,
} from "../console/src/desk/words.ts";
import { deskHref, NEW_TICKET, parseRoute } from "../console/src/route.ts";
import { PenholderError, TicketsError } from "../src/index.ts";
import { at, comment } from "./ticket-fixtures.ts";

test("the address says which page, ticket and filters, and what is unknown is left out", () => {
  const filters = { status: ["open", "closed"], priority: "high", q: "a & b", assigned_to: "ada" };
  const href = deskHref("t1", filters as never);
  expect(parseRoute(href.slice(1))).toEqual({ page: "desk", open: "t1", filters });
  expect(parseRoute("")).toEqual({ page: "desk", open: null, filters: {} });
  expect(deskHref(null, {})).toBe("/");
  expect(parseRoute(deskHref(NEW_TICKET, {}).slice(1))).toMatchObject({ open: NEW_TICKET });
  expect(parseRoute("?status=lost&priority=huge")).toMatchObject({ filters: {} });
  expect(parseRoute("?topics")).toEqual({ page: "topics", topic: null });
  expect(parseRoute("?topic=doc:42")).toEqual({ page: "topics", topic: "doc:42" });
});

test("each comment stands after what it answers, and an orphan by itself", () => {
  const comments = [
    comment(1),
    comment(2),
    comment(3, { parent_id: "c1" }),
    comment(4, { parent_id: "c3" }),
    comment(5, { parent_id: "gone" }),
    comment(6, { parent_id: "c1" }),
  ];
  const shown = threaded(comments).map(({ comment: { id }, depth }) => `${id}:${depth}`);
  expect(shown).toEqual(["c1:0", "c3:1", "c4:2", "c6:1", "c2:0", "c5:0"]);
});

test("a thread of any depth is laid out, and comments that answer in a circle do not hang it", () => {
  const deep = Array.from({ length: 5000 }, (_, n) => comment(n, { parent_id: `c${n - 1}` }));
  expect(threaded(deep)).toHaveLength(5000);
  const circle = [comment(1, { parent_id: "c2" }), comment(2, { parent_id: "c1" })];
  expect(threaded(circle).length).toBeLessThanOrEqual(2);
});

test("customers read of statuses from their side", () => {
  const what = { type: "status", from: "open", to: "waiting_for_user" } as const;
  const entry = { key: "", at: at(1), actor: null, what, reason: null, penOf: null };
  expect(historyWords(entry, true)).toContain("“Waiting for customer”");
  expect(historyWords(entry, false)).toContain("“Waiting for you”");
});

test("what went wrong says what to do", () => {
  const error = (code: string, status: number) =>
    new TicketsError({ code, message: "As told.", status });
  expect(problemWords(error("ticket_closed", 409))).toContain("Open it again");
  expect(problemWords(error("something_new", 409))).toBe("As told.");
  expect(problemWords(error("internal", 500))).toBe("As told. Try again.");
  expect(problemWords(new PenholderError("timeout", "No answer."))).toBe("No answer.");
});

test("ages are told in words", () => {
  const now = Date.parse(at(0));
  const back = (ms: number) => ago(new Date(now - ms).toISOString(), now);
  expect(back(0)).toBe("just now");
  expect(back(-5000)).toBe("just now");
  expect(back(90_000)).toBe("1 min ago");
  expect(back(7_200_000)).toBe("2 h ago");
  expect(back(3 * 86_400_000)).toBe("3 d ago");
});

test("a ticket that is not there is told apart from a server that is away", () => {
  const title = (status: number | null) =>
    failureWords(new TicketsError({ code: "c", message: "As told.", status })).title;
  expect(title(404)).toBe("No such ticket");
  expect(new Set([404, 403, 429, 500, null].map(title)).size).toBe(5);
});

test("only addresses of the web become links", () => {
  expect(webHost("https://example.org:8080/a?b")).toBe("example.org:8080");
  expect(webHost("HTTP://example.org")).toBe("example.org");
  for (const url of ["javascript:alert(1)", "data:text/html,x", "//example.org", "http://", ""]) {
    expect(webHost(url)).toBeNull();
  }
});

test("lengths of files are round numbers, and none where nobody knows", () => {
  const sizes = [0, 1, 999, 1000, 1_234, 12_345, 999_600, 2_400_000, 5e12].map(fileSize);
  const words = [null, "1 byte", "999 bytes", "1.0 kB", "1.2 kB", "12 kB", "1.0 MB", "2.4 MB"];
  expect(sizes).toEqual([...words, "5.0 TB"]);
});

test("a file without a name has that of its address, and a blank line is none", () => {
  const files = [
    { url: " https://example.org/a%20b.png?x ", name: "" },
    { url: "", name: " " },
    { url: "https://example.org", name: "" },
    { url: "https://example.org/%E0%A4%A", name: "" },
    { url: "somewhere", name: "" },
    { url: "https://example.org/c", name: " C " },
  ];
  expect(fileDrafts(files).map(({ name }) => name)).toEqual([
    "a b.png",
    "example.org",
    "%E0%A4%A",
    "somewhere",
    "C",
  ]);
});

test("what people were called once tells nothing of those of whom newer is known", () => {
  const was = (name: string, n: number) => [["zoe", { name, at: at(n) }]] as const;
  const nameIn = (known: ReturnType<typeof withNames>) => known.get("zoe")?.name;
  const first = withOldNames(new Map(), was("Zoe", 5));
  expect(nameIn(first)).toBe("Zoe");
  expect(withOldNames(first, was("Zoey", 4))).toBe(first);
  const later = withOldNames(first, was("Zoë", 6));
  expect(nameIn(later)).toBe("Zoë");
  const now = withNames(later, [["zoe", "Zoë Zimmer"]]);
  expect(withOldNames(now, was("Zoë", 7))).toBe(now);
  expect(withNames(now, [["zoe", "Zoë Zimmer"]])).toBe(now);
  expect(nameIn(withNames(now, [["zoe", "Zoë Z."]]))).toBe("Zoë Z.");
});

test("an answer that was asked for before somebody was renamed does not undo it, whenever it comes", () => {
  const renamed = withNames(new Map(), [["zoe", "Zoë"]], { nth: 5 });
  expect(withNames(renamed, [["zoe", "Zoe"]], { nth: 6, asked: 4 })).toBe(renamed);
  expect(withNames(renamed, [["yan", "Yan"]], { nth: 6, asked: 4 }).get("yan")?.name).toBe("Yan");
  const asked = withNames(renamed, [["zoe", "Zoë Z."]], { nth: 6, asked: 5 });
  expect(asked.get("zoe")?.name).toBe("Zoë Z.");
  // What somebody was called once is no word of now.
  const old = withOldNames(new Map(), [["zoe", { name: "Zoe", at: at(9) }]]);
  expect(withNames(old, [["zoe", "Zoë"]], { nth: 1, asked: 0 }).get("zoe")?.name).toBe("Zoë");
});

test("what is not of now says since when, with the day where that was another", () => {
  const now = new Date(2026, 0, 2, 14, 2).getTime();
  expect(asOfWords(now - 60_000, now)).toMatch(/^as of .*01/);
  expect(asOfWords(now - 86_400_000, now).length).toBeGreaterThan(asOfWords(now, now).length);
});
