// The filters of rows, kept in the address.
import type { JSX } from "preact";
import type { RowFilter } from "../data/rows.ts";
import type { OpRow } from "../data/run.ts";
import { pieceName } from "../data/run.ts";
import { distinct } from "../data/trends.ts";
import { wordOf } from "../data/verdicts.ts";
import { useParameter, useShared } from "./context.ts";

export function useRowFilter(): RowFilter {
  const { place } = useShared();
  const of = (name: string): string => place.parameters.get(name) ?? "";
  return { op: of("op"), layer: of("layer"), verdict: of("verdict"), input: of("input"), text: of("text") };
}

export function Choice(props: {
  name: string;
  label: string;
  options: { value: string; text: string }[];
  all?: string; // the text of the empty choice; absent: there is none, and the first is the default
}): JSX.Element {
  const { name, label, options, all } = props;
  const [value, set] = useParameter(name);
  return (
    <label class="field">
      <span>{label}</span>
      <select
        name={name}
        value={value === "" && all === undefined ? options[0]?.value : value}
        onChange={(event) => set(event.currentTarget.value)}
      >
        {all !== undefined && <option value="">{all}</option>}
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </label>
  );
}

const plain = (values: string[]): { value: string; text: string }[] =>
  values.map((value) => ({ value, text: value }));

export function RowFilters({ rows, shown }: { rows: readonly OpRow[]; shown: number }): JSX.Element {
  const [text, setText] = useParameter("text");
  const layers = distinct(rows.map((row) => row.layer));
  const verdicts = distinct(rows.map((row) => row.verdict));
  return (
    <form class="filters" role="search" aria-label="Rows" onSubmit={(event) => event.preventDefault()}>
      <Choice name="op" label="Op" all="all ops" options={plain(distinct(rows.map((row) => row.op)))} />
      <Choice
        name="layer"
        label="Layer"
        all="all layers"
        options={layers.map((layer) => ({ value: String(layer), text: pieceName(layer) }))}
      />
      <Choice
        name="verdict"
        label="Verdict"
        all="all verdicts"
        options={verdicts.map((verdict) => ({ value: verdict, text: wordOf(verdict) }))}
      />
      <Choice
        name="input"
        label="Input"
        all="both inputs"
        options={plain(distinct(rows.map((row) => row.input)))}
      />
      <label class="field grow">
        <span>Text</span>
        <input
          type="search"
          name="text"
          value={text}
          placeholder="clip, reason, hypothesis"
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <output class="muted">
        {shown} of {rows.length} rows
      </output>
    </form>
  );
}
