// The headroom of a row to the nearest gated limit of level 2.
import type { Headroom, OpRow } from "./run.ts";

/** The gated limit with the least of it, and its index in the row's list; null where level 2 says nothing. */
export function nearestLimit(row: OpRow): { limit: Headroom; index: number } | null {
  let nearest: { limit: Headroom; index: number } | null = null;
  row.headroom.forEach((limit, index) => {
    const room = limit.room.value;
    if (
      limit.gated &&
      room !== null &&
      (nearest === null || room < (nearest.limit.room.value ?? Infinity))
    ) {
      nearest = { limit, index };
    }
  });
  return nearest;
}
