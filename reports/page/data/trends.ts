// The trends that reports/html.cpp puts beside the run: one figure of one row over the nights of a history.

export interface TrendPoint {
  created_utc: string;
  commit: string;
  value: number;
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

/** "+2.1%" of the newest against the median of those before it; null where there are none, or it is 0. */
export function changeOfNewest(trend: Trend): number | null {
  const values = trend.points.map((point) => point.value);
  const newest = values.at(-1);
  const before = values.slice(0, -1).sort((a, b) => a - b);
  const middle = Math.floor(before.length / 2);
  const high = before[middle];
  if (newest === undefined || high === undefined) {
    return null;
  }
  const low = before.length % 2 === 1 ? high : (before[middle - 1] ?? high);
  const median = (low + high) / 2;
  return median === 0 ? null : newest / median - 1;
}
