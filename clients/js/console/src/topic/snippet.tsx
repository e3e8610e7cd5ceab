import { CopyButton } from "../copy-button.tsx";

/** The same topic from any page, with the unmodified npm package. */
export function Snippet({ topic }: { topic: string }) {
  const code = snippet(topic);
  return (
    <details className="card snippet">
      <summary data-testid="snippet">
        Join this topic with npm <code>phoenix</code>
      </summary>
      <pre>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
        <code tabIndex={0}>{code}</code>
      </pre>
      <CopyButton text={() => code} testId="copy-snippet" />
    </details>
  );
}

function snippet(topic: string): string {
  const http = location.origin;
  const ws = http.replace(/^http/, "ws");
  return `import { Presence, Socket } from "phoenix";

// On a development server; elsewhere your backend signs the token.
const { token } = await (await fetch("${http}/dev/token?user=kim&name=Kim&role=agent")).json();

const socket = new Socket("${ws}/socket", { authToken: token });
const channel = socket.channel("${topic}", { mode: "edit" });
const presence = new Presence(channel);
presence.onSync(() => console.log("here:", presence.list((id) => id)));
channel.on("presence_summary", (summary) =>
  console.log("first:", summary.prior_user_presence?.user.name),
);
socket.connect();
channel.join();
`;
}
