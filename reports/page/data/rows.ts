// Which rows a table shows, and in what order.
import type { OpRow, Verdict } from "./run.ts";
import { pieceName } from "./run.ts";
import { isTrouble, verdictOrder } from "./verdicts.ts";

/** A row and its index in run.json, which is its name for `harness explain`. */
export interface IndexedRow {
  row: OpRow;
  index: number;
}

/** Empty strings filter nothing. */
export interface RowFilter {
  op: string;
  layer: string;
  verdict: string;
  input: string;
  text: string;
}

export function indexed(rows: readonly OpRow[]): IndexedRow[] {
  return rows.map((row, index) => ({ row, index }));
}

export function matches({ row }: IndexedRow, filter: RowFilter): boolean {
  const text = filter.text.trim().toLowerCase();
  const everything = [
    row.clip,
    pieceName(row.layer),
    row.op,
    row.input,
    row.verdict,
    row.reason,
    row.diagnosis?.pattern ?? "",
    row.diagnosis?.evidence ?? "",
  ];
  return (
    (filter.op === "" || row.op === filter.op) &&
    (filter.layer === "" || String(row.layer) === filter.layer) &&
    (filter.verdict === "" || row.verdict === filter.verdict) &&
    (filter.input === "" || row.input === filter.input) &&
    (text === "" || everything.some((part) => part.toLowerCase().includes(text)))
  );
}

const rank = (verdict: Verdict): number => verdictOrder.indexOf(verdict);

/** Those that somebody has to look at, worst verdict first, then in the order of the run. */
export function troubled(rows: readonly OpRow[]): IndexedRow[] {
  return indexed(rows)
    .filter(({ row }) => isTrouble(row.verdict))
    .sort((a, b) => rank(a.row.verdict) - rank(b.row.verdict) || a.index - b.index);
}

export type Direction = "ascending" | "descending";

/** Numbers by size, words by alphabet; what is missing comes last either way. */
export function sorted<T>(
  items: readonly T[],
  key: (item: T) => number | string | null | undefined,
  direction: Direction,
): T[] {
  const sign = direction === "ascending" ? 1 : -1;
  return [...items].sort((a, b) => {
    const left = key(a) ?? null;
    const right = key(b) ?? null;
    if (left === null || right === null) {
      return (left === null ? 1 : 0) - (right === null ? 1 : 0);
    }
    if (typeof left === "number" && typeof right === "number") {
      return sign * (left - right);
    }
    return sign * String(left).localeCompare(String(right));
  });
}
