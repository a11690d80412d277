// The part of run.json that says where its numbers are from: host, NPU, identities, timing, shards.
import type { Figure } from "./run.ts";

export interface HashedFile {
  file: string;
  sha256: string;
}

export interface Candidate {
  file: string;
  sha256?: string; // from minor version 9
  runner: string;
  input: string;
  device: string;
  launches: Figure | null;
  not_checked: string[];
  probes?: { recording: HashedFile; candidate: HashedFile } | null;
}

export interface Identities {
  recording: Record<string, string | number>;
  design: string;
  design_sha256: string;
  placement: string;
  head: number; // -1: all
  device: string;
  emulation: string;
  candidate: Candidate | null;
  cost_model: string;
  row_seed: number;
}

/** The NPU and what drives it. */
export interface NpuEnvironment {
  name: string;
  hardware: boolean;
  power_mode: string;
  xrt: string;
  firmware: string;
  launches_at_once: number;
}

/** Of the host, and the NPU where there is one. */
export interface Environment {
  machine: string;
  cpu: string;
  cores: number;
  threads: number;
  commit: string;
  [other: string]: string | number | NpuEnvironment | null;
  npu: NpuEnvironment | null;
}

/** How the CPU was timed, and its own runs against each other (A/A). */
export interface CpuTiming {
  elsewhere: boolean;
  layers: number;
  fewest_samples: number;
  most_samples: number;
  median_half_width_95: number | null;
  odd_over_even: number;
  second_over_first: number;
  noise_95: number;
}

/** Which part of a run this is. */
export interface Shard {
  of: number;
  shards: number[];
  lost: string[];
}
