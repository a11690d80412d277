// Layers against ops: where each row of one clip and input stands.
import type { Input, OpRow } from "./run.ts";
import type { IndexedRow } from "./rows.ts";
import { indexed } from "./rows.ts";
import { distinct } from "./trends.ts";

export interface Matrix {
  ops: string[];
  layers: number[];
  cells: (IndexedRow | null)[][]; // [layer, op]
}

export function matrixOf(rows: readonly OpRow[], clip: string, input: Input): Matrix {
  const chosen = indexed(rows).filter(({ row }) => row.clip === clip && row.input === input);
  const ops = distinct(chosen.map(({ row }) => row.op));
  // The end of the encoder, whose number is negative, comes behind the last layer.
  const layers = distinct(chosen.map(({ row }) => row.layer)).sort((a, b) =>
    a < 0 || b < 0 ? b - a : a - b,
  );
  const cells = layers.map((layer) =>
    ops.map((op) => chosen.find(({ row }) => row.layer === layer && row.op === op) ?? null),
  );
  return { ops, layers, cells };
}

/** How near the limits a cell is, for its shade: dB to the nearest limit in classes. */
export function headroomClass(decibel: number | null): "none" | "narrow" | "fair" | "wide" {
  if (decibel === null) {
    return "none";
  }
  return decibel < 3 ? "narrow" : decibel < 6 ? "fair" : "wide";
}
