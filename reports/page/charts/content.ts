// What a chart component draws: the option for the library, which depends on the theme, and the data as text.
import type { EChartsCoreOption } from "echarts/core";
import type { Palette } from "./palette.ts";

export interface ChartContent {
  option: (palette: Palette) => EChartsCoreOption;
  table: { heads: string[]; lines: string[][] };
}
