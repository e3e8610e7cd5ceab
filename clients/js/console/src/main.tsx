import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { startSession } from "./session.ts";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/shell.css";
import "./styles/topics.css";
import "./styles/topic.css";
import "./styles/frames.css";
import "./styles/desk.css";
import "./styles/many.css";
import "./styles/ticket.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

// Outside React: StrictMode renders twice, and there must be one connection.
const restored = startSession();

createRoot(root).render(
  <StrictMode>
    <App restored={restored} />
  </StrictMode>,
);
