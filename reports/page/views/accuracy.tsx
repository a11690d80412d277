// Accuracy by op and layer: the matrix, the details of the chosen row, and every row as a table.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { AccuracyMatrix } from "../components/accuracy_matrix.tsx";
import { useParameter, useShared } from "../components/context.ts";
import { Choice, RowFilters, useRowFilter } from "../components/filters.tsx";
import { RowDetails } from "../components/row_details.tsx";
import { RowTable } from "../components/row_table.tsx";
import { matrixOf } from "../data/matrix.ts";
import { indexed, matches } from "../data/rows.ts";
import type { Input } from "../data/run.ts";
import { distinct } from "../data/trends.ts";

export function Accuracy(): JSX.Element {
  const { run } = useShared();
  const filter = useRowFilter();
  if (run.rows.length === 0) {
    return (
      <p class="card">
        {run.encoders.length > 0
          ? "This run judged whole encoders and has no rows by op: see Drift."
          : "This run judged probes alone and has no rows by op: see Provenance."}
      </p>
    );
  }
  const shown = indexed(run.rows).filter((one) => matches(one, filter));
  return (
    <>
      <MatrixSection />
      <section aria-labelledby="all-rows">
        <h2 id="all-rows">All rows</h2>
        <RowFilters rows={run.rows} shown={shown.length} />
        <RowTable rows={shown} />
      </section>
    </>
  );
}

function MatrixSection(): JSX.Element {
  const { run } = useShared();
  const clips = distinct(run.rows.map((row) => row.clip));
  const inputs = distinct(run.rows.map((row) => row.input));
  const [clipName] = useParameter("clip");
  const [feed] = useParameter("feed");
  const [chosenRow, choose] = useParameter("row");
  const clip = clips.includes(clipName) ? clipName : (clips[0] ?? "");
  const input = inputs.find((one): one is Input => one === feed) ?? inputs[0] ?? "isolated";
  const chosen = chosenRow === "" ? null : Number(chosenRow);
  const row = chosen === null ? undefined : run.rows[chosen];
  useEffect(() => {
    const details = document.getElementById(`row-${chosenRow}`);
    const { top = 0, bottom = 0 } = details?.getBoundingClientRect() ?? {};
    if (details !== null && (bottom <= 0 || top >= window.innerHeight)) {
      details.scrollIntoView({ block: "start" });
    }
  }, [chosenRow]);
  const options = (values: string[]): { value: string; text: string }[] =>
    values.map((value) => ({ value, text: value }));
  return (
    <section aria-labelledby="matrix">
      <h2 id="matrix">By op and layer</h2>
      <div class="filters">
        {inputs.length > 1 && <Choice name="feed" label="Steps read" options={options(inputs)} />}
        {clips.length > 1 && <Choice name="clip" label="Clip" options={options(clips)} />}
        <span class="muted">
          isolated: golden upstream; chained: the path’s own. Arrow keys move, Enter opens a row.
        </span>
      </div>
      <div class={row ? "beside" : ""}>
        <AccuracyMatrix
          matrix={matrixOf(run.rows, clip, input)}
          clip={clip}
          chosen={chosen}
          choose={(index) => choose(index === chosen ? "" : String(index))}
        />
        <div aria-live="polite">{row && chosen !== null && <RowDetails row={row} index={chosen} />}</div>
      </div>
    </section>
  );
}
