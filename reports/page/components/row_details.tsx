// All that run.json says of one row: figures, reason, place, hypothesis, command.
import type { ComponentChildren, JSX } from "preact";
import type { OpRow, Statistics } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { meaningOf } from "../data/verdicts.ts";
import { Command } from "./copy_button.tsx";
import { ErrorMaps } from "./error_maps.tsx";
import { FigureValue, Value } from "./number.tsx";
import { Table } from "./table.tsx";
import { VerdictBadge } from "./verdict.tsx";

export function RowDetails({ row, index }: { row: OpRow; index: number }): JSX.Element {
  return (
    <article class={`card details edge-${row.verdict}`} id={`row-${index}`}>
      <h3>
        <VerdictBadge verdict={row.verdict} /> {pieceName(row.layer)} · {row.op}{" "}
        <span class="muted">
          {row.input}, clip {row.clip}
        </span>
      </h3>
      <p>{row.reason === "" ? meaningOf(row.verdict) : row.reason}</p>
      <Facts row={row} index={index} />
      {row.diagnosis && (
        <p>
          <strong>Hypothesis:</strong> {row.diagnosis.pattern.replaceAll("_", " ")}, which explains{" "}
          <Value
            value={row.diagnosis.explained.value}
            path={`rows.${index}.diagnosis.explained.value`}
            format="share"
          />
          % of the error's energy: {row.diagnosis.evidence}
        </p>
      )}
      {row.error_maps.length > 0 && <ErrorMaps row={row} index={index} />}
      {row.error_maps.length === 0 && row.verdict === "failed" && row.statistics && (
        <p class="muted">No error map: run.json has those of a run’s first failed rows, from 1.4 on.</p>
      )}
      <HeadroomTable row={row} index={index} />
      {row.reproduce !== undefined && <Command text={row.reproduce} label="run just this row again" />}
      {row.statistics && (
        <Command
          text={`harness explain run.json ${index} --svg row-${index}.svg`}
          label="draw the error of this row"
        />
      )}
    </article>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Facts({ row, index }: { row: OpRow; index: number }): JSX.Element | null {
  const { statistics } = row;
  if (!statistics) {
    return null;
  }
  const path = `rows.${index}.statistics`;
  const { elements, outside_bound: outside } = statistics;
  return (
    <dl class="facts">
      <Fact name="rho (error / bound)">
        <FigureValue figure={statistics.rho} path={`${path}.rho`} format="errorRatio" />
      </Fact>
      <Fact name="beyond their bound">
        <FigureValue figure={outside} path={`${path}.outside_bound`} format="grouped" /> of{" "}
        <FigureValue figure={elements} path={`${path}.elements`} format="grouped" />
      </Fact>
      <Fact name="match %">
        <FigureValue figure={statistics.match} path={`${path}.match`} format="percent" />
      </Fact>
      <Fact name="relative error">
        <FigureValue
          figure={statistics.relative_error}
          path={`${path}.relative_error`}
          format="significant"
        />
      </Fact>
      <Fact name="worst row">
        <FigureValue
          figure={statistics.worst_row.error}
          path={`${path}.worst_row.error`}
          format="significant"
        />{" "}
        <span class="muted">
          {place(statistics.worst_row.head)}row {statistics.worst_row.row}
        </span>
      </Fact>
      <Fact name="worst 64×64 tile">
        <FigureValue
          figure={statistics.worst_tile.error}
          path={`${path}.worst_tile.error`}
          format="significant"
        />{" "}
        <span class="muted">
          {place(statistics.worst_tile.head)}tile ({statistics.worst_tile.tile_row},{" "}
          {statistics.worst_tile.tile_column})
        </span>
      </Fact>
      <DamageFacts statistics={statistics} path={path} />
      {row.site && (
        <Fact name={row.site.ran ? "made by" : "made, in the declared design, by"}>
          tile {row.site.tile}, core {row.site.core}, launch {row.site.launch}
        </Fact>
      )}
    </dl>
  );
}

const place = (head: number): string => (head < 0 ? "" : `head ${head}, `);

function DamageFacts({ statistics, path }: { statistics: Statistics; path: string }): JSX.Element | null {
  const { damage } = statistics;
  if (!damage) {
    return null;
  }
  const { worst } = damage;
  const element = `${path}.damage.worst`;
  return (
    <>
      <Fact name="damage">
        {damage.heads.some((head) => head >= 0) && `heads ${damage.heads.join(", ")}; `}rows{" "}
        {damage.row_begin}–{damage.row_end}, {damage.blocks} {damage.blocks === 1 ? "block" : "blocks"}
      </Fact>
      <Fact name="worst element">
        {place(worst.head)}({worst.row}, {worst.column}): got{" "}
        <Value value={worst.got} path={`${element}.got`} format="significant" />, expected{" "}
        <Value value={worst.expected} path={`${element}.expected`} format="significant" /> ±{" "}
        <Value value={worst.bound} path={`${element}.bound`} format="significant" />
      </Fact>
    </>
  );
}

function HeadroomTable({ row, index }: { row: OpRow; index: number }): JSX.Element | null {
  const lines = row.headroom.map((limit, at) => ({ limit, path: `rows.${index}.headroom.${at}` }));
  if (lines.length === 0) {
    return null;
  }
  return (
    <Table
      name={`headroom-${index}`}
      caption="Limits of level 2"
      items={lines}
      identify={({ path }) => path}
      columns={[
        { name: "limit", title: "limit", cell: ({ limit }) => limit.limit },
        {
          name: "value",
          title: "value",
          numeric: true,
          cell: ({ limit, path }) => (
            <FigureValue figure={limit.value} path={`${path}.value`} format="significant" />
          ),
        },
        {
          name: "allowed",
          title: "allowed",
          numeric: true,
          cell: ({ limit, path }) => (
            <Value value={limit.allowed} path={`${path}.allowed`} format="significant" />
          ),
        },
        {
          name: "headroom",
          title: "headroom dB",
          numeric: true,
          cell: ({ limit, path }) => (
            <FigureValue figure={limit.room} path={`${path}.room`} format="decibel" />
          ),
        },
        { name: "gated", title: "gated", cell: ({ limit }) => (limit.gated ? "yes" : "reported only") },
      ]}
    />
  );
}
