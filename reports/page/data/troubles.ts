// What of a run somebody has to look at: rows, and the judgements that are no rows. As overall_verdict in
// harness/run_record.cpp counts them.
import type { IndexedRow } from "./rows.ts";
import { troubled } from "./rows.ts";
import type { Judgement, Run } from "./run.ts";
import { pieceName } from "./run.ts";
import { counts, isTrouble, wordOf } from "./verdicts.ts";

/** A judgement that is no row. */
export interface OtherTrouble {
  what: "headline" | "repetition" | "probe" | "class of faults" | "encoder";
  name: string;
  judgement: Judgement;
  why: string; // the hypothesis; empty: none
  reproduce: string | undefined;
}

/** Headlines, repetitions, probes, classes of faults and encoders that did not pass. */
export function otherTroubles(run: Run): OtherTrouble[] {
  const out: OtherTrouble[] = [];
  const add = (
    what: OtherTrouble["what"],
    name: string,
    judgement: Judgement,
    reproduce?: string,
    why = "",
  ): void => {
    if (isTrouble(judgement.verdict)) {
      out.push({ what, name, judgement, why, reproduce });
    }
  };
  for (const layer of run.layers) {
    const where = `${layer.clip}, ${pieceName(layer.layer)}`;
    const { diagnosis } = layer.headline;
    const why = diagnosis ? `${diagnosis.pattern.replaceAll("_", " ")}: ${diagnosis.evidence}` : "";
    // Not run: nobody asked for the chained output, or nothing was compared.
    if (layer.headline.verdict !== "not_run") {
      add("headline", `headline of ${where}`, layer.headline, layer.reproduce, why);
    }
    if (layer.repeatability.verdict !== "not_run") {
      add("repetition", `repeated launches of ${where}`, layer.repeatability, layer.reproduce);
    }
    layer.probes.forEach((probe) =>
      add("probe", `probe ${probe.probe} of ${where}`, probe, probe.reproduce),
    );
  }
  run.ragged_probes.forEach((probe) =>
    add("probe", `probe ${probe.probe} at T = ${probe.context}`, probe, probe.reproduce),
  );
  run.data_trust
    .filter((trust) => trust.verdict === "mistrusted")
    .forEach((trust) => add("class of faults", `data: ${trust.fault_class.replaceAll("_", " ")}`, trust));
  run.encoders.forEach((encoder) =>
    add("encoder", `encoder, clip ${encoder.clip}`, encoder.candidate, encoder.reproduce),
  );
  return out;
}

export interface Troubles {
  rows: IndexedRow[]; // worst first
  others: OtherTrouble[];
}

export function troublesOf(run: Run): Troubles {
  return { rows: troubled(run.rows), others: otherTroubles(run) };
}

const plural: Record<OtherTrouble["what"], string> = {
  headline: "headlines",
  repetition: "repetitions",
  probe: "probes",
  "class of faults": "classes of faults",
  encoder: "encoders",
};

/** "1 headline, 2 probes"; empty where there are none. */
export function countsOfOthers(others: readonly OtherTrouble[]): string {
  const kinds = Object.keys(plural) as OtherTrouble["what"][];
  return kinds
    .map((what) => ({ what, count: others.filter((one) => one.what === what).length }))
    .filter(({ count }) => count > 0)
    .map(({ what, count }) => `${count} ${count === 1 ? what : plural[what]}`)
    .join(", ");
}

// What a run judged first of all: rows, else encoders, else probes alone.
function judgedBy(run: Run): { noun: OtherTrouble["what"] | "row"; judged: readonly Judgement[] } {
  if (run.rows.length > 0) {
    return { noun: "row", judged: run.rows };
  }
  return run.encoders.length > 0
    ? { noun: "encoder", judged: run.encoders.map((encoder) => encoder.candidate) }
    : { noun: "probe", judged: run.ragged_probes };
}

/** "84 rows: 84 passed; besides them to look at: 1 headline" */
export function tally(run: Run): string {
  const { noun, judged } = judgedBy(run);
  const parts = counts(judged).map(([verdict, count]) => `${count} ${wordOf(verdict)}`);
  const others = countsOfOthers(otherTroubles(run).filter((one) => one.what !== noun));
  const besides = others === "" ? "" : `; besides them to look at: ${others}`;
  const accepted = run.layers.filter((layer) => layer.headline.verdict === "accepted").length;
  const missed =
    accepted === 0 ? "" : `; ${accepted} of ${run.layers.length} layers miss the match, as accepted`;
  const nouns = noun === "row" ? "rows" : judged.length === 1 ? noun : plural[noun];
  return `${judged.length} ${nouns}: ${parts.join(", ")}${missed}${besides}`;
}
