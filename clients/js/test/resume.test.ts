import { beforeEach, expect, test } from "vitest";
import { ResumeTokens } from "../src/resume.ts";

beforeEach(() => sessionStorage.clear());

test("a reload takes the tokens over, and takes them out of storage", () => {
  const before = new ResumeTokens("ws://here", sessionStorage);
  before.set("doc:1", { resume: "r1", key: "ada" });
  before.save();
  const after = new ResumeTokens("ws://here", sessionStorage);
  expect(after.get("doc:1", "ada")).toBe("r1");
  expect(sessionStorage.length).toBe(0);
});

test("a duplicated tab finds nothing of its twin's", () => {
  const original = new ResumeTokens("ws://here", sessionStorage);
  original.set("doc:1", { resume: "r1", key: "ada" });
  const twin = new ResumeTokens("ws://here", sessionStorage);
  expect(twin.get("doc:1", "ada")).toBeNull();
});

test("another person does not continue the session", () => {
  const tokens = new ResumeTokens("ws://here", null);
  tokens.set("doc:1", { resume: "r1", key: "ada" });
  expect(tokens.get("doc:1", "bruno")).toBeNull();
  expect(tokens.get("doc:1", null)).toBe("r1");
});

test("another server has its own", () => {
  const here = new ResumeTokens("ws://here", sessionStorage);
  here.set("doc:1", { resume: "r1", key: "ada" });
  here.save();
  expect(new ResumeTokens("ws://there", sessionStorage).get("doc:1", "ada")).toBeNull();
});

test("a page that comes back with its memory leaves nothing behind", () => {
  const tokens = new ResumeTokens("ws://here", sessionStorage);
  tokens.set("doc:1", { resume: "r1", key: "ada" });
  tokens.save();
  tokens.discardSaved();
  expect(sessionStorage.length).toBe(0);
  expect(tokens.get("doc:1", "ada")).toBe("r1");
});

test("broken and forbidden storage is as good as none", () => {
  sessionStorage.setItem("penholder:resume:ws://here", "{not json");
  expect(new ResumeTokens("ws://here", sessionStorage).get("doc:1", null)).toBeNull();
  const refuse = () => {
    throw new DOMException("denied", "SecurityError");
  };
  const tokens = new ResumeTokens("x", { getItem: refuse, setItem: refuse, removeItem: refuse });
  tokens.set("doc:1", { resume: "r1", key: "ada" });
  expect(() => tokens.save()).not.toThrow();
});
