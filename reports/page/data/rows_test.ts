import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestLimit } from "./headroom.ts";
import { matrixOf, headroomClass } from "./matrix.ts";
import type { OpRow, Verdict } from "./run.ts";
import { indexed, matches, sorted, troubled } from "./rows.ts";
import { changeOfNewest } from "./trends.ts";

function row(op: string, layer: number, verdict: Verdict, changes: Partial<OpRow> = {}): OpRow {
  return {
    clip: "clip",
    layer,
    op,
    input: "isolated",
    verdict,
    reason: "",
    headroom: [],
    error_maps: [],
    ...changes,
  };
}

const nothing = { op: "", layer: "", verdict: "", input: "", text: "" };

test("every filter narrows, and none lets everything through", () => {
  const rows = indexed([
    row("query", 0, "passed"),
    row("query", 1, "failed", { reason: "12 of 64000 Elements outside their bound" }),
    row("context", 1, "failed", { input: "chained" }),
  ]);
  const shown = (filter: Partial<typeof nothing>): number[] =>
    rows.filter((one) => matches(one, { ...nothing, ...filter })).map((one) => one.index);
  assert.deepEqual(shown({}), [0, 1, 2]);
  assert.deepEqual(shown({ op: "query" }), [0, 1]);
  assert.deepEqual(shown({ layer: "1" }), [1, 2]);
  assert.deepEqual(shown({ verdict: "failed", input: "chained" }), [2]);
  assert.deepEqual(shown({ text: "elements" }), [1]);
  assert.deepEqual(shown({ text: "layer 0" }), [0]);
});

test("trouble is what did not pass, the worst verdict first", () => {
  const rows = [
    row("query", 0, "passed"),
    row("key", 0, "mistrusted"),
    row("value", 0, "failed"),
    row("scores", 0, "covered"),
    row("context", 0, "not_run"),
    row("output", 0, "failed"),
  ];
  assert.deepEqual(
    troubled(rows).map((one) => one.index),
    [4, 2, 5, 1],
  );
});

test("sorting keeps every item, is stable, and puts what is missing last either way", () => {
  const items = [3, null, 1, 2, null, 1].map((value, index) => ({ value, index }));
  const up = sorted(items, (item) => item.value, "ascending").map((item) => item.index);
  const down = sorted(items, (item) => item.value, "descending").map((item) => item.index);
  assert.deepEqual(up, [2, 5, 3, 0, 1, 4]);
  assert.deepEqual(down, [0, 3, 2, 5, 1, 4]);
  assert.deepEqual(
    sorted(["b", "a", "C"], (word) => word, "ascending"),
    ["a", "b", "C"],
  );
});

test("the matrix has every row of its clip and input once, the end last", () => {
  const rows = [
    row("query", 1, "passed"),
    row("query", 0, "passed"),
    row("context", 0, "passed"),
    row("encoder", -1, "passed"),
    row("context", 0, "passed", { input: "chained" }),
    row("context", 0, "passed", { clip: "another" }),
  ];
  const matrix = matrixOf(rows, "clip", "isolated");
  assert.deepEqual(matrix.layers, [0, 1, -1]);
  assert.deepEqual(matrix.ops, ["query", "context", "encoder"]);
  const seen = matrix.cells.flat().flatMap((cell) => (cell === null ? [] : [cell.index]));
  assert.deepEqual(seen.sort(), [0, 1, 2, 3]);
});

test("the nearest limit is a gated one", () => {
  const figure = (value: number | null) => ({ value, unit: "dB", kind: "measured" });
  const headroom = [
    { limit: "reported", value: figure(1), allowed: 1, gated: false, room: figure(0.1) },
    { limit: "far", value: figure(1), allowed: 1, gated: true, room: figure(9) },
    { limit: "unknown", value: figure(null), allowed: 1, gated: true, room: figure(null) },
    { limit: "near", value: figure(1), allowed: 1, gated: true, room: figure(3.5) },
  ];
  const nearest = nearestLimit(row("query", 0, "passed", { headroom }));
  assert.equal(nearest?.limit.limit, "near");
  assert.equal(nearest?.index, 3);
  assert.equal(nearestLimit(row("query", 0, "passed")), null);
  assert.deepEqual([null, 2.9, 3, 6].map(headroomClass), ["none", "narrow", "fair", "wide"]);
});

test("the newest is compared with the median of those before it", () => {
  const trend = (values: (number | null)[]) => ({
    row: "query",
    quantity: "CPU ms",
    kind: "measured",
    points: values.map((value) => ({ created_utc: "", commit: "", value })),
  });
  assert.equal(changeOfNewest(trend([1, 100, 2, 3])), 0.5);
  assert.equal(changeOfNewest(trend([2, 4, 6])), 1);
  assert.equal(changeOfNewest(trend([2])), null);
  assert.equal(changeOfNewest(trend([])), null);
  // A night without a value is no improvement, and none to compare with.
  assert.equal(changeOfNewest(trend([1, 2, null])), null);
  assert.equal(changeOfNewest(trend([2, null, 4, null, 6])), 1);
  assert.equal(changeOfNewest(trend([null, 2])), null);
});
