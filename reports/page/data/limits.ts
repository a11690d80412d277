// The numbers of the gate that a run was judged by.
import type { EncoderEntry, Run } from "./run.ts";

/** The limit of a quantity by its name in the gate; null where the run does not tell (before 1.4). */
export function limitOf(run: Run, quantity: string): number | null {
  return run.gate.find((limit) => limit.quantity === quantity)?.limit ?? null;
}

/** Of the match of a layer's attention, percent. */
export const matchLimit = (run: Run): number | null => limitOf(run, "match");

/** Of the match along an encoder: tighter where the attention alone is on the NPU. */
export const driftLimit = (run: Run, encoder: EncoderEntry): number | null =>
  limitOf(
    run,
    encoder.candidate.placement === "attention" ? "encoder match" : "piece and encoder match",
  );

/** "at least 99.9% is the criterion" */
export const criterion = (limit: number | null): string =>
  limit === null ? "the gate has the criterion" : `at least ${limit}% is the criterion`;
