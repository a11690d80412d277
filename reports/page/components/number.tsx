// Numbers of run.json on the page: the text is formatted, the element carries the value and where it is from.
import type { JSX } from "preact";
import { errorRatio, fixed, grouped, milliseconds, percent, significant, times } from "../data/figures.ts";
import type { Duration, Figure } from "../data/run.ts";

const formats = {
  significant: (value: number | null) => significant(value),
  errorRatio,
  percent,
  times,
  milliseconds,
  grouped,
  decibel: (value: number | null) => fixed(value, 1),
  thousandths: (value: number | null) => fixed(value, 3),
  hundredths: (value: number | null) => fixed(value, 2),
  share: (value: number | null) => (value === null ? significant(null) : fixed(value * 100, 1)),
  plain: (value: number | null) => (value === null ? significant(null) : String(value)),
};
export type Format = keyof typeof formats;

/** What a shown number must be multiplied by to give the value. */
const scales: Partial<Record<Format, string>> = { milliseconds: "0.001", share: "0.01" };

/** `path`: of the value in run.json, its keys joined by dots. */
export function Value(props: { value: number | null; path: string; format: Format }): JSX.Element {
  const { value, path, format } = props;
  return (
    <data class="number" value={String(value)} data-path={path} data-scale={scales[format] ?? "1"}>
      {formats[format](value)}
    </data>
  );
}

/** The value of a figure; `kind`: whether its kind follows. */
export function FigureValue(props: {
  figure: Figure | undefined;
  path: string;
  format: Format;
  kind?: boolean;
}): JSX.Element {
  const { figure, path, format, kind = false } = props;
  if (figure === undefined) {
    return <span class="muted">–</span>;
  }
  return (
    <>
      <Value value={figure.value} path={`${path}.value`} format={format} />
      {kind && <KindLabel kind={figure.kind} />}
    </>
  );
}

/** Milliseconds with their kind, which is never left out; a dash where there is no clock. */
export function Time(props: { duration: Duration | null | undefined; path: string }): JSX.Element {
  const { duration, path } = props;
  if (!duration || duration.kind === "none") {
    return <span class="muted">–</span>;
  }
  return (
    <span class={`time time-${duration.kind}`}>
      <Value value={duration.value} path={`${path}.value`} format="milliseconds" />
      <KindLabel kind={duration.kind} />
    </span>
  );
}

export function KindLabel({ kind }: { kind: string }): JSX.Element {
  return <small class={`kind kind-${kind}`}>{kind}</small>;
}
