// Times of a whole encoder, op by op.
import type { JSX } from "preact";
import type { EncoderEntry, EncoderOpTime } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import { FigureValue, Time } from "./number.tsx";
import { Table } from "./table.tsx";

export function EncoderOpTable({ encoder, index }: { encoder: EncoderEntry; index: number }): JSX.Element {
  const path = (op: EncoderOpTime): string => `encoders.${index}.ops.${encoder.ops.indexOf(op)}`;
  return (
    <Table
      name={`encoder-ops-${index}`}
      caption={`Ops of the encoder over all layers, clip ${encoder.clip}: the golden’s, and on the NPU`}
      items={encoder.ops}
      identify={(op) => rangeName(op.ops)}
      columns={[
        { name: "op", title: "op", cell: (op) => rangeName(op.ops) },
        {
          name: "cpu",
          title: "CPU ms",
          numeric: true,
          cell: (op) => <Time duration={op.cpu} path={`${path(op)}.cpu`} />,
          key: (op) => op.cpu.value,
        },
        {
          name: "npu",
          title: "NPU ms",
          numeric: true,
          cell: (op) => <Time duration={op.npu} path={`${path(op)}.npu`} />,
          key: (op) => op.npu?.value,
        },
        {
          name: "launches",
          title: "launches",
          numeric: true,
          cell: (op) => (
            <FigureValue figure={op.launches} path={`${path(op)}.launches`} format="grouped" kind />
          ),
          key: (op) => op.launches.value,
        },
      ]}
    />
  );
}
