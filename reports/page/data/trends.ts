// The trends that reports/html.cpp puts beside the run: one figure of one row over the nights of a history.

export interface TrendPoint {
  created_utc: string;
  commit: string;
  value: number | null; // null: the run has none, or it is not finite
}

export interface Trend {
  row: string;
  quantity: string;
  kind: string;
  points: TrendPoint[];
}

/** The different values in order of their first appearance. */
export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** The values that there are. */
export function valuesOf(points: readonly TrendPoint[]): number[] {
  return points.map((point) => point.value).filter((value) => value !== null);
}

/** "+2.1%" of the newest against the median of those before it; null where there are none, or it is 0. */
export function changeOfNewest(trend: Trend): number | null {
  const newest = trend.points.at(-1)?.value ?? null;
  const before = valuesOf(trend.points.slice(0, -1)).sort((a, b) => a - b);
  const middle = Math.floor(before.length / 2);
  const high = before[middle];
  if (newest === null || high === undefined) {
    return null;
  }
  const low = before.length % 2 === 1 ? high : (before[middle - 1] ?? high);
  const median = (low + high) / 2;
  return median === 0 ? null : newest / median - 1;
}
