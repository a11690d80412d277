import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordedRun } from "./normalised.ts";
import { normalised } from "./normalised.ts";
import { troublesOf } from "./troubles.ts";
import { foundations } from "./verdicts.ts";

// The shape of minor version 0, one of everything.
const oldest = {
  schema: "npu-attention-run",
  schema_version: [1, 0],
  created_utc: "2026-01-01T00:00:00Z",
  command: "harness --compare",
  verdict: "passed",
  exit_code: 0,
  speedup_label: "projected",
  environment: { cpu: "a CPU", cores: 2, threads: 2, commit: "abc" },
  identities: { recording: {}, design: "unfused", device: "emulated", cost_model: "", row_seed: 1 },
  gate: [{ quantity: "rho", level: "L1", formula: "max |error| / bound <= 1", gated: true }],
  clips: [{ clip: "a" }],
  ops: [],
  layers: [
    {
      clip: "a",
      layer: 0,
      certificate: { certified: true, fault: "", golden_against_oracle: {}, golden_against_recording: {} },
      headline: { verdict: "passed", reason: "" },
      repeatability: {},
      steps: [],
    },
  ],
  rows: [
    {
      clip: "a",
      layer: 0,
      op: "query",
      input: "isolated",
      verdict: "passed",
      reason: "",
      site: { tile: 1, launch: 2, core: 3 },
    },
  ],
} as unknown as RecordedRun;

test("what the first version lacks is empty, not undefined", () => {
  const run = normalised(oldest);
  assert.deepEqual([run.ragged_probes, run.data_trust, run.encoders], [[], [], []]);
  assert.deepEqual([run.baseline, run.time_model, run.cpu_timing, run.shard], [null, null, null, null]);
  assert.deepEqual([run.identities.placement, run.identities.head], ["attention", -1]);
  assert.equal(run.environment.npu, null);
  assert.deepEqual([run.rows[0]?.headroom, run.rows[0]?.error_maps], [[], []]);
  assert.deepEqual(run.rows[0]?.site, { tile: 1, launch: 2, core: 3, ran: true });
  assert.deepEqual(run.layers[0]?.probes, []);
  assert.equal(run.layers[0]?.repeatability.verdict, "not_run");
  assert.equal(run.clips[0]?.speedup_interval, null);
  assert.equal(run.gate[0]?.limit, null);
  assert.deepEqual(troublesOf(run), { rows: [], others: [] });
  assert.ok(foundations(run).length > 3);
});

test("what is there stays, and once is enough", () => {
  const npu = { name: "NPU Strix", hardware: true, power_mode: "performance", launches_at_once: 24 };
  const once = normalised({ ...oldest, environment: { ...oldest.environment, npu } });
  assert.equal(once.environment.npu?.name, "NPU Strix");
  assert.equal(once.environment.npu?.xrt, "");
  assert.equal(once.environment.commit, "abc");
  assert.deepEqual(normalised(once), once);
});
