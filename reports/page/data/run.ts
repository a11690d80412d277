// run.json as the page reads it: the serialised form of harness/run_record.hpp, which documents every field.
// What a later minor version of the schema added is optional here.

/** How a number came about. `derived`, `defined`, `recorded` and others are printed as they are. */
export type Kind = string;

export type Verdict = "passed" | "failed" | "mistrusted" | "not_run" | "covered" | "unstable";
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

/** The error of the worst heads of a failed row, tile by tile; harness/error_map.hpp has the letters. */
export interface HeadErrorMap {
  head: number;
  rho: number | null;
  tiles: string[];
}

export interface OpRow extends Judgement {
  clip: string;
  layer: number;
  op: string;
  input: Input;
  statistics?: Statistics;
  headroom?: Headroom[];
  site?: { tile: number; launch: number; core: number };
  diagnosis?: Diagnosis;
  reproduce?: string;
  error_maps?: HeadErrorMap[];
}

export interface StepTime {
  ops: OpRange;
  cpu: Duration;
  npu: Duration;
  launches: Figure;
  tiles: Figure;
  bytes: Figure;
  speedup: Figure;
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
  gated: boolean;
  provisional: string;
}

export interface DataTrust extends Judgement {
  fault_class: string;
  where: string;
}

export interface Candidate {
  file: string;
  runner: string;
  input: string;
  device: string;
  launches: Figure | null;
  not_checked: string[];
}

export interface Identities {
  recording: Record<string, string | number>;
  design: string;
  placement?: string;
  head?: number;
  device: string;
  emulation: string;
  candidate?: Candidate | null;
  cost_model: string;
  row_seed: number;
}

export interface Run {
  schema: string;
  schema_version: [number, number];
  created_utc: string;
  command: string;
  verdict: Verdict;
  exit_code: number;
  speedup_label: string;
  environment: Record<string, string | number>;
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
}

/** "query", "scores..context" */
export function rangeName(ops: OpRange): string {
  return ops.first === ops.last ? ops.last : `${ops.first}..${ops.last}`;
}

/** "layer 3"; "end" for the piece behind the last layer, whose number is negative. */
export function pieceName(layer: number): string {
  return layer < 0 ? "end" : `layer ${layer}`;
}
