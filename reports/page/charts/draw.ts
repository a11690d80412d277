// The one door to the chart library (Apache ECharts, of which only these parts are built in).
import { BarChart, CustomChart, LineChart } from "echarts/charts";
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TooltipComponent,
} from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { ChartContent } from "./content.ts";
import { paletteOf } from "./palette.ts";

use([
  AriaComponent, // hatched bars are its decals
  BarChart,
  CustomChart,
  GridComponent,
  LegendComponent,
  LineChart,
  MarkLineComponent,
  SVGRenderer,
  TooltipComponent,
]);

/** Tells every chart that the theme changed. */
export const themeChanged = "themechanged";

/** Draws into `frame` and keeps up with its size and the theme; the function returned takes it away. */
export function drawChart(frame: HTMLElement, content: ChartContent): () => void {
  const chart = init(frame, null, { renderer: "svg" });
  const draw = (): void => {
    const palette = paletteOf(frame);
    chart.setOption(
      {
        animation: false,
        textStyle: { fontFamily: getComputedStyle(frame).fontFamily, color: palette.text },
        ...content.option(palette),
      },
      { notMerge: true },
    );
    // At once, not in the next frame: printing does not wait for one.
    chart.getZr().flush();
  };
  draw();
  const resized = new ResizeObserver(() => chart.resize());
  resized.observe(frame);
  window.addEventListener(themeChanged, draw);
  return () => {
    window.removeEventListener(themeChanged, draw);
    resized.disconnect();
    chart.dispose();
  };
}
