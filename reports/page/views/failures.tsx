// Every row that somebody has to look at, worst first, with where and why it fails, and all else that failed.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Command } from "../components/copy_button.tsx";
import { useParameter, useShared } from "../components/context.ts";
import { RowFilters, useRowFilter } from "../components/filters.tsx";
import { RowDetails } from "../components/row_details.tsx";
import { VerdictBadge } from "../components/verdict.tsx";
import { matches } from "../data/rows.ts";
import { troublesOf } from "../data/troubles.ts";

const atOnce = 12; // rows; more come when asked for

export function Failures(): JSX.Element {
  const { run } = useShared();
  const filter = useRowFilter();
  const [wanted] = useParameter("row");
  const [wantedOther] = useParameter("other");
  const [limit, setLimit] = useParameter("limit");
  const { rows: all, others } = troublesOf(run);
  const shown = all.filter((one) => matches(one, filter));
  const position = shown.findIndex((one) => String(one.index) === wanted);
  const most = Math.max(Number(limit) || atOnce, position + 1);
  useEffect(() => {
    const identity = wanted !== "" ? `row-${wanted}` : `other-${wantedOther}`;
    document.getElementById(identity)?.scrollIntoView({ block: "start" });
  }, [wanted, wantedOther]);
  return (
    <>
      {all.length > 0 && <RowFilters rows={all.map(({ row }) => row)} shown={shown.length} />}
      {all.length === 0 && others.length === 0 && (
        <p class="card">
          Every row, headline, probe, repetition, class of faults and encoder of this run passed.
        </p>
      )}
      {shown.slice(0, most).map(({ row, index }) => (
        <RowDetails key={index} row={row} index={index} />
      ))}
      {shown.length > most && (
        <button type="button" onClick={() => setLimit(String(most + atOnce))}>
          {Math.min(atOnce, shown.length - most)} more of {shown.length}
        </button>
      )}
      {others.map((one, index) => (
        <article key={index} id={`other-${index}`} class={`card edge-${one.judgement.verdict}`}>
          <h3>
            <VerdictBadge verdict={one.judgement.verdict} /> {one.name}
          </h3>
          <p>{one.judgement.reason}</p>
          {one.why !== "" && (
            <p>
              <strong>Hypothesis:</strong> {one.why}
            </p>
          )}
          {one.reproduce !== undefined && <Command text={one.reproduce} label={`reproduce ${one.name}`} />}
        </article>
      ))}
    </>
  );
}
