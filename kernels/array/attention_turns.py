"""Who attends to what in a launch of fused attention: where jobs run, and the order of tiles in every lane.

Jobs of one head need the same keys and values, so they stand together: by head, as many in every column. A
core has room for one tile of keys and one of values and holds both while it computes, so cores of different
heads that share a lane compute in turn. The memory tile of a column has channels for two lanes of keys and
two of values: where a column has an even number of equidistant heads, each lane carries every second; else
there is one of each. Queries come first, in the lane of the keys and in a round of their own; the core keeps
a copy.
"""

import dataclasses
import math

import moves
from product_turns import Pick, at_k
from programs import BF16, COLUMNS, SIDE


@dataclasses.dataclass(frozen=True)
class AttentionTurn:
    """Of a core: which query of its lane, which tile of keys and values by key tile."""

    part: int  # lane of its column
    query: Pick
    head: Pick


@dataclasses.dataclass(frozen=True)
class AttentionPlan:
    """`columns`: the cores of each, bottom row first. `parts`: lanes of keys, and of values, of a column."""

    columns: dict
    parts: dict
    lanes: dict
    turns: dict


def require_one_job(jobs):
    first = jobs[0]
    if len({job.core for job in jobs}) != len(jobs):
        raise ValueError("a core has more than one job of attention in a launch")
    for job in jobs:
        if (job.keys, job.scale) != (first.keys, first.scale):
            raise ValueError("jobs of one launch differ in keys or scale")
    if math.frexp(first.scale)[0] != 0.5:
        raise ValueError(f"scale {first.scale} is no power of two")


def heads_of(jobs):
    """Offsets (key, value) of the heads of a column, so many that both are equidistant."""
    keys = moves.equidistant([job.key.offset for job in jobs], True)
    values = moves.equidistant([job.value.offset for job in jobs], True)
    heads = list(zip(keys, values))
    if len(keys) != len(values) or any((job.key.offset, job.value.offset) not in heads for job in jobs):
        raise ValueError("keys and values of the heads of a column lie in different orders")
    return heads


def dealt(lists):
    """One of each list by turns, the last of a shorter list again: what reaches each part of a lane."""
    longest = max(len(items) for items in lists)
    return [items[min(i, len(items) - 1)] for i in range(longest) for items in lists]


def lane_of(region, offsets, key_tiles):
    """Of keys or values."""
    step = SIDE * region.stride
    return moves.Tiles(region.argument, BF16, region.stride // BF16, at_k(offsets, step, key_tiles))


def column_plan(jobs):
    """(parts, turns, queries, keys, values) of the jobs of a column."""
    heads = heads_of(jobs)
    used = {(job.key.offset, job.value.offset) for job in jobs}
    parts = 2 if len(heads) % 2 == 0 and len(used) == len(heads) else 1
    groups = [
        [job for job in jobs if heads.index((job.key.offset, job.value.offset)) % parts == part]
        for part in range(parts)
    ]
    queries = [[job.query.offset for job in group] for group in groups]
    most = max(len(group) for group in groups)
    turns = {}
    for part, group in enumerate(groups):
        for i, job in enumerate(group):
            at = heads.index((job.key.offset, job.value.offset)) // parts
            head = Pick(at, len(heads) // parts - at - 1)
            turns[job.core] = AttentionTurn(part, Pick(i, most - i - 1), head)
    first = jobs[0]
    query = moves.Tiles(
        first.query.argument, BF16, first.query.stride // BF16, at_k(dealt(queries), 0, 1)
    )
    keys = lane_of(first.key, [key for key, _ in heads], first.key_tiles)
    values = lane_of(first.value, [value for _, value in heads], first.key_tiles)
    return parts, turns, query, keys, values


def attention_plan(program):
    require_one_job(program.jobs)
    by_head = sorted(program.jobs, key=lambda job: (job.key.offset, job.core))
    plan = AttentionPlan({}, {}, {}, {})
    high = -(-len(by_head) // COLUMNS)
    for column, begin in enumerate(range(0, len(by_head), high)):
        jobs = by_head[begin : begin + high]
        parts, turns, queries, keys, values = column_plan(jobs)
        plan.columns[column] = [job.core for job in jobs]
        plan.parts[column] = parts
        plan.turns.update(turns)
        out = at_k([job.out.offset for job in jobs], 0, 1)
        row = jobs[0].out.stride // BF16
        plan.lanes["key", column] = [[queries], [keys]]
        plan.lanes["value", column] = [[], [values]]
        plan.lanes["out", column] = [[], [moves.Tiles(jobs[0].out.argument, BF16, row, out)]]
    return plan
