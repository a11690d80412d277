// Real-time factors, each with its scope, its audio and the kinds of its numbers.
import type { JSX } from "preact";
import type { Figure, RealTime, Run } from "../data/run.ts";
import { useShared } from "./context.ts";
import { FigureValue, Time } from "./number.tsx";
import { Table } from "./table.tsx";

interface Line {
  path: string; // of the real time in run.json
  clip: string;
  scope: string;
  side: string;
  time: RealTime;
  audio: Figure;
  audioPath: string;
}

/** Clips of a comparison, placements of an encoder: every real time that the run holds. */
export function realTimes(run: Run): Line[] {
  const clips = run.clips.flatMap((clip, index) =>
    (["cpu", "npu"] as const).map((side) => ({
      path: `clips.${index}.${side}`,
      clip: clip.clip,
      scope: `${clip.clip}: ${clip.scope}`,
      side: side.toUpperCase(),
      time: clip[side],
      audio: clip.audio,
      audioPath: `clips.${index}.audio`,
    })),
  );
  const encoders = run.encoders.flatMap((encoder, index) =>
    encoder.placements.flatMap((placement, at) =>
      (["window", "audio"] as const).map((window) => ({
        path: `encoders.${index}.placements.${at}.${window}`,
        clip: encoder.clip,
        scope: `${encoder.clip}: ${encoder.scope}`,
        side: placement.placement === "cpu" ? "CPU alone" : `NPU: ${placement.placement}`,
        time: placement[window],
        audio: encoder[window],
        audioPath: `encoders.${index}.${window}`,
      })),
    ),
  );
  return [...clips, ...encoders];
}

export function RealTimeTable(): JSX.Element | null {
  const { run } = useShared();
  const lines = realTimes(run);
  if (lines.length === 0) {
    return null;
  }
  return (
    <Table
      name="rtf"
      caption={`Real-time factors by scope; ${run.speedup_label || "modelled: measured and modelled parts"}`}
      items={lines}
      identify={(line) => line.path}
      columns={[
        { name: "scope", title: "scope", cell: (line) => line.scope, key: (line) => line.scope },
        { name: "side", title: "ops on", cell: (line) => line.side, key: (line) => line.side },
        {
          name: "processing",
          title: "processing ms",
          numeric: true,
          cell: (line) => <Time duration={line.time.processing} path={`${line.path}.processing`} />,
          key: (line) => line.time.processing.value,
        },
        {
          name: "audio",
          title: "audio s",
          numeric: true,
          cell: (line) => (
            <FigureValue figure={line.audio} path={line.audioPath} format="hundredths" kind />
          ),
          key: (line) => line.audio.value,
        },
        {
          name: "rtf",
          title: "RTF",
          hint: "processing / audio, lower is better",
          numeric: true,
          cell: (line) => (
            <FigureValue figure={line.time.rtf} path={`${line.path}.rtf`} format="significant" />
          ),
          key: (line) => line.time.rtf.value,
        },
        {
          name: "rtfx",
          title: "RTFx",
          hint: "audio / processing, higher is better",
          numeric: true,
          cell: (line) => (
            <FigureValue figure={line.time.rtfx} path={`${line.path}.rtfx`} format="significant" kind />
          ),
          key: (line) => line.time.rtfx.value,
        },
      ]}
    />
  );
}
