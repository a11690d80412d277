// Verdicts in the words, signs and order that every view uses.
import type { Run, Verdict } from "./run.ts";

/** The first of these that occurs decides a group: as worst_verdict in harness/run_record.cpp. */
export const verdictOrder: readonly Verdict[] = [
  "not_run",
  "unstable",
  "failed",
  "mistrusted",
  "accepted",
  "passed",
  "covered",
];

const signs: Record<Verdict, string> = {
  passed: "✓",
  accepted: "≲",
  failed: "✗",
  mistrusted: "?",
  not_run: "∅",
  covered: "·",
  unstable: "≈",
};

const meanings: Record<Verdict, string> = {
  passed: "within every limit of the gate",
  accepted: "misses the match criterion alone, by no more than is accepted",
  failed: "beyond a limit of the gate",
  mistrusted: "what it was judged by cannot be trusted",
  not_run: "was asked for and did not run",
  covered: "inside a fused step, judged with it",
  unstable: "another result for the same input",
};

const exitMeanings: Record<number, string> = {
  0: "nothing failed",
  1: "accuracy failed or mistrusted",
  2: "usage",
  3: "could not run",
  4: "performance regressed",
  5: "unstable device",
  130: "interrupted",
};

export const signOf = (verdict: Verdict): string => signs[verdict];
export const meaningOf = (verdict: Verdict): string => meanings[verdict];
export const wordOf = (verdict: Verdict): string => verdict.replace("_", " ");
export const exitMeaning = (code: number): string => exitMeanings[code] ?? "unknown";

/** Whether somebody has to look at it. */
export const isTrouble = (verdict: Verdict): boolean =>
  verdict !== "passed" && verdict !== "accepted" && verdict !== "covered";

/** Verdicts that occur among the items, in their order, with how often. */
export function counts(items: readonly { verdict: Verdict }[]): [Verdict, number][] {
  return verdictOrder
    .map((verdict): [Verdict, number] => [verdict, items.filter((item) => item.verdict === verdict).length])
    .filter(([, count]) => count > 0);
}

/** What the verdict of the run rests on, one clause each. */
export function foundations(run: Run): string[] {
  const out: string[] = [];
  const clause = (what: string, items: readonly { verdict: Verdict }[]): void => {
    if (items.length > 0) {
      const parts = counts(items).map(([verdict, count]) => `${count} ${wordOf(verdict)}`);
      out.push(`${what}: ${parts.join(", ")}`);
    }
  };
  clause("rows (op, layer, input)", run.rows);
  clause(
    "headlines (match of a layer)",
    run.layers.map((layer) => layer.headline),
  );
  clause(
    "encoders",
    run.encoders.map((encoder) => encoder.candidate),
  );
  clause("probes", [...run.layers.flatMap((layer) => layer.probes), ...run.ragged_probes]);
  clause(
    "repeated launches (A, B, A)",
    run.layers.map((layer) => layer.repeatability),
  );
  clause("classes of faults that the data can reveal", run.data_trust);
  const certificates = [
    ...run.layers.map((layer) => layer.certificate),
    ...run.encoders.flatMap((encoder) => Object.values(encoder.certificates)),
  ];
  const certified = certificates.filter((certificate) => certificate.certified).length;
  if (certificates.length > 0) {
    out.push(`golden certified against the fp64 oracle: ${certified} of ${certificates.length} pieces`);
  }
  const provisional = run.gate.filter((limit) => limit.gated && limit.provisional !== "").length;
  out.push(`gated limits that are provisional (synthetic data): ${provisional}`);
  return out;
}
