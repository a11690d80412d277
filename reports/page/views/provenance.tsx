// Where the numbers are from: environment, identities, certificates, probes, the gate's limits.
import type { ComponentChildren, JSX } from "preact";
import { Command } from "../components/copy_button.tsx";
import { useShared } from "../components/context.ts";
import { FigureValue } from "../components/number.tsx";
import { Table } from "../components/table.tsx";
import { VerdictBadge } from "../components/verdict.tsx";
import { instant } from "../data/figures.ts";
import type { NpuEnvironment, Shard } from "../data/origin.ts";
import type { Certificate, Probe, Run } from "../data/run.ts";
import { pieceName } from "../data/run.ts";

export function Provenance(): JSX.Element {
  const { run, text } = useShared();
  const { candidate, recording } = run.identities;
  const { identities } = run;
  const { npu, ...host } = run.environment;
  return (
    <>
      <section class="card">
        <h2>This run</h2>
        <Command text={run.command} label="the command of this run" />
        <div class="columns">
          <Pairs
            title="Paths"
            pairs={{
              created: instant(run.created_utc),
              design: identities.design,
              "design sha256": identities.design_sha256,
              placement: identities.placement,
              head: identities.head < 0 ? "all" : identities.head,
              device: identities.device,
              emulation: identities.emulation,
              "time model": identities.cost_model,
              speedup: run.speedup_label,
              "seed of certified rows": identities.row_seed,
              schema: `${run.schema} ${run.schema_version.join(".")}`,
            }}
          />
          <Pairs title="Recording" pairs={recording} />
          <Pairs title="Environment" pairs={host} />
          {npu && <Pairs title="NPU" pairs={npuPairs(npu)} />}
          {run.shard && <Pairs title="Shards" pairs={shardPairs(run.shard)} />}
          {candidate && (
            <Pairs
              title="Candidate"
              pairs={{
                file: candidate.file,
                sha256: candidate.sha256,
                runner: candidate.runner,
                input: candidate.input,
                device: candidate.device,
                probes: candidate.probes?.candidate.file,
                "sha256 of the probes": candidate.probes?.candidate.sha256,
              }}
            />
          )}
        </div>
        <button type="button" onClick={() => download(text)}>
          Save run.json
        </button>
      </section>
      <CertificateTable run={run} />
      <ProbeTable run={run} />
      <TrustTable run={run} />
      <GateTable run={run} />
    </>
  );
}

function download(text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "run.json";
  link.click();
  URL.revokeObjectURL(url);
}

function npuPairs(npu: NpuEnvironment): PairList {
  const { name, hardware, power_mode, xrt, firmware, launches_at_once: together } = npu;
  return {
    name: name === "" ? "none: taken for an emulation" : name,
    is: hardware ? "hardware" : "an emulation, no hardware",
    power_mode,
    xrt,
    firmware,
    launches: together > 1 ? `in lists of up to ${together}` : "one by one",
  };
}

function shardPairs(shard: Shard): PairList {
  return { shards: `${shard.shards.join(", ")} of ${shard.of}`, lost: shard.lost.join("; ") };
}

/** What is empty, or no plain value, is left out. */
type PairList = Record<string, unknown>;

