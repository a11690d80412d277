// A run as the first minor version of its schema would have written it: everything later taken out.

const top = [
  "ragged_probes",
  "data_trust",
  "encoders",
  "baseline",
  "time_model",
  "cpu_timing",
  "shard",
];
const anywhere = new Set([
  "findings",
  "headroom",
  "diagnosis",
  "error_maps",
  "probes",
  "data",
  "placement",
  "candidate",
  "design_sha256",
  "npu_modelled",
  "launch_times",
  "speedup_interval",
  "z",
  "misrounded",
  "misrounded_below",
  "misrounded_shrunk",
  "machine",
  "provisional",
  "limit",
  "ran",
]);

type Fields = Record<string, unknown>;

function stripped(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(stripped);
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !anywhere.has(name))
      .map(([name, field]) => [name, stripped(field)]),
  );
}

export function asFirstVersion(json: unknown): unknown {
  const run = stripped(json) as Fields & {
    identities: Fields;
    environment: Fields;
    layers: { repeatability: Fields }[];
  };
  top.forEach((name) => delete run[name]);
  delete run.identities["head"];
  delete run.identities["emulation"];
  delete run.environment["npu"];
  for (const { repeatability } of run.layers) {
    delete repeatability["verdict"];
    delete repeatability["reason"];
  }
  return { ...run, schema_version: [1, 0] };
}
