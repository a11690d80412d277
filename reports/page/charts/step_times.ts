// CPU beside NPU, step by step: measured bars plain, modelled ones hatched, with their interval as a whisker.
import { milliseconds, times } from "../data/figures.ts";
import type { ChartContent } from "./content.ts";
import { barStyle, categoryAxis, decals, legend, tooltip, valueAxis } from "./marks.ts";

interface SideTime {
  seconds: number | null;
  kind: string;
}

/** One step; `interval`: low and high seconds of the NPU's time, where it is modelled. */
export interface StepBar {
  name: string;
  cpu: SideTime;
  npu: SideTime;
  interval: [number, number] | null;
  speedup: number | null;
}

const inMilliseconds = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1e3);

// Low and high as an "I" in the middle of the NPU's bar.
function whisker(colour: string) {
  return (
    _: unknown,
    api: {
      value: (i: number) => number;
      coord: (p: number[]) => number[];
      size: (p: number[]) => number[];
    },
  ): unknown => {
    const at = api.value(0);
    const [low = 0, y = 0] = api.coord([api.value(1), at]);
    const [high = 0] = api.coord([api.value(2), at]);
    const middle = y + (api.size([0, 1])[1] ?? 0) * 0.18;
    const line = (x1: number, y1: number, x2: number, y2: number): unknown => ({
      type: "line",
      shape: { x1, y1, x2, y2 },
      style: { stroke: colour, lineWidth: 1.25 },
    });
    const cap = 4;
    return {
      type: "group",
      children: [
        line(low, middle, high, middle),
        line(low, middle - cap, low, middle + cap),
        line(high, middle - cap, high, middle + cap),
      ],
    };
  };
}

export function stepTimes(steps: readonly StepBar[]): ChartContent {
  const names = steps.map((step) => step.name);
  return {
    option: (palette) => ({
      ...decals,
      grid: { left: 4, right: 24, top: 30, bottom: 40, containLabel: true },
      legend: legend(palette),
      tooltip: { ...tooltip(palette), trigger: "axis", axisPointer: { type: "shadow" } },
      xAxis: valueAxis(palette, "ms"),
      yAxis: { ...categoryAxis(palette, names), inverse: true },
      series: [
        {
          name: "CPU",
          type: "bar",
          barGap: "15%",
          itemStyle: { color: palette.cpu },
          data: steps.map((step) => ({
            value: inMilliseconds(step.cpu.seconds),
            itemStyle: barStyle(palette, palette.cpu, step.cpu.kind),
          })),
        },
        {
          name: "NPU",
          type: "bar",
          itemStyle: barStyle(palette, palette.npu, steps[0]?.npu.kind ?? ""),
          data: steps.map((step) => ({
            value: inMilliseconds(step.npu.seconds),
            itemStyle: barStyle(palette, palette.npu, step.npu.kind),
          })),
        },
        {
          name: "90% interval",
          type: "custom",
          silent: true,
          tooltip: { show: false },
          itemStyle: { color: palette.text },
          encode: { x: [1, 2], y: 0 },
          renderItem: whisker(palette.text),
          data: steps.flatMap((step, index) =>
            step.interval === null ? [] : [[index, step.interval[0] * 1e3, step.interval[1] * 1e3]],
          ),
        },
      ],
    }),
    table: {
      heads: ["op", "CPU ms", "CPU kind", "NPU ms", "NPU kind", "90% interval ms", "speedup"],
      lines: steps.map((step) => [
        step.name,
        milliseconds(step.cpu.seconds),
        step.cpu.kind,
        milliseconds(step.npu.seconds),
        step.npu.kind,
        step.interval === null ? "–" : step.interval.map((end) => milliseconds(end)).join(" .. "),
        times(step.speedup),
      ]),
    },
  };
}
