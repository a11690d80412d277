// As large a run as they come: 32 layers of 12 ops, both inputs, one layer failing, and a year of nights.
import type { HeadErrorMap, OpRow, Run } from "../data/run.ts";
import type { Trend } from "../data/trends.ts";

const ops = ["attention_norm", "query", "key", "value", "scores", "probabilities", "context", "output"];
const allOps = [...ops, "mlp_norm", "fc1", "gelu", "fc2"];
const nights = 365;

/** `run`: a real one, whose rows and layers are repeated. */
export function largeRun(run: Run): Run {
  const judged = run.rows.filter((row) => row.statistics);
  const rows: OpRow[] = [];
  for (let layer = 0; layer < 32; ++layer) {
    for (const input of ["isolated", "chained"] as const) {
      for (const op of allOps) {
        const model = judged[rows.length % judged.length];
        if (model === undefined) {
          throw new Error("the run has no judged row");
        }
        const failed: Partial<OpRow> =
          layer === 7
            ? { verdict: "failed", reason: "9 of 64000 elements outside their bound", error_maps: maps() }
            : { verdict: "passed", reason: "" };
        rows.push({ ...model, layer, op, input, ...failed });
      }
    }
  }
  const layers = Array.from({ length: 32 }, (_, layer) => {
    const model = run.layers[layer % run.layers.length];
    if (model === undefined) {
      throw new Error("the run has no layer");
    }
    return { ...model, layer };
  });
  return { ...run, verdict: "failed", exit_code: 1, rows, layers };
}

function maps(): HeadErrorMap[] {
  const line = "abcdefghij".repeat(5).slice(0, 47);
  return [0, 1, 2, 3].map((head) => ({ head, rho: 12.5, tiles: Array.from({ length: 47 }, () => line) }));
}

export function yearOfNights(): Trend[] {
  const begin = Date.UTC(2026, 0, 1, 2);
  return ["CPU ms", "NPU ms", "match %"].flatMap((quantity, at) =>
    allOps.map((row, index) => ({
      row,
      quantity,
      kind: quantity === "NPU ms" ? "modelled" : "measured",
      points: Array.from({ length: nights }, (_, night) => ({
        created_utc: new Date(begin + night * 864e5).toISOString(),
        commit: (night * 7919 + 1e6).toString(16),
        value: at === 2 ? 99.97 - ((night * 7) % 13) / 1e3 : index + 1 + ((night * 31) % 17) / 50,
      })),
    })),
  );
}
