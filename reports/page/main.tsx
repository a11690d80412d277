// Reads what the page carries and draws it; draws every view, in light colours, while the page is printed.
import { render } from "preact";
import { Page } from "./components/page.tsx";
import { themeChanged } from "./charts/draw.ts";
import { embedded, embeddedText } from "./data/embedded.ts";
import type { RecordedRun } from "./data/normalised.ts";
import { normalised } from "./data/normalised.ts";
import type { Trend } from "./data/trends.ts";
import "./style/page.css";

async function start(root: HTMLElement): Promise<void> {
  const text = await embeddedText("run");
  if (text === null) {
    root.textContent = "This page carries no run: it is the template that `harness report` fills.";
    return;
  }
  const run = normalised(JSON.parse(text) as RecordedRun);
  const trends = (await embedded<Trend[]>("trends")) ?? [];
  const draw = (printing: boolean): void =>
    render(<Page run={run} text={text} trends={trends} printing={printing} />, root);
  draw(false);
  // Rendering is synchronous here, so that the printer sees the whole page.
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    draw(true);
    window.dispatchEvent(new Event(themeChanged));
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    draw(false);
    window.dispatchEvent(new Event(themeChanged));
  });
}

const root = document.getElementById("page");
if (root !== null) {
  start(root).catch((error: unknown) => {
    root.textContent = `The data of this page cannot be read: ${String(error)}`;
    throw error;
  });
}
