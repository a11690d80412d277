import assert from "node:assert/strict";
import { test } from "node:test";
import type { Judgement, LayerEntry, OpRow, Run, Verdict } from "./run.ts";
import { countsOfOthers, tally, troublesOf } from "./troubles.ts";

const judged = (verdict: Verdict): Judgement => ({ verdict, reason: verdict === "passed" ? "" : "why" });

// Of everything one, all passed.
function healthy() {
  const probe = { ...judged("passed"), probe: "ones", proves: "", context: 63 };
  return {
    rows: [{ clip: "a", layer: 0, op: "query", input: "isolated", ...judged("passed") } as OpRow],
    layers: [
      {
        clip: "a",
        layer: 0,
        headline: judged("passed"),
        repeatability: judged("passed"),
        probes: [probe],
      } as unknown as LayerEntry,
    ],
    ragged_probes: [{ ...probe }],
    data_trust: [{ ...judged("passed"), fault_class: "padding", where: "" }],
    encoders: [{ clip: "a", candidate: judged("passed") }],
  };
}

test("whatever alone did not pass is to be looked at, and nothing else", () => {
  const places: [string, (run: ReturnType<typeof healthy>) => Judgement | undefined][] = [
    ["rows", (run) => run.rows[0]],
    ["1 headline", (run) => run.layers[0]?.headline],
    ["1 repetition", (run) => run.layers[0]?.repeatability],
    ["1 probe", (run) => run.layers[0]?.probes[0]],
    ["1 probe", (run) => run.ragged_probes[0]],
    ["1 class of faults", (run) => run.data_trust[0]],
    ["1 encoder", (run) => run.encoders[0]?.candidate],
  ];
  const all = (run: unknown) => troublesOf(run as Run);
  assert.deepEqual(all(healthy()), { rows: [], others: [] });
  for (const [what, of] of places) {
    const run = healthy();
    Object.assign(of(run) ?? assert.fail(what), judged("mistrusted"));
    const { rows, others } = all(run);
    assert.equal(rows.length + others.length, 1, what);
    assert.equal(countsOfOthers(others), what === "rows" ? "" : what);
  }
});

test("what is accepted is no trouble", () => {
  const run = healthy();
  Object.assign(run.layers[0] ?? assert.fail(), { headline: judged("accepted") });
  assert.deepEqual(troublesOf(run as unknown as Run).others, []);
});

test("a headline that nobody asked for is no trouble", () => {
  const run = healthy();
  Object.assign(run.layers[0] ?? assert.fail(), {
    headline: judged("not_run"),
    repeatability: judged("not_run"),
  });
  assert.deepEqual(troublesOf(run as unknown as Run).others, []);
});

test("the headline counts what was judged first of all, and each thing once", () => {
  const of = (change: (run: ReturnType<typeof healthy>) => void): string => {
    const run = healthy();
    change(run);
    return tally(run as unknown as Run);
  };
  const fail = (one: Judgement | undefined): void => {
    Object.assign(one ?? assert.fail(), judged("failed"));
  };
  assert.equal(
    of(() => undefined),
    "1 rows: 1 passed",
  );
  assert.equal(
    of((run) => {
      run.rows = [];
    }),
    "1 encoder: 1 passed",
  );
  const probesAlone = (run: ReturnType<typeof healthy>): void => {
    run.rows = [];
    run.encoders = [];
    run.layers = [];
  };
  assert.equal(of(probesAlone), "1 probe: 1 passed");
  assert.equal(
    of((run) => {
      probesAlone(run);
      fail(run.ragged_probes[0]);
      fail(run.data_trust[0]);
    }),
    "1 probe: 1 failed",
  );
  assert.equal(
    of((run) => fail(run.layers[0]?.probes[0])),
    "1 rows: 1 passed; besides them to look at: 1 probe",
  );
});
