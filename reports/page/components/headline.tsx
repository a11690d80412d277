// The verdict in one line, what it was run on, and the switch of the theme.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { themeChanged } from "../charts/draw.ts";
import { instant, shortCommit } from "../data/figures.ts";
import type { Shard } from "../data/origin.ts";
import { tally } from "../data/troubles.ts";
import { exitMeaning, signOf, wordOf } from "../data/verdicts.ts";
import { useShared } from "./context.ts";

export function Headline(): JSX.Element {
  const { run } = useShared();
  const { identities } = run;
  return (
    <header class={`headline-bar verdict-${run.verdict}`}>
      <div class="headline-text">
        <p class="verdict-line" role="status">
          <span class="verdict-sign" aria-hidden="true">
            {signOf(run.verdict)}
          </span>
          <strong>{wordOf(run.verdict)}</strong>
          <span>
            {tally(run)} · exit code{" "}
            <data value={String(run.exit_code)} data-path="exit_code" data-scale="1">
              {run.exit_code}
            </data>{" "}
            ({exitMeaning(run.exit_code)})
          </span>
        </p>
        <p class="muted origin">
          {identities.recording["model_id"]}, T = {identities.recording["context"]} · design{" "}
          {identities.design} on {identities.device}
          {["", identities.device].includes(identities.emulation)
            ? ""
            : `, ${identities.emulation} emulation`}{" "}
          · {instant(run.created_utc)} · commit {shortCommit(run.environment.commit)}
        </p>
        <Part shard={run.shard} />
      </div>
      <ThemeSwitch />
    </header>
  );
}

/** Says where the run is not whole. */
function Part({ shard }: { shard: Shard | null }): JSX.Element | null {
  if (shard === null || (shard.shards.length === shard.of && shard.lost.length === 0)) {
    return null;
  }
  const lost = shard.lost.length === 0 ? "" : `; lost: ${shard.lost.join("; ")}`;
  return (
    <p class="part">
      <strong>Only a part of a run:</strong> {shard.shards.length === 1 ? "shard" : "shards"}{" "}
      {shard.shards.join(", ")} of {shard.of}
      {lost}
    </p>
  );
}

const themes = ["system", "light", "dark"] as const;
type Theme = (typeof themes)[number];

// The system's theme until it is switched; not kept, for a page from disk may have no storage.
function ThemeSwitch(): JSX.Element {
  const [theme, setTheme] = useState<Theme>("system");
  const change = (next: Theme): void => {
    document.documentElement.dataset["theme"] = next;
    setTheme(next);
    window.dispatchEvent(new Event(themeChanged));
  };
  return (
    <fieldset class="theme">
      <legend class="unseen">Theme</legend>
      {themes.map((one) => (
        <label key={one} class={one === theme ? "on" : ""}>
          <input
            type="radio"
            name="theme"
            value={one}
            checked={one === theme}
            onChange={() => change(one)}
          />
          {one}
        </label>
      ))}
    </fieldset>
  );
}
