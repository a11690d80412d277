// What moving steps to the NPU is worth: each alone, and with all before it.
import { fixed, times } from "../data/figures.ts";
import type { AmdahlLine } from "../data/run.ts";
import { rangeName } from "../data/run.ts";
import type { ChartContent } from "./content.ts";
import { categoryAxis, decals, legend, tooltip, valueAxis } from "./marks.ts";
import { barStyle } from "./marks.ts";

/** `kind`: of the speedups. */
export function amdahl(lines: readonly AmdahlLine[], kind: string): ChartContent {
  const names = lines.map((line) => rangeName(line.ops));
  return {
    option: (palette) => ({
      ...decals,
      grid: { left: 4, right: 24, top: 30, bottom: 40, containLabel: true },
      legend: legend(palette),
      tooltip: {
        ...tooltip(palette),
        trigger: "axis",
        valueFormatter: (value: unknown) => times(value as number | null),
      },
      xAxis: { ...valueAxis(palette, `speedup of the whole, ${kind}`), min: 0 },
      yAxis: { ...categoryAxis(palette, names), inverse: true },
      series: [
        {
          name: "it alone",
          type: "bar",
          itemStyle: barStyle(palette, palette.compute, kind),
          data: lines.map((line) => line.alone),
          markLine: {
            silent: true,
            symbol: "none",
            lineStyle: { color: palette.muted, type: "dotted" },
            label: { formatter: "1×", color: palette.muted },
            data: [{ xAxis: 1 }],
          },
        },
        {
          name: "with those above",
          type: "bar",
          itemStyle: barStyle(palette, palette.npu, kind),
          data: lines.map((line) => line.with_those_before),
        },
      ],
    }),
    table: {
      heads: ["op", "share %", "speedup of it", "whole, it alone", "whole, with those above"],
      lines: lines.map((line) => [
        rangeName(line.ops),
        fixed(line.share * 100, 1),
        times(line.speedup),
        times(line.alone),
        times(line.with_those_before),
      ]),
    },
  };
}
