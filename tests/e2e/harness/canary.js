// A canary in what only the staff may see: tests put it there, and all that anybody else gets is looked through for it.

/** Begins every text of a test that only the staff may see. The Rust harness has the same. */
export const CANARY = "zq7v2canaryk5x9w";

/** What was found since somebody asked last. */
let escaped = [];

/** Whether a token is one of the staff's, by its own word. */
const isStaff = (token) => {
  try {
    const { role } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    return role === "admin" || role === "agent";
  } catch {
    return false;
  }
};

/** Looks through what somebody with this token was sent: text, or bytes. */
export function look(token, sent) {
  const text = sent.toString("utf8");
  if (!isStaff(token) && text.toLowerCase().includes(CANARY)) escaped.push(text);
}

/** Returns what was sent to whom it is not for, once. */
export function takeEscaped() {
  const taken = escaped;
  escaped = [];
  return taken;
}
