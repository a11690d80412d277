// Times that were published, beside those of this run.
import type { JSX } from "preact";
import type { Baseline } from "../data/run.ts";
import { FigureValue, Time } from "./number.tsx";
import { Table } from "./table.tsx";

export function BaselineTable({ baseline }: { baseline: Baseline }): JSX.Element {
  const lines = baseline.lines.map((line, index) => ({ line, path: `baseline.lines.${index}` }));
  return (
    <section>
      <Table
        name="baseline"
        caption={baseline.title}
        items={lines}
        identify={({ path }) => path}
        columns={[
          { name: "what", title: "what", cell: ({ line }) => line.what },
          {
            name: "published",
            title: "published ms",
            numeric: true,
            cell: ({ line, path }) => (
              <FigureValue figure={line.published} path={`${path}.published`} format="milliseconds" kind />
            ),
          },
          {
            name: "here",
            title: "here ms",
            numeric: true,
            cell: ({ line, path }) => <Time duration={line.here} path={`${path}.here`} />,
          },
        ]}
      />
      <ul>
        {baseline.corrections.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </section>
  );
}
