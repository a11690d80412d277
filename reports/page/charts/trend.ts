// One figure over the nights.
import { instant, significant } from "../data/figures.ts";
import type { Trend } from "../data/trends.ts";
import { valuesOf } from "../data/trends.ts";
import type { ChartContent } from "./content.ts";
import { legend, tooltip, valueAxis } from "./marks.ts";

const dashes = ["solid", "dashed", "dotted"] as const;
const symbols = ["circle", "diamond", "triangle", "rect"] as const;

/** Trends of one quantity, a line each. */
export function trendLines(trends: readonly Trend[], quantity: string): ChartContent {
  const values = trends.flatMap((trend) => valuesOf(trend.points));
  // Steps of very different length are read by their ratios.
  const wide = Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values);
  return {
    option: (palette) => ({
      grid: { left: 14, right: 24, top: 34, bottom: 8, containLabel: true },
      legend: { ...legend(palette), type: "scroll" },
      color: [palette.accent, palette.npu, palette.compute, palette.transfer, palette.launch, palette.cpu],
      tooltip: {
        ...tooltip(palette),
        trigger: "axis",
        valueFormatter: (value: unknown) => significant(typeof value === "number" ? value : null, 4),
      },
      xAxis: {
        type: "time",
        axisLabel: { color: palette.muted, hideOverlap: true },
        axisLine: { lineStyle: { color: palette.line } },
      },
      yAxis: { ...valueAxis(palette, ""), type: wide ? "log" : "value", scale: true },
      series: trends.map((trend, index) => ({
        name: trend.row,
        type: "line",
        symbol: symbols[index % symbols.length],
        symbolSize: 6,
        showSymbol: trend.points.length <= 60,
        lineStyle: { width: 1.75, type: dashes[Math.floor(index / 6) % dashes.length] },
        data: trend.points.map((point) => [point.created_utc, point.value]),
      })),
    }),
    table: {
      heads: ["night", "row", quantity, "commit"],
      lines: trends.flatMap((trend) =>
        trend.points.map((point) => [
          instant(point.created_utc),
          trend.row,
          significant(point.value, 6),
          point.commit,
        ]),
      ),
    },
  };
}
