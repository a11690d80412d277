// The few figures of a run that people look for first, each with what it is of.
import type { ComponentChildren, JSX } from "preact";
import { criterion, matchLimit } from "../data/limits.ts";
import { nearestLimit } from "../data/headroom.ts";
import { indexed, sorted } from "../data/rows.ts";
import type { Run } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { distinct } from "../data/trends.ts";
import { useShared } from "./context.ts";
import { FigureValue, Time, Value } from "./number.tsx";
import { realTimes } from "./real_time_table.tsx";

export function KeyFigures(): JSX.Element {
  const { run } = useShared();
  return (
    <dl class="key-figures">
      <WorstMatch run={run} />
      <WorstDrift run={run} />
      <NearestLimit run={run} />
      <Speed run={run} />
      <RealTimes run={run} />
    </dl>
  );
}

function KeyFigure({
  name,
  children,
  note,
}: {
  name: string;
  children: ComponentChildren;
  note: ComponentChildren;
}): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <span class="key-value">{children}</span> <span class="muted key-note">{note}</span>
      </dd>
    </div>
  );
}

function WorstMatch({ run }: { run: Run }): JSX.Element | null {
  const judged = run.layers
    .map((layer, index) => ({ layer, index }))
    .filter(({ layer }) => layer.headline.verdict !== "not_run" && layer.output);
  const worst = sorted(judged, ({ layer }) => layer.output?.match.value, "ascending")[0];
  return worst === undefined ? null : (
    <KeyFigure
      name="worst match %"
      note={`${pieceName(worst.layer.layer)}, of ${judged.length}; ${criterion(matchLimit(run))}`}
    >
      <FigureValue
        figure={worst.layer.output?.match}
        path={`layers.${worst.index}.output.match`}
        format="percent"
      />
    </KeyFigure>
  );
}

function WorstDrift({ run }: { run: Run }): JSX.Element | null {
  const points = run.encoders.flatMap(({ candidate, clip }, index) =>
    candidate.drift.map((point, at) => ({ point, clip, path: `encoders.${index}.candidate.drift.${at}` })),
  );
  const worst = sorted(points, ({ point }) => point.chained.match.value, "ascending")[0];
  return worst === undefined ? null : (
    <KeyFigure name="worst match % along the encoder" note={`after ${worst.point.after}, ${worst.clip}`}>
      <FigureValue
        figure={worst.point.chained.match}
        path={`${worst.path}.chained.match`}
        format="percent"
      />
    </KeyFigure>
  );
}

function NearestLimit({ run }: { run: Run }): JSX.Element | null {
  const judged = indexed(run.rows).flatMap(({ row, index }) => {
    const nearest = nearestLimit(row);
    return nearest === null ? [] : [{ row, index, nearest }];
  });
  const least = sorted(judged, ({ nearest }) => nearest.limit.room.value, "ascending")[0];
  if (least === undefined) {
    return null;
  }
  const { row } = least;
  return (
    <KeyFigure
      name="least headroom, dB"
      note={`${least.nearest.limit.limit}: ${row.op}, ${pieceName(row.layer)}, ${row.input}`}
    >
      <FigureValue
        figure={least.nearest.limit.room}
        path={`rows.${least.index}.headroom.${least.nearest.index}.room`}
        format="decibel"
      />
    </KeyFigure>
  );
}

/** The clip with the least speedup speaks for all. */
function slowestClip(run: Run): number | null {
  const clips = run.clips.map((clip, index) => ({ clip, index }));
  return sorted(clips, ({ clip }) => clip.speedup.value, "ascending")[0]?.index ?? null;
}

function Speed({ run }: { run: Run }): JSX.Element | null {
  const index = slowestClip(run);
  const clip = index === null ? undefined : run.clips[index];
  if (clip === undefined) {
    return null;
  }
  const path = `clips.${index}`;
  const interval = clip.speedup_interval;
  const range = `${path}.speedup_interval`;
  return (
    <KeyFigure
      name="speedup of the attention"
      note={
        <>
          {interval && (
            <>
              within <Value value={interval.low} path={`${range}.low`} format="times" /> to{" "}
              <Value value={interval.high} path={`${range}.high`} format="times" />;{" "}
            </>
          )}
          {run.speedup_label}
          {run.clips.length > 1 && `; ${clip.clip}, the least of ${run.clips.length} clips`}
        </>
      }
    >
      <FigureValue figure={clip.speedup} path={`${path}.speedup`} format="times" kind />
    </KeyFigure>
  );
}

/** Of one clip: both sides of it, the slowest CPU's. */
function RealTimes({ run }: { run: Run }): JSX.Element {
  const lines = realTimes(run).filter((line) => !line.path.endsWith(".window"));
  const slowest = sorted(lines, (line) => line.time.processing.value, "descending")[0];
  const clips = distinct(lines.map((line) => line.clip));
  const shown = lines.filter((line) => line.clip === slowest?.clip).slice(0, 2);
  const among = clips.length > 1 ? `; the slowest of ${clips.length} clips` : "";
  return (
    <>
      {shown.map((line) => (
        <KeyFigure key={line.path} name={`${line.side}, ms`} note={`${line.scope}${among}`}>
          <Time duration={line.time.processing} path={`${line.path}.processing`} />
        </KeyFigure>
      ))}
    </>
  );
}
