// A run of any minor version, with what earlier ones lack filled in. Everything behind this reads the newest
// shape and asks no further.
import type { Environment, Identities, NpuEnvironment } from "./origin.ts";
import type { ClipEntry, EncoderEntry, LayerEntry, Limit, OpRow, Run, Site } from "./run.ts";

/** `Names` of `T` may be missing. */
type Lacking<T, Names extends keyof T> = Omit<T, Names> & Partial<Pick<T, Names>>;

// Minor version 0 is the first; what each later one added is told in harness/run_record.hpp.
type RecordedRow = Lacking<Omit<OpRow, "site">, "headroom" | "error_maps"> & {
  site?: Lacking<Site, "ran">;
};
type RecordedLayer = Lacking<LayerEntry, "probes" | "repeatability"> & {
  repeatability?: Lacking<LayerEntry["repeatability"], "verdict" | "reason">;
};
type RecordedEnvironment = { npu?: Partial<NpuEnvironment> | null } & Record<string, unknown>;
type RecordedIdentities = Lacking<
  Identities,
  "design_sha256" | "placement" | "head" | "emulation" | "candidate"
>;
type RecordedEncoder = Lacking<EncoderEntry, "mel_and_encoder_cold" | "certificates">;
type Rebuilt = "environment" | "identities" | "gate" | "clips" | "layers" | "rows" | "encoders";
export type RecordedRun = Lacking<
  Omit<Run, Rebuilt>,
  "ops" | "ragged_probes" | "data_trust" | "baseline" | "time_model" | "cpu_timing" | "shard"
> & {
  environment: RecordedEnvironment;
  identities: RecordedIdentities;
  gate?: Lacking<Limit, "limit" | "provisional">[];
  clips?: Lacking<ClipEntry, "speedup_interval">[];
  layers: RecordedLayer[];
  rows: RecordedRow[];
  encoders?: RecordedEncoder[];
};

function environmentOf(recorded: RecordedEnvironment): Environment {
  const npu = recorded.npu
    ? {
        name: "",
        hardware: false,
        power_mode: "",
        xrt: "",
        firmware: "",
        launches_at_once: 1,
        ...recorded.npu,
      }
    : null;
  return { machine: "", ...recorded, npu } as Environment;
}

function rowOf({ site, ...recorded }: RecordedRow): OpRow {
  return {
    headroom: [],
    error_maps: [],
    ...recorded,
    ...(site ? { site: { ran: true, ...site } } : {}),
  };
}

function layerOf(recorded: RecordedLayer): LayerEntry {
  const nothing = { value: 0, unit: "elements", kind: "counted" };
  return {
    ...recorded,
    probes: recorded.probes ?? [],
    repeatability: {
      elements: nothing,
      differing: nothing,
      verdict: "not_run",
      reason: "",
      ...recorded.repeatability,
    },
  };
}

export function normalised(run: RecordedRun): Run {
  return {
    ...run,
    environment: environmentOf(run.environment),
    identities: {
      design_sha256: "",
      placement: "attention",
      head: -1,
      emulation: "",
      candidate: null,
      ...run.identities,
    },
    gate: (run.gate ?? []).map((limit) => ({ limit: null, provisional: "", ...limit })),
    clips: (run.clips ?? []).map((clip) => ({ speedup_interval: null, ...clip })),
    ops: run.ops ?? [],
    layers: run.layers.map(layerOf),
    ragged_probes: run.ragged_probes ?? [],
    data_trust: run.data_trust ?? [],
    rows: run.rows.map(rowOf),
    encoders: (run.encoders ?? []).map((encoder) => ({
      mel_and_encoder_cold: null,
      certificates: {},
      ...encoder,
    })),
    baseline: run.baseline ?? null,
    time_model: run.time_model ?? null,
    cpu_timing: run.cpu_timing ?? null,
    shard: run.shard ?? null,
  };
}
