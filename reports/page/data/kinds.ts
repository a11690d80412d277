// Which kind of number a whole has whose parts are of different kinds.
import type { Kind, Run } from "./run.ts";

/** A speedup is as good as its weaker side: modelled where the NPU's times of this run are. */
export function speedupKind(run: Run): Kind {
  const sides = [
    ...run.layers.flatMap((layer) => layer.steps.map((step) => step.npu.kind)),
    ...run.encoders.flatMap((encoder) => encoder.placements.map((placement) => placement.npu.kind)),
  ];
  return sides.includes("modelled") || !sides.includes("measured") ? "modelled" : "measured";
}