function Pairs({ title, pairs }: { title: string; pairs: PairList }): JSX.Element {
  const filled = Object.entries(pairs).filter(
    (pair): pair is [string, string | number] =>
      typeof pair[1] === "number" || (typeof pair[1] === "string" && pair[1] !== ""),
  );
  const shown = (name: string, value: string | number): ComponentChildren =>
    name.includes("sha256") || name === "flags" || name === "file" ? (
      <code class="long">{value}</code>
    ) : (
      value
    );
  return (
    <section>
      <h3>{title}</h3>
      <dl class="pairs">
        {filled.map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll("_", " ")}</dt>
            <dd>{shown(name, value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

interface CertificateLine {
  piece: string;
  path: string;
  certificate: Certificate;
}

function certificates(run: Run): CertificateLine[] {
  return [
    ...run.layers.map((layer, index) => ({
      piece: `${layer.clip}, ${pieceName(layer.layer)}`,
      path: `layers.${index}.certificate`,
      certificate: layer.certificate,
    })),
    ...run.encoders.flatMap((encoder, index) =>
      Object.entries(encoder.certificates).map(([stage, certificate]) => ({
        piece: `${encoder.clip}, ${stage}`,
        path: `encoders.${index}.certificates.${stage}`,
        certificate,
      })),
    ),
  ];
}

function CertificateTable({ run }: { run: Run }): JSX.Element {
  const lines = certificates(run);
  const ops = [...new Set(lines.flatMap((line) => Object.keys(line.certificate.golden_against_oracle)))];
  return (
    <Table
      name="certificates"
      caption="The golden’s certificate: largest relative error against the fp64 oracle, op by op, measured"
      items={lines}
      identify={(line) => line.path}
      columns={[
        { name: "piece", title: "piece", cell: (line) => line.piece },
        {
          name: "certified",
          title: "certified",
          cell: (line) => (line.certificate.certified ? "✓ yes" : `✗ no: ${line.certificate.fault}`),
        },
        ...ops.map((op) => ({
          name: op,
          title: op,
          numeric: true,
          cell: (line: CertificateLine) => (
            <FigureValue
              figure={line.certificate.golden_against_oracle[op]}
              path={`${line.path}.golden_against_oracle.${op}`}
              format="significant"
            />
          ),
          key: (line: CertificateLine) => line.certificate.golden_against_oracle[op]?.value,
        })),
      ]}
    />
  );
}

function ProbeTable({ run }: { run: Run }): JSX.Element | null {
  const lines: { probe: Probe; path: string; where: string }[] = [
    ...run.layers.flatMap((layer, at) =>
      layer.probes.map((probe, index) => ({
        probe,
        path: `layers.${at}.probes.${index}`,
        where: `${layer.clip}, ${pieceName(layer.layer)}`,
      })),
    ),
    ...run.ragged_probes.map((probe, index) => ({
      probe,
      path: `ragged_probes.${index}`,
      where: run.identities.candidate ? "known operands" : "small model",
    })),
  ];
  if (lines.length === 0) {
    return null;
  }
  return (
    <Table
      name="probes"
      caption="Probes (level 3): operands whose result is known"
      items={lines}
      identify={(line) => line.path}
      columns={[
        {
          name: "probe",
          title: "probe",
          cell: ({ probe }) => <span title={probe.proves}>{probe.probe.replaceAll("_", " ")}</span>,
          key: ({ probe }) => probe.probe,
        },
        { name: "where", title: "on", cell: (line) => line.where, key: (line) => line.where },
        {
          name: "context",
          title: "T",
          numeric: true,
          cell: ({ probe }) => probe.context,
          key: ({ probe }) => probe.context,
        },
        {
          name: "verdict",
          title: "verdict",
          cell: ({ probe }) => <VerdictBadge verdict={probe.verdict} />,
          key: ({ probe }) => probe.verdict,
        },
        {
          name: "rho",
          title: "deviation / bound",
          numeric: true,
          cell: (line) => (
            <FigureValue figure={line.probe.rho} path={`${line.path}.rho`} format="errorRatio" />
          ),
          key: ({ probe }) => probe.rho.value,
        },
        {
          name: "reason",
          title: "reason",
          cell: ({ probe }) => <span class="reason">{probe.reason}</span>,
        },
      ]}
    />
  );
}

function TrustTable({ run }: { run: Run }): JSX.Element | null {
  if (run.data_trust.length === 0) {
    return null;
  }
  return (
    <Table
      name="trust"
      caption="Classes of faults, and whether the data of this run could reveal them"
      items={run.data_trust}
      identify={(trust) => trust.fault_class}
      columns={[
        { name: "class", title: "class", cell: (trust) => trust.fault_class.replaceAll("_", " ") },
        {
          name: "verdict",
          title: "verdict",
          cell: (trust) => <VerdictBadge verdict={trust.verdict} />,
          key: (trust) => trust.verdict,
        },
        { name: "where", title: "where", cell: (trust) => trust.where },
        { name: "reason", title: "reason", cell: (trust) => <span class="reason">{trust.reason}</span> },
      ]}
    />
  );
}

function GateTable({ run }: { run: Run }): JSX.Element {
  return (
    <Table
      name="gate"
      caption="The gate: every limit"
      items={run.gate}
      identify={(limit) => limit.quantity}
      columns={[
        {
          name: "quantity",
          title: "quantity",
          cell: (limit) => limit.quantity,
          key: (limit) => limit.quantity,
        },
        { name: "level", title: "level", cell: (limit) => limit.level, key: (limit) => limit.level },
        { name: "formula", title: "limit", cell: (limit) => <span class="reason">{limit.formula}</span> },
        {
          name: "gated",
          title: "gated",
          cell: (limit) => (limit.gated ? "yes" : "reported only"),
          key: (limit) => String(limit.gated),
        },
        {
          name: "provisional",
          title: "provisional",
          cell: (limit) => (limit.provisional === "" ? "" : limit.provisional),
          key: (limit) => limit.provisional,
        },
      ]}
    />
  );
}
