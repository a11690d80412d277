// How the error grows along the layers.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { drift } from "../charts/drift.ts";
import { Chart } from "../components/chart.tsx";
import { useShared } from "../components/context.ts";
import { FigureValue } from "../components/number.tsx";
import { Table } from "../components/table.tsx";
import { VerdictBadge } from "../components/verdict.tsx";
import type { EncoderEntry, LayerEntry } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { criterion, driftLimit, matchLimit } from "../data/limits.ts";
import { distinct } from "../data/trends.ts";

export function Drift(): JSX.Element {
  const { run } = useShared();
  const clips = distinct(run.layers.map((layer) => layer.clip));
  return (
    <>
      {run.encoders.map((encoder, index) => (
        <EncoderDrift key={index} encoder={encoder} index={index} />
      ))}
      {clips.map((clip, index) => (
        <LayerMatch
          key={index}
          index={index}
          clip={clip}
          layers={run.layers.filter((layer) => layer.clip === clip)}
        />
      ))}
      {run.encoders.length === 0 && (
        <p class="muted">
          Each layer of this run reads recorded activations. The drift of a whole encoder, whose layers read
          each other, is measured by `harness encode`.
        </p>
      )}
    </>
  );
}

function LayerMatch({
  index,
  clip,
  layers,
}: {
  index: number;
  clip: string;
  layers: LayerEntry[];
}): JSX.Element {
  const { run } = useShared();
  const limit = matchLimit(run);
  const content = useMemo(() => {
    const matchOf = (layer: number, input: string): number | null => {
      const outputs = run.rows.filter(
        (row) => row.clip === clip && row.layer === layer && row.input === input,
      );
      return outputs.find((row) => row.op === "output")?.statistics?.match.value ?? null;
    };
    return drift(
      layers.map((layer) => pieceName(layer.layer)),
      [
        {
          name: "chained attention",
          dashed: false,
          values: layers.map((layer) => layer.output?.match.value ?? null),
        },
        {
          name: "output projection alone",
          dashed: true,
          values: layers.map((layer) => matchOf(layer.layer, "isolated")),
        },
      ],
      limit,
    );
  }, [run, clip, layers.length]);
  return (
    <Chart
      name={`drift-layers-${index}`}
      title={`Match per layer, clip ${clip}`}
      summary={`attention output against the golden, measured; ${criterion(limit)}`}
      height={320}
      content={content}
    />
  );
}

function EncoderDrift({ encoder, index }: { encoder: EncoderEntry; index: number }): JSX.Element {
  const { run } = useShared();
  const { candidate } = encoder;
  const limit = driftLimit(run, encoder);
  const points = candidate.drift;
  const content = useMemo(
    () =>
      drift(
        points.map((point) => point.after),
        [
          {
            name: "chained: the encoder so far",
            dashed: false,
            values: points.map((one) => one.chained.match.value),
          },
          {
            name: "isolated: the piece alone",
            dashed: true,
            values: points.map((one) => one.isolated.match.value),
          },
        ],
        limit,
      ),
    [points, limit],
  );
  const path = (at: number, input: string): string => `encoders.${index}.candidate.drift.${at}.${input}`;
  return (
    <section class={`card edge-${candidate.verdict}`}>
      <h2>
        <VerdictBadge verdict={candidate.verdict} /> Encoder, clip {encoder.clip}
      </h2>
      <p>
        {encoder.layers} layers, {encoder.heads} heads, T = {encoder.context}; on the NPU:{" "}
        {candidate.placement}. {candidate.reason}
      </p>
      <Chart
        name={`drift-encoder-${index}`}
        title="Drift along the encoder"
        summary={`stream against the golden’s after each piece, measured; ${criterion(limit)}`}
        height={320}
        content={content}
      />
      <Table
        name={`drift-${index}`}
        caption="Drift: match % and relative error after each piece, measured"
        items={points.map((point, at) => ({ point, at }))}
        identify={({ point }) => point.after}
        columns={[
          { name: "after", title: "after", cell: ({ point }) => point.after },
          ...(["isolated", "chained"] as const).flatMap((input) => [
            {
              name: `${input}_match`,
              title: `match % ${input}`,
              numeric: true,
              cell: ({ point, at }: { point: (typeof points)[number]; at: number }) => (
                <FigureValue
                  figure={point[input].match}
                  path={`${path(at, input)}.match`}
                  format="percent"
                />
              ),
              key: ({ point }: { point: (typeof points)[number] }) => point[input].match.value,
            },
            {
              name: `${input}_error`,
              title: `rel. error ${input}`,
              numeric: true,
              cell: ({ point, at }: { point: (typeof points)[number]; at: number }) => (
                <FigureValue
                  figure={point[input].relative_error}
                  path={`${path(at, input)}.relative_error`}
                  format="significant"
                />
              ),
              key: ({ point }: { point: (typeof points)[number] }) => point[input].relative_error.value,
            },
          ]),
          {
            name: "worst",
            title: "worst row chained",
            numeric: true,
            cell: ({ point, at }) => (
              <>
                <FigureValue
                  figure={point.chained.worst_row.error}
                  path={`${path(at, "chained")}.worst_row.error`}
                  format="significant"
                />{" "}
                <span class="muted">row {point.chained.worst_row.row}</span>
              </>
            ),
            key: ({ point }) => point.chained.worst_row.error.value,
          },
        ]}
      />
    </section>
  );
}
