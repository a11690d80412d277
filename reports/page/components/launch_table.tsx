// Launches that a device with a clock measured, beside what the model says of the same step.
import type { JSX } from "preact";
import type { LaunchTimes, OpSummary, StepTime } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import { useShared } from "./context.ts";
import { FigureValue, Time } from "./number.tsx";
import type { Column } from "./table.tsx";
import { Table } from "./table.tsx";

interface Line {
  step: StepTime;
  times: LaunchTimes;
  path: string;
}

function lineOf(op: OpSummary, index: number): Line[] {
  const step = op.mean_time_per_layer;
  return step?.launch_times === undefined
    ? []
    : [{ step, times: step.launch_times, path: `ops.${index}.mean_time_per_layer` }];
}

function part(name: "submit" | "wait" | "to_device" | "from_device", title: string): Column<Line> {
  return {
    name,
    title,
    numeric: true,
    cell: ({ times, path }) => <Time duration={times[name]} path={`${path}.launch_times.${name}`} />,
    key: ({ times }) => times[name].value,
  };
}

function count(name: "launches" | "submissions" | "context_switches", title: string): Column<Line> {
  return {
    name,
    title,
    numeric: true,
    cell: ({ times, path }) => (
      <FigureValue figure={times[name]} path={`${path}.launch_times.${name}`} format="grouped" kind />
    ),
    key: ({ times }) => times[name].value,
  };
}

export function LaunchTable(): JSX.Element | null {
  const { run } = useShared();
  const lines = run.ops.flatMap(lineOf);
  if (lines.length === 0) {
    return null;
  }
  return (
    <Table
      name="launches"
      caption="Launches per layer: host wall time inside the calls of the device, beside the model"
      items={lines}
      identify={({ path }) => path}
      columns={[
        { name: "op", title: "op", cell: ({ step }) => rangeName(step.ops) },
        {
          name: "total",
          title: "total ms",
          numeric: true,
          cell: ({ times, path }) => <Time duration={times.total} path={`${path}.launch_times.total`} />,
          key: ({ times }) => times.total.value,
        },
        {
          name: "modelled",
          title: "modelled ms",
          numeric: true,
          cell: ({ step, path }) => <Time duration={step.npu_modelled} path={`${path}.npu_modelled`} />,
          key: ({ step }) => step.npu_modelled?.value,
        },
        part("submit", "submit ms"),
        part("wait", "wait ms"),
        part("to_device", "to device ms"),
        part("from_device", "from device ms"),
        count("launches", "launches"),
        count("submissions", "submissions"),
        count("context_switches", "switches"),
      ]}
    />
  );
}
