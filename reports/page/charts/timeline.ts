// One layer on the modelled device: its steps one after the other, each split into what takes its time.
import { milliseconds } from "../data/figures.ts";
import type { ModelledStep } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import type { ChartContent } from "./content.ts";
import { barStyle, categoryAxis, decals, legend, tooltip, valueAxis } from "./marks.ts";

const parts = [
  { name: "launch", key: "launch_seconds" },
  { name: "transfer", key: "transfer_seconds" },
  { name: "compute", key: "compute_seconds" },
  { name: "idle", key: "idle_seconds" },
] as const;

/** Where each step begins, in seconds. */
function beginnings(steps: readonly ModelledStep[]): number[] {
  let at = 0;
  return steps.map((step) => {
    const begin = at;
    at += step.seconds;
    return begin;
  });
}

export function timeline(steps: readonly ModelledStep[]): ChartContent {
  const begins = beginnings(steps);
  const names = steps.map((step) => rangeName(step.ops));
  return {
    option: (palette) => ({
      ...decals,
      grid: { left: 4, right: 24, top: 30, bottom: 40, containLabel: true },
      legend: { ...legend(palette), data: parts.map((part) => part.name) },
      tooltip: {
        ...tooltip(palette),
        trigger: "item",
        valueFormatter: (value: unknown) => `${Number(value).toFixed(3)} ms, modelled`,
      },
      xAxis: valueAxis(palette, "ms from the layer's begin, modelled"),
      yAxis: { ...categoryAxis(palette, names), inverse: true },
      series: [
        {
          name: "before",
          type: "bar",
          stack: "step",
          silent: true,
          itemStyle: { color: "transparent" },
          tooltip: { show: false },
          data: begins.map((begin) => begin * 1e3),
        },
        ...parts.map((part) => ({
          name: part.name,
          type: "bar",
          stack: "step",
          barWidth: "62%",
          itemStyle: barStyle(palette, palette[part.name], "modelled"),
          data: steps.map((step) => step[part.key] * 1e3),
        })),
      ],
    }),
    table: {
      heads: ["op", "begin ms", "total ms", ...parts.map((part) => `${part.name} ms`), "kind"],
      lines: steps.map((step, index) => [
        rangeName(step.ops),
        milliseconds(begins[index]),
        milliseconds(step.seconds),
        ...parts.map((part) => milliseconds(step[part.key])),
        "modelled",
      ]),
    },
  };
}
