// Rows of the run as a table.
import type { JSX } from "preact";
import { nearestLimit } from "../data/headroom.ts";
import type { IndexedRow } from "../data/rows.ts";
import type { Statistics } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import type { Format } from "./number.tsx";
import { FigureValue } from "./number.tsx";
import { useParameter } from "./context.ts";
import type { Column } from "./table.tsx";
import { Table } from "./table.tsx";
import { VerdictBadge } from "./verdict.tsx";

function statistic(
  name: "rho" | "match" | "relative_error",
  title: string,
  format: Format,
  hint: string,
): Column<IndexedRow> {
  const of = (statistics: Statistics | undefined) => statistics?.[name];
  return {
    name,
    title,
    hint,
    numeric: true,
    cell: ({ row, index }) => (
      <FigureValue figure={of(row.statistics)} path={`rows.${index}.statistics.${name}`} format={format} />
    ),
    // What is not finite is the worst of all.
    key: ({ row }) =>
      row.statistics ? (of(row.statistics)?.value ?? (name === "rho" ? Infinity : -Infinity)) : null,
  };
}

function worst(name: "worst_row" | "worst_tile", title: string): Column<IndexedRow> {
  return {
    name,
    title,
    hint: "relative error against the golden",
    numeric: true,
    cell: ({ row, index }) => (
      <FigureValue
        figure={row.statistics?.[name].error}
        path={`rows.${index}.statistics.${name}.error`}
        format="significant"
      />
    ),
    key: ({ row }) => row.statistics?.[name].error.value,
  };
}

const headroom: Column<IndexedRow> = {
  name: "headroom",
  title: "headroom dB",
  hint: "to the nearest gated limit of level 2",
  numeric: true,
  cell: ({ row, index }) => {
    const nearest = nearestLimit(row);
    return nearest ? (
      <span title={nearest.limit.limit}>
        <FigureValue
          figure={nearest.limit.room}
          path={`rows.${index}.headroom.${nearest.index}.room`}
          format="decibel"
        />
      </span>
    ) : (
      <span class="muted">–</span>
    );
  },
  key: ({ row }) => nearestLimit(row)?.limit.room.value,
};

export function RowTable({ rows }: { rows: readonly IndexedRow[] }): JSX.Element {
  const [chosen, choose] = useParameter("row");
  const severalClips = new Set(rows.map(({ row }) => row.clip)).size > 1;
  const clip: Column<IndexedRow> = {
    name: "clip",
    title: "clip",
    cell: ({ row }) => row.clip,
    key: ({ row }) => row.clip,
  };
  return (
    <Table
      name="rows"
      caption="Every row: one op of one layer with one kind of input"
      items={rows}
      identify={({ index }) => String(index)}
      chosen={chosen}
      empty="no row fits the filters"
      columns={[
        {
          name: "index",
          title: "row",
          hint: "as `harness explain` counts",
          cell: ({ index }) => (
            <button
              type="button"
              class="link"
              aria-label={`Details of row ${index}`}
              onClick={() => choose(String(index))}
            >
              {index}
            </button>
          ),
          key: ({ index }) => index,
        },
        {
          name: "layer",
          title: "layer",
          cell: ({ row }) => pieceName(row.layer),
          key: ({ row }) => (row.layer < 0 ? Number.MAX_SAFE_INTEGER : row.layer),
        },
        { name: "op", title: "op", cell: ({ row }) => row.op, key: ({ row }) => row.op },
        { name: "input", title: "input", cell: ({ row }) => row.input, key: ({ row }) => row.input },
        ...(severalClips ? [clip] : []),
        {
          name: "verdict",
          title: "verdict",
          cell: ({ row }) => <VerdictBadge verdict={row.verdict} />,
          key: ({ row }) => row.verdict,
        },
        statistic("rho", "ρ", "errorRatio", "largest error / derived bound, at most 1"),
        statistic("match", "match %", "percent", "cut, not rounded"),
        statistic("relative_error", "rel. error", "significant", "against the golden"),
        worst("worst_row", "worst row"),
        worst("worst_tile", "worst tile"),
        headroom,
        { name: "reason", title: "reason", cell: ({ row }) => <span class="reason">{row.reason}</span> },
      ]}
    />
  );
}
