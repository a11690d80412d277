// run.json as the views read it: the serialised form of harness/run_record.hpp, which documents every field.
// Whatever the minor version of a file, data/normalised.ts fills in what it lacks: `null`, `""` and `[]` here
// are "not in this run"; a `?` is what only some entries have.

import type { CpuTiming, Environment, Identities, Shard } from "./origin.ts";

/** How a number came about. `derived`, `defined`, `recorded` and others are printed as they are. */
export type Kind = string;

export type Verdict = "passed" | "accepted" | "failed" | "mistrusted" | "not_run" | "covered" | "unstable";
export type Input = "isolated" | "chained";

/** A number with unit and kind; null where it is not finite. */
export interface Figure {
  value: number | null;
  unit: string;
  kind: Kind;
}

export interface Duration extends Figure {
  clock: string;
  statistic?: string;
  samples?: number[];
}

export interface OpRange {
  first: string;
  last: string;
}

export interface Finding {
  quantity: string;
  text: string;
}

export interface Judgement {
  verdict: Verdict;
  reason: string;
  findings?: Finding[];
}

export interface ErrorElement {
  head: number;
  row: number;
  column: number;
  got: number | null;
  expected: number | null;
  bound: number | null;
}

export interface Damage {
  first: ErrorElement;
  worst: ErrorElement;
  row_begin: number;
  row_end: number;
  blocks: number;
  heads: number[];
}

export interface WorstRow {
  head: number;
  row: number;
  error: Figure;
}

export interface WorstTile {
  head: number;
  tile_row: number;
  tile_column: number;
  error: Figure;
}

export interface Statistics {
  elements: Figure;
  outside_bound: Figure;
  nonfinite: Figure;
  unwritten: Figure;
  rho: Figure;
  match: Figure;
  relative_error: Figure;
  cosine: Figure;
  max_abs_error: Figure;
  worst_row: WorstRow;
  worst_tile: WorstTile;
  damage?: Damage;
}

export interface Headroom {
  limit: string;
  value: Figure;
  allowed: number;
  gated: boolean;
  room: Figure;
}

export interface Diagnosis {
  pattern: string;
  explained: Figure;
  evidence: string;
  tile_row: number;
  tile_column: number;
}

/** The error of a failed row's worst heads, a letter a tile (harness/error_map.hpp). */
export interface HeadErrorMap {
  head: number;
  rho: number | null;
  tiles: string[];
}

/** What made an element; `ran` is false where it is the declared design's plan that would. */
export interface Site {
  tile: number;
  launch: number;
  core: number;
  ran: boolean;
}

export interface OpRow extends Judgement {
  clip: string;
  layer: number;
  op: string;
  input: Input;
  statistics?: Statistics;
  headroom: Headroom[];
  site?: Site;
  diagnosis?: Diagnosis;
  reproduce?: string;
  error_maps: HeadErrorMap[];
}

/** Launches on a device with a clock: host wall time inside the calls of the device. */
export interface LaunchTimes {
  total: Duration;
  submit: Duration;
  wait: Duration;
  to_device: Duration;
  from_device: Duration;
  launches: Figure;
  submissions: Figure;
  context_switches: Figure;
  warm_ups: Figure;
}

export interface StepTime {
  ops: OpRange;
  cpu: Duration;
  npu: Duration;
  launches: Figure;
  tiles: Figure;
  bytes: Figure;
  speedup: Figure;
  launch_times?: LaunchTimes; // with npu_modelled: of a device with a clock
  npu_modelled?: Duration;
}

export interface Certificate {
  certified: boolean;
  fault: string;
  golden_against_oracle: Record<string, Figure>;
  golden_against_recording: Record<string, Figure>;
}

export interface Probe extends Judgement {
  probe: string;
  proves: string;
  context: number;
  rho: Figure;
  reproduce?: string;
}

