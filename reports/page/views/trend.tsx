// Figures over the nights of a history.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { trendLines } from "../charts/trend.ts";
import { Chart } from "../components/chart.tsx";
import { Command } from "../components/copy_button.tsx";
import { useParameter, useShared } from "../components/context.ts";
import { Choice } from "../components/filters.tsx";
import { KindLabel } from "../components/number.tsx";
import { Table } from "../components/table.tsx";
import { fixed, instant, shortCommit, significant } from "../data/figures.ts";
import { changeOfNewest, distinct } from "../data/trends.ts";
import type { Trend as TrendData } from "../data/trends.ts";

export function Trend(): JSX.Element {
  const { trends } = useShared();
  const [wanted] = useParameter("quantity");
  const [row] = useParameter("trend_row");
  const quantities = distinct(trends.map((trend) => trend.quantity));
  const quantity = quantities.includes(wanted) ? wanted : (quantities[0] ?? "");
  const all = trends.filter((trend) => trend.quantity === quantity);
  const shown = row === "" ? all : all.filter((trend) => trend.row === row);
  const content = useMemo(() => trendLines(shown, quantity), [trends, quantity, row]);
  if (trends.length === 0) {
    return <NoTrends />;
  }
  const nights = Math.max(...shown.map((trend) => trend.points.length), 0);
  const options = (values: string[]): { value: string; text: string }[] =>
    values.map((value) => ({ value, text: value }));
  return (
    <>
      <div class="filters">
        <Choice name="quantity" label="Quantity" options={options(quantities)} />
        <Choice
          name="trend_row"
          label="Row"
          all="all rows"
          options={options(distinct(all.map((one) => one.row)))}
        />
      </div>
      <Chart
        name="trend"
        title={quantity}
        summary={`${distinct(shown.map((one) => one.kind)).join(", ")}; ${nights} runs of one environment`}
        height={360}
        content={content}
      />
      <TrendTable trends={shown} />
    </>
  );
}

function NoTrends(): JSX.Element {
  return (
    <section class="card">
      <h2>No history in this report</h2>
      <p>Trends come from a history of runs. Keep one:</p>
      <Command
        text="harness history add run.json --history FILE"
        label="keep this run in the history"
      />
      <p>and write the page with it:</p>
      <Command
        text="harness report run.json --html report.html --history FILE"
        label="write this page with its trends"
      />
    </section>
  );
}

function TrendTable({ trends }: { trends: TrendData[] }): JSX.Element {
  return (
    <Table
      name="trends"
      caption="The newest run against the median of those before it"
      items={trends}
      identify={(trend) => `${trend.row} ${trend.quantity}`}
      columns={[
        { name: "row", title: "row", cell: (trend) => trend.row },
        {
          name: "newest",
          title: "newest",
          numeric: true,
          cell: (trend) => (
            <>
              {significant(trend.points.at(-1)?.value, 4)} <KindLabel kind={trend.kind} />
            </>
          ),
          key: (trend) => trend.points.at(-1)?.value,
        },
        {
          name: "change",
          title: "change %",
          numeric: true,
          cell: (trend) => {
            const change = changeOfNewest(trend);
            return change === null ? "–" : `${change > 0 ? "+" : ""}${fixed(change * 100, 1)}`;
          },
          key: (trend) => changeOfNewest(trend),
        },
        {
          name: "runs",
          title: "runs",
          numeric: true,
          cell: (trend) => trend.points.length,
          key: (trend) => trend.points.length,
        },
        { name: "first", title: "from", cell: (trend) => instant(trend.points[0]?.created_utc ?? "–") },
        { name: "commit", title: "commit", cell: (trend) => shortCommit(trend.points.at(-1)?.commit ?? "–") },
      ]}
    />
  );
}
