// What came out, what it rests on, and the figures of every op at a glance.
import type { JSX } from "preact";
import { Command } from "../components/copy_button.tsx";
import { useShared, useVisit } from "../components/context.ts";
import { KeyFigures } from "../components/key_figures.tsx";
import { FigureValue } from "../components/number.tsx";
import { OpTable } from "../components/op_table.tsx";
import { RealTimeTable } from "../components/real_time_table.tsx";
import { Table } from "../components/table.tsx";
import { VerdictBadge } from "../components/verdict.tsx";
import type { LayerEntry } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { troublesOf } from "../data/troubles.ts";
import { foundations } from "../data/verdicts.ts";

export function Summary(): JSX.Element {
  const { run } = useShared();
  return (
    <>
      <KeyFigures />
      <Troubles />
      <section class="card" aria-labelledby="rests">
        <h2 id="rests">What the verdict rests on</h2>
        <ul class="clauses">
          {foundations(run).map((clause) => (
            <li key={clause}>{clause}</li>
          ))}
          {run.identities.candidate && (
            <li>not checked: {run.identities.candidate.not_checked.join("; ")}</li>
          )}
        </ul>
        <p class="muted">{run.identities.recording["provenance"]}</p>
        <Command text={run.command} label="the command of this run" />
      </section>
      {run.ops.length > 0 && <OpTable />}
      {run.layers.length > 0 && <LayerTable />}
      <RealTimeTable />
    </>
  );
}

const shownTroubles = 5; // of rows, and of others

function Troubles(): JSX.Element | null {
  const { run } = useShared();
  const visit = useVisit();
  const { rows, others } = troublesOf(run);
  const all = rows.length + others.length;
  if (all === 0) {
    return null;
  }
  const shown = Math.min(rows.length, shownTroubles) + Math.min(others.length, shownTroubles);
  return (
    <section class="card edge-failed" aria-labelledby="troubles">
      <h2 id="troubles">To look at: {all}</h2>
      <ul class="troubles">
        {rows.slice(0, shownTroubles).map(({ row, index }) => (
          <li key={index}>
            <button type="button" class="link" onClick={() => visit("failures", { row: String(index) })}>
              {pieceName(row.layer)} {row.op} ({row.input})
            </button>{" "}
            <VerdictBadge verdict={row.verdict} /> {row.reason}
          </li>
        ))}
        {others.slice(0, shownTroubles).map((one, index) => (
          <li key={`other-${index}`}>
            <button type="button" class="link" onClick={() => visit("failures", { other: String(index) })}>
              {one.name}
            </button>{" "}
            <VerdictBadge verdict={one.judgement.verdict} /> {one.judgement.reason}
          </li>
        ))}
      </ul>
      {all > shown && (
        <button type="button" onClick={() => visit("failures", {})}>
          All {all}
        </button>
      )}
    </section>
  );
}

const layerPath = (layers: readonly LayerEntry[], layer: LayerEntry): string =>
  `layers.${layers.indexOf(layer)}`;

function LayerTable(): JSX.Element {
  const { run } = useShared();
  const path = (layer: LayerEntry): string => layerPath(run.layers, layer);
  return (
    <Table
      name="layers"
      caption="Layers: the chained output of the attention against the golden"
      items={run.layers}
      identify={path}
      columns={[
        {
          name: "layer",
          title: "layer",
          cell: (one) => pieceName(one.layer),
          key: (one) => (one.layer < 0 ? 1e6 : one.layer),
        },
        { name: "clip", title: "clip", cell: (one) => one.clip, key: (one) => one.clip },
        {
          name: "headline",
          title: "headline",
          cell: (one) => (
            <>
              <VerdictBadge verdict={one.headline.verdict} />
              {one.headline.verdict !== "passed" && <span class="reason"> {one.headline.reason}</span>}
            </>
          ),
          key: (one) => one.headline.verdict,
        },
        {
          name: "match",
          title: "match %",
          numeric: true,
          cell: (one) => (
            <FigureValue figure={one.output?.match} path={`${path(one)}.output.match`} format="percent" />
          ),
          key: (one) => one.output?.match.value,
        },
        {
          name: "worst_row",
          title: "worst row",
          numeric: true,
          cell: (one) => (
            <FigureValue
              figure={one.output?.worst_row.error}
              path={`${path(one)}.output.worst_row.error`}
              format="significant"
            />
          ),
          key: (one) => one.output?.worst_row.error.value,
        },
        {
          name: "worst_tile",
          title: "worst tile",
          numeric: true,
          cell: (one) => (
            <FigureValue
              figure={one.output?.worst_tile.error}
              path={`${path(one)}.output.worst_tile.error`}
              format="significant"
            />
          ),
          key: (one) => one.output?.worst_tile.error.value,
        },
        {
          name: "certificate",
          title: "golden",
          cell: (one) =>
            one.certificate.certified ? "certified" : `not certified: ${one.certificate.fault}`,
        },
        {
          name: "repeats",
          title: "A, B, A",
          cell: (one) =>
            one.repeatability.verdict === "not_run" ? (
              <span class="muted">not compared</span>
            ) : (
              <VerdictBadge verdict={one.repeatability.verdict} />
            ),
        },
      ]}
    />
  );
}
