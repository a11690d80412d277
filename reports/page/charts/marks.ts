// What the charts share: how a kind of number looks, axes, tooltips.
import type { Palette } from "./palette.ts";

/** Hatched: the mark of every modelled bar. The parts are ECharts' decal. */
function hatching(palette: Palette): Record<string, unknown> {
  return {
    symbol: "rect",
    dashArrayX: [1, 0],
    dashArrayY: [2, 4],
    rotation: -Math.PI / 4,
    color: palette.surface,
  };
}

/** A bar's style: plain where it was measured, hatched where it was modelled. */
export function barStyle(palette: Palette, colour: string, kind: string): Record<string, unknown> {
  return kind === "modelled"
    ? { color: colour, opacity: 0.9, borderColor: colour, borderWidth: 1, decal: hatching(palette) }
    : { color: colour };
}

/** Decals are drawn by the library's component for accessibility, whose own words the page replaces. */
export const decals = {
  aria: {
    enabled: true,
    label: { enabled: false },
    decal: { show: true, decals: [{ color: "transparent" }] },
  },
};

export function valueAxis(palette: Palette, name: string): Record<string, unknown> {
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: 28,
    nameTextStyle: { color: palette.muted },
    axisLabel: { color: palette.muted, hideOverlap: true },
    splitLine: { lineStyle: { color: palette.line } },
  };
}

export function categoryAxis(palette: Palette, data: string[]): Record<string, unknown> {
  return {
    type: "category",
    data,
    axisLabel: { color: palette.text },
    axisLine: { lineStyle: { color: palette.line } },
    axisTick: { show: false },
  };
}

export function tooltip(palette: Palette): Record<string, unknown> {
  return {
    confine: true,
    backgroundColor: palette.surface,
    borderColor: palette.line,
    textStyle: { color: palette.text, fontSize: 12 },
  };
}

export function legend(palette: Palette): Record<string, unknown> {
  return {
    top: 0,
    left: 0,
    itemGap: 16,
    textStyle: { color: palette.text },
    itemWidth: 18,
    itemHeight: 10,
  };
}
