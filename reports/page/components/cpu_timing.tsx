// How the CPU was timed, and its own runs against each other.
import type { JSX } from "preact";
import type { CpuTiming as Timing } from "../data/origin.ts";
import { useShared } from "./context.ts";
import { Value } from "./number.tsx";

export function CpuTiming(): JSX.Element | null {
  const { run } = useShared();
  const timing = run.cpu_timing;
  return timing === null ? null : <TimingLine timing={timing} />;
}

const path = "cpu_timing";

function TimingLine({ timing }: { timing: Timing }): JSX.Element {
  const { fewest_samples: fewest, most_samples: most, noise_95: noise } = timing;
  const ratios = [timing.odd_over_even, timing.second_over_first];
  const quiet = ratios.every((ratio) => Math.abs(ratio - 1) <= noise);
  return (
    <p class={`card${quiet ? "" : " edge-unstable"}`} id="cpu-timing">
      CPU timed {fewest === most ? most : `${fewest} to ${most}`} times a layer
      {timing.elsewhere && ", on another machine (--cpu-baseline)"}, warm;{" "}
      {timing.median_half_width_95 === null ? (
        "too few runs for an interval of the median"
      ) : (
        <>
          medians known within{" "}
          <Value value={timing.median_half_width_95} path={`${path}.median_half_width_95`} format="share" />%
        </>
      )}
      . A/A: odd over even runs{" "}
      <Value value={timing.odd_over_even} path={`${path}.odd_over_even`} format="thousandths" />, second half
      over first{" "}
      <Value value={timing.second_over_first} path={`${path}.second_over_first`} format="thousandths" />:{" "}
      {quiet ? "within noise" : <strong>beyond noise, clock or load drift</strong>} (1 ±{" "}
      <Value value={noise} path={`${path}.noise_95`} format="thousandths" />)
    </p>
  );
}
