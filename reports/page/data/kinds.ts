// Which kind of number a whole has whose parts are of different kinds.
import type { Kind, Run } from "./run.ts";

/** A speedup is as good as its weaker side, and over two machines nobody has measured it: the run says so. */
export function speedupKind(run: Run): Kind {
  const kinds = [
    ...run.layers.flatMap((layer) => layer.steps.map((step) => step.speedup.kind)),
    ...run.encoders.flatMap((encoder) => encoder.placements.map((placement) => placement.npu.kind)),
  ];
  return kinds.includes("modelled") || !kinds.includes("measured") ? "modelled" : "measured";
}
