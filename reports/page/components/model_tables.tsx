// The time model's figures as tables.
import type { JSX } from "preact";
import type { AmdahlLine, Kind, ModelledStep } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import type { Format } from "./number.tsx";
import { KindLabel, Value } from "./number.tsx";
import type { Column } from "./table.tsx";
import { Table } from "./table.tsx";

interface Placed<T> {
  item: T;
  path: string;
}

const placed = <T,>(items: readonly T[], list: string): Placed<T>[] =>
  items.map((item, index) => ({ item, path: `time_model.${list}.${index}` }));

/** A column of one field of the items, a plain number in run.json. */
function field<T, Name extends keyof T & string>(
  name: Name,
  title: string,
  format: Format,
  of: (item: T) => number | null,
  kind?: Kind,
): Column<Placed<T>> {
  return {
    name,
    title,
    numeric: true,
    cell: ({ item, path }) => (
      <>
        <Value value={of(item)} path={`${path}.${name}`} format={format} />
        {kind !== undefined && <KindLabel kind={kind} />}
      </>
    ),
    key: ({ item }) => of(item),
  };
}

export function ModelledStepTable({ steps }: { steps: readonly ModelledStep[] }): JSX.Element {
  return (
    <Table
      name="steps"
      caption="One layer on the NPU, modelled: where each step’s time goes and what bounds it"
      items={placed(steps, "steps")}
      identify={({ path }) => path}
      columns={[
        { name: "op", title: "op", cell: ({ item }) => rangeName(item.ops) },
        field("seconds", "NPU ms", "milliseconds", (item: ModelledStep) => item.seconds, "modelled"),
        {
          name: "interval",
          title: "90% interval ms",
          numeric: true,
          cell: ({ item, path }) => (
            <span class="nowrap">
              <Value value={item.low_seconds} path={`${path}.low_seconds`} format="milliseconds" /> ..{" "}
              <Value value={item.high_seconds} path={`${path}.high_seconds`} format="milliseconds" />
            </span>
          ),
        },
        field("launch_seconds", "launch ms", "milliseconds", (item: ModelledStep) => item.launch_seconds),
        field(
          "transfer_seconds",
          "transfer ms",
          "milliseconds",
          (item: ModelledStep) => item.transfer_seconds,
        ),
        field(
          "compute_seconds",
          "compute ms",
          "milliseconds",
          (item: ModelledStep) => item.compute_seconds,
        ),
        field("idle_seconds", "idle ms", "milliseconds", (item: ModelledStep) => item.idle_seconds),
        field("launches", "launches", "grouped", (item: ModelledStep) => item.launches),
        field("context_switches", "switches", "grouped", (item: ModelledStep) => item.context_switches),
        {
          name: "share_of_peak",
          title: "% of peak",
          hint: "of all cores of the device; a dash where a step has no products",
          numeric: true,
          cell: ({ item, path }) =>
            item.share_of_peak === 0 ? (
              <span class="muted">–</span>
            ) : (
              <Value value={item.share_of_peak} path={`${path}.share_of_peak`} format="share" />
            ),
          key: ({ item }) => item.share_of_peak,
        },
        { name: "bound", title: "bound by", cell: ({ item }) => item.bound, key: ({ item }) => item.bound },
      ]}
    />
  );
}

/** `kind`: of the speedups. */
export function AmdahlTable({ lines, kind }: { lines: readonly AmdahlLine[]; kind: Kind }): JSX.Element {
  return (
    <Table
      name="amdahl"
      caption="Amdahl’s law, step by step"
      items={placed(lines, "amdahl")}
      identify={({ path }) => path}
      columns={[
        { name: "op", title: "op", cell: ({ item }) => rangeName(item.ops) },
        field("share", "share %", "share", (item: AmdahlLine) => item.share),
        field("speedup", "speedup of it", "times", (item: AmdahlLine) => item.speedup, kind),
        field("alone", "whole, it alone", "times", (item: AmdahlLine) => item.alone, kind),
        field(
          "with_those_before",
          "whole, with those above",
          "times",
          (item: AmdahlLine) => item.with_those_before,
          kind,
        ),
      ]}
    />
  );
}
