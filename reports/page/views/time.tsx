// Where time goes: CPU and NPU by op, what bounds the NPU, a layer's timeline, what moving ops is worth.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { amdahl } from "../charts/amdahl.ts";
import type { StepBar } from "../charts/step_times.ts";
import { stepTimes } from "../charts/step_times.ts";
import { timeline } from "../charts/timeline.ts";
import { BaselineTable } from "../components/baseline_table.tsx";
import { Chart } from "../components/chart.tsx";
import { useShared } from "../components/context.ts";
import { CpuTiming } from "../components/cpu_timing.tsx";
import { EncoderOpTable } from "../components/encoder_op_table.tsx";
import { LaunchTable } from "../components/launch_table.tsx";
import { AmdahlTable, ModelledStepTable } from "../components/model_tables.tsx";
import { OpTable } from "../components/op_table.tsx";
import { RealTimeTable } from "../components/real_time_table.tsx";
import { speedupKind } from "../data/kinds.ts";
import type { OpRange, Run } from "../data/run.ts";
import { rangeName } from "../data/run.ts";

const rowHeight = 46;
const frameHeight = 80;

/** Steps that were timed: per layer of a comparison, over all layers of an encoder. */
function stepBars(run: Run): StepBar[] {
  const intervalOf = (ops: OpRange): [number, number] | null => {
    const step = run.time_model?.steps.find((one) => rangeName(one.ops) === rangeName(ops));
    return step ? [step.low_seconds, step.high_seconds] : null;
  };
  return run.ops.flatMap((op) => {
    const time = op.mean_time_per_layer;
    return time === null
      ? []
      : [
          {
            name: rangeName(time.ops),
            cpu: { seconds: time.cpu.value, kind: time.cpu.kind },
            npu: { seconds: time.npu.value, kind: time.npu.kind },
            interval: time.npu.kind === "modelled" ? intervalOf(time.ops) : null,
            speedup: time.speedup.value,
          },
        ];
  });
}

function encoderBars(run: Run): StepBar[] {
  return (run.encoders[0]?.ops ?? []).flatMap((op) =>
    op.npu === null
      ? []
      : [
          {
            name: rangeName(op.ops),
            cpu: { seconds: op.cpu.value, kind: op.cpu.kind },
            npu: { seconds: op.npu.value, kind: op.npu.kind },
            interval: null,
            speedup: null,
          },
        ],
  );
}

export function Time(): JSX.Element {
  const { run } = useShared();
  const ofEncoder = run.encoders.length > 0;
  const bars = useMemo(() => (ofEncoder ? encoderBars(run) : stepBars(run)), [run]);
  const content = useMemo(() => stepTimes(bars), [bars]);
  const scope = ofEncoder ? "whole encoder" : "per layer, mean over the layers";
  const label = run.speedup_label === "" ? "" : `; speedup ${run.speedup_label}`;
  const summary = `${scope}; hatched bars are modelled${label}`;
  return (
    <>
      {bars.length > 0 ? (
        <Chart
          name="step-times"
          title="Time by op"
          summary={summary}
          height={bars.length * rowHeight + frameHeight}
          content={content}
        />
      ) : (
        <p class="card">No times: only what passed is timed, and numbers from a file have none.</p>
      )}
      {run.ops.length > 0 && <OpTable />}
      {run.encoders.map((encoder, index) => (
        <EncoderOpTable key={index} encoder={encoder} index={index} />
      ))}
      <LaunchTable />
      <CpuTiming />
      <RealTimeTable />
      {run.time_model && <TimeModelSection run={run} />}
      {run.baseline && <BaselineTable baseline={run.baseline} />}
    </>
  );
}

function TimeModelSection({ run }: { run: Run }): JSX.Element | null {
  const model = run.time_model;
  const steps = model?.steps ?? [];
  const lines = model?.amdahl ?? [];
  const layer = useMemo(() => timeline(steps), [steps]);
  const kind = speedupKind(run);
  const law = useMemo(() => amdahl(lines, kind), [lines, kind]);
  if (model === null) {
    return null;
  }
  return (
    <section aria-labelledby="model">
      <h2 id="model">The time model: {model.device}</h2>
      <p class="muted">
        {model.assumptions}. Every time here is modelled; a measured one lies within a factor of{" "}
        {model.interval_factor_90.toFixed(2)} either way in 90% of the published cases.
      </p>
      <Chart
        name="timeline"
        title="Timeline of one layer"
        summary="modelled; steps in order, within a step the parts are sums, not an order"
        height={steps.length * 30 + frameHeight}
        content={layer}
      />
      <ModelledStepTable steps={steps} />
      {lines.length > 0 && (
        <>
          <Chart
            name="amdahl"
            title="What moving each op is worth"
            summary={`Amdahl’s law on ${model.whole}; ${run.speedup_label || "projected"}`}
            height={lines.length * rowHeight + frameHeight}
            content={law}
          />
          <AmdahlTable lines={lines} kind={kind} />
        </>
      )}
    </section>
  );
}