export interface LayerEntry {
  clip: string;
  layer: number;
  certificate: Certificate;
  headline: Judgement & { diagnosis?: Diagnosis };
  repeatability: Judgement & { elements: Figure; differing: Figure };
  probes: Probe[];
  steps: StepTime[];
  output?: Statistics;
  attention?: StepTime;
  reproduce?: string;
}

export interface InputSummary {
  rho: Figure;
  match: Figure;
  worst_row: Figure;
  worst_tile: Figure;
}

export interface OpSummary {
  op: string;
  verdict: Verdict;
  isolated: InputSummary | null;
  chained: InputSummary | null;
  mean_time_per_layer: StepTime | null;
}

export interface RealTime {
  processing: Duration;
  rtf: Figure;
  rtfx: Figure;
}

export interface ClipEntry {
  clip: string;
  scope: string;
  audio: Figure;
  layers: number;
  cpu: RealTime;
  npu: RealTime;
  speedup: Figure;
  speedup_interval: { low: number; high: number } | null;
}

export interface Deviation {
  match: Figure;
  relative_error: Figure;
  worst_row: { row: number; error: Figure };
  nonfinite: Figure;
}

export interface DriftPoint {
  after: string;
  isolated: Deviation;
  chained: Deviation;
}

export interface Placement {
  placement: string;
  mel: Duration;
  cpu: Duration;
  npu: Duration;
  launches: Figure;
  window: RealTime;
  audio: RealTime;
}

export interface EncoderOpTime {
  ops: OpRange;
  cpu: Duration;
  npu: Duration | null;
  launches: Figure;
}

export interface EncoderEntry {
  clip: string;
  audio_origin: string;
  scope: string;
  audio: Figure;
  window: Figure;
  context: number;
  heads: number;
  layers: number;
  mel: Duration;
  mel_and_encoder_cold: Duration | null;
  encoder_warm: Duration;
  ops: EncoderOpTime[];
  placements: Placement[];
  certificates: Record<string, Certificate>;
  candidate: Judgement & {
    placement: string;
    launches: Figure;
    launches_planned: Figure;
    drift: DriftPoint[];
  };
  reproduce?: string;
}

export interface ModelledStep {
  ops: OpRange;
  launches: number;
  context_switches: number;
  seconds: number;
  low_seconds: number;
  high_seconds: number;
  launch_seconds: number;
  transfer_seconds: number;
  compute_seconds: number;
  idle_seconds: number;
  bound: string;
  share_of_peak: number;
}

export interface AmdahlLine {
  ops: OpRange;
  share: number;
  speedup: number | null;
  alone: number;
  with_those_before: number;
}

export interface TimeModel {
  device: string;
  assumptions: string;
  interval_factor_90: number;
  steps: ModelledStep[];
  whole: string;
  amdahl: AmdahlLine[];
}

export interface Baseline {
  title: string;
  lines: { what: string; published: Figure; here: Duration | null }[];
  corrections: string[];
}

export interface Limit {
  quantity: string;
  level: string;
  formula: string;
  limit: number | null; // the number in `formula`
  gated: boolean;
  provisional: string;
}

export interface DataTrust extends Judgement {
  fault_class: string;
  where: string;
}

export interface Run {
  schema: string;
  schema_version: [number, number];
  created_utc: string;
  command: string;
  verdict: Verdict;
  exit_code: number;
  speedup_label: string;
  environment: Environment;
  identities: Identities;
  gate: Limit[];
  clips: ClipEntry[];
  ops: OpSummary[];
  layers: LayerEntry[];
  ragged_probes: Probe[];
  data_trust: DataTrust[];
  rows: OpRow[];
  encoders: EncoderEntry[];
  baseline: Baseline | null;
  time_model: TimeModel | null;
  cpu_timing: CpuTiming | null;
  shard: Shard | null;
}

/** "query", "scores..context" */
export function rangeName(ops: OpRange): string {
  return ops.first === ops.last ? ops.last : `${ops.first}..${ops.last}`;
}

/** "layer 3"; "end" for the piece behind the last layer, whose number is negative. */
export function pieceName(layer: number): string {
  return layer < 0 ? "end" : `layer ${layer}`;
}
