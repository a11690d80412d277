// Every row that somebody has to look at, worst first, with where and why it fails.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Command } from "../components/copy_button.tsx";
import { useParameter, useShared } from "../components/context.ts";
import { RowFilters, useRowFilter } from "../components/filters.tsx";
import { RowDetails } from "../components/row_details.tsx";
import { VerdictBadge } from "../components/verdict.tsx";
import { matches, troubled } from "../data/rows.ts";
import type { Judgement } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { isTrouble } from "../data/verdicts.ts";

const atOnce = 12; // rows; more come when asked for

export function Failures(): JSX.Element {
  const { run } = useShared();
  const filter = useRowFilter();
  const [wanted] = useParameter("row");
  const [limit, setLimit] = useParameter("limit");
  const all = troubled(run.rows);
  const shown = all.filter((one) => matches(one, filter));
  const position = shown.findIndex((one) => String(one.index) === wanted);
  const most = Math.max(Number(limit) || atOnce, position + 1);
  useEffect(() => {
    document.getElementById(`row-${wanted}`)?.scrollIntoView({ block: "start" });
  }, [wanted]);
  const others = otherTroubles(run);
  return (
    <>
      {all.length > 0 && <RowFilters rows={all.map(({ row }) => row)} shown={shown.length} />}
      {all.length === 0 && others.length === 0 && (
        <p class="card">No row, headline, probe or encoder of this run failed.</p>
      )}
      {shown.slice(0, most).map(({ row, index }) => (
        <RowDetails key={index} row={row} index={index} />
      ))}
      {shown.length > most && (
        <button type="button" onClick={() => setLimit(String(most + atOnce))}>
          {Math.min(atOnce, shown.length - most)} more of {shown.length}
        </button>
      )}
      {others.map((one) => (
        <article key={one.name} class={`card edge-${one.judgement.verdict}`}>
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

interface OtherTrouble {
  name: string;
  judgement: Judgement;
  why: string;
  reproduce: string | undefined;
}

/** Headlines, probes, repetitions and encoders that did not pass. */
function otherTroubles(run: ReturnType<typeof useShared>["run"]): OtherTrouble[] {
  const out: OtherTrouble[] = [];
  const add = (name: string, judgement: Judgement, reproduce?: string, why = ""): void => {
    if (isTrouble(judgement.verdict) && judgement.reason !== "") {
      out.push({ name, judgement, why, reproduce });
    }
  };
  for (const layer of run.layers) {
    const where = `${layer.clip}, ${pieceName(layer.layer)}`;
    const { diagnosis } = layer.headline;
    const why = diagnosis ? `${diagnosis.pattern.replaceAll("_", " ")}: ${diagnosis.evidence}` : "";
    if (layer.headline.verdict !== "not_run") {
      add(`headline of ${where}`, layer.headline, layer.reproduce, why);
    }
    if (layer.repeatability.verdict !== "not_run") {
      add(`repeated launches of ${where}`, layer.repeatability, layer.reproduce);
    }
    layer.probes.forEach((probe) => add(`probe ${probe.probe} of ${where}`, probe));
  }
  run.ragged_probes.forEach((probe) => add(`probe ${probe.probe} at T = ${probe.context}`, probe));
  run.data_trust.forEach((trust) => add(`data: ${trust.fault_class.replaceAll("_", " ")}`, trust));
  run.encoders.forEach((encoder) =>
    add(`encoder, clip ${encoder.clip}`, encoder.candidate, encoder.reproduce),
  );
  return out;
}
