// A verdict: sign, word and colour, of which the colour may be missing.
import type { JSX } from "preact";
import type { Verdict } from "../data/run.ts";
import { meaningOf, signOf, wordOf } from "../data/verdicts.ts";

export function VerdictBadge({ verdict }: { verdict: Verdict }): JSX.Element {
  return (
    <span class={`badge verdict-${verdict}`} title={meaningOf(verdict)}>
      <span aria-hidden="true">{signOf(verdict)}</span> {wordOf(verdict)}
    </span>
  );
}
