// How far from the golden, piece after piece: match of the piece alone, of the chain so far, and the limit.
import { percent } from "../data/figures.ts";
import type { ChartContent } from "./content.ts";
import { categoryAxis, legend, tooltip, valueAxis } from "./marks.ts";

export interface DriftSeries {
  name: string;
  dashed: boolean;
  values: (number | null)[]; // match, percent; by place
}

/** `limit`: of the match, percent; null: none is drawn. */
export function drift(
  places: string[],
  series: readonly DriftSeries[],
  limit: number | null,
): ChartContent {
  return {
    option: (palette) => ({
      grid: { left: 14, right: 24, top: 34, bottom: 12, containLabel: true },
      legend: legend(palette),
      tooltip: {
        ...tooltip(palette),
        trigger: "axis",
        valueFormatter: (value: unknown) => `${percent(value as number | null)} %`,
      },
      xAxis: { ...categoryAxis(palette, places), boundaryGap: false },
      yAxis: {
        ...valueAxis(palette, ""),
        scale: true,
        // The limit is always in view: the distance to it is what matters.
        min: (seen: { min: number }) => Math.min(seen.min, limit ?? seen.min),
        max: 100,
      },
      series: series.map((one, index) => ({
        name: one.name,
        type: "line",
        data: one.values,
        connectNulls: false,
        symbol: index === 0 ? "circle" : "diamond",
        symbolSize: 7,
        lineStyle: { width: 2, type: one.dashed ? "dashed" : "solid" },
        itemStyle: { color: index === 0 ? palette.accent : palette.npu },
        ...(index === 0 && limit !== null ? { markLine: limitLine(palette.bad, limit) } : {}),
      })),
    }),
    table: {
      heads: ["after", ...series.map((one) => `${one.name}, match %`)],
      lines: places.map((place, index) => [place, ...series.map((one) => percent(one.values[index]))]),
    },
  };
}

function limitLine(colour: string, limit: number): Record<string, unknown> {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: colour, type: "dotted" },
    label: { formatter: `limit ${limit}%`, color: colour, position: "insideStartBottom" },
    data: [{ yAxis: limit }],
  };
}
