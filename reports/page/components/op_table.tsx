// Every op over all layers: the worst figures and the mean time, both sides with their kinds.
import type { JSX } from "preact";
import type { OpSummary } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import { useShared } from "./context.ts";
import { FigureValue, Time } from "./number.tsx";
import type { Column } from "./table.tsx";
import { Table } from "./table.tsx";
import { VerdictBadge } from "./verdict.tsx";

export function OpTable(): JSX.Element {
  const { run } = useShared();
  const path = (one: OpSummary): string => `ops.${run.ops.indexOf(one)}`;
  const accuracy = (input: "isolated" | "chained"): Column<OpSummary>[] => [
    {
      name: `${input}_rho`,
      title: `ρ ${input}`,
      hint: "largest error / derived bound over all layers, at most 1",
      numeric: true,
      cell: (one) => (
        <FigureValue figure={one[input]?.rho} path={`${path(one)}.${input}.rho`} format="errorRatio" />
      ),
      key: (one) => one[input]?.rho.value,
    },
    {
      name: `${input}_match`,
      title: `match % ${input}`,
      numeric: true,
      cell: (one) => (
        <FigureValue figure={one[input]?.match} path={`${path(one)}.${input}.match`} format="percent" />
      ),
      key: (one) => one[input]?.match.value,
    },
  ];
  return (
    <Table
      name="ops"
      caption={`Ops: worst of all layers, mean time per layer; speedup ${run.speedup_label}`}
      items={run.ops}
      identify={(one) => one.op}
      columns={[
        { name: "op", title: "op", cell: (one) => <OpName one={one} /> },
        {
          name: "verdict",
          title: "verdict",
          cell: (one) => <VerdictBadge verdict={one.verdict} />,
          key: (one) => one.verdict,
        },
        ...accuracy("isolated"),
        ...accuracy("chained"),
        ...timeColumns(path),
      ]}
    />
  );
}

// A time may be of several ops that no side resolves.
function OpName({ one }: { one: OpSummary }): JSX.Element {
  const timed = one.mean_time_per_layer ? rangeName(one.mean_time_per_layer.ops) : one.op;
  return (
    <>
      {one.op}
      {timed !== one.op && <small class="kind">timed as {timed}</small>}
    </>
  );
}

function timeColumns(path: (one: OpSummary) => string): Column<OpSummary>[] {
  const step = (one: OpSummary): string => `${path(one)}.mean_time_per_layer`;
  return [
    {
      name: "cpu",
      title: "CPU ms",
      numeric: true,
      cell: (one) => <Time duration={one.mean_time_per_layer?.cpu} path={`${step(one)}.cpu`} />,
      key: (one) => one.mean_time_per_layer?.cpu.value,
    },
    {
      name: "npu",
      title: "NPU ms",
      numeric: true,
      cell: (one) => <Time duration={one.mean_time_per_layer?.npu} path={`${step(one)}.npu`} />,
      key: (one) => one.mean_time_per_layer?.npu.value,
    },
    {
      name: "speedup",
      title: "speedup",
      numeric: true,
      cell: (one) => (
        <FigureValue
          figure={one.mean_time_per_layer?.speedup}
          path={`${step(one)}.speedup`}
          format="times"
          kind
        />
      ),
      key: (one) => one.mean_time_per_layer?.speedup.value,
    },
    {
      name: "launches",
      title: "launches",
      numeric: true,
      cell: (one) => (
        <FigureValue
          figure={one.mean_time_per_layer?.launches}
          path={`${step(one)}.launches`}
          format="grouped"
          kind
        />
      ),
      key: (one) => one.mean_time_per_layer?.launches.value,
    },
  ];
}
