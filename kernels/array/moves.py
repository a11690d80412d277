"""What the shim tiles move for a program of the whole array: in which order, and in which descriptors.

A lane is one channel of one shim tile, which carries whole tiles of 64 x 64 in a fixed order. Its order is
written down tile by tile, round by round; here it becomes buffer descriptors, and these become batches of
rounds that the descriptors and task queues of a shim tile have room for. Offsets and strides of a move are
elements. Limits: mlir-aie, AIETargetModel.h; a task queue takes four, as aie-rt counts.
"""

import dataclasses
import math

from programs import BF16, SIDE

MOST_REPEATS = 64  # of the outermost dimension of a shim's buffer descriptor
MOST_SIZE = 1023  # of the others
STRIDE_WORDS = 1 << 20  # strides of 4 bytes are below
QUEUE_TASKS = 4  # of a channel at any one time
SHIM_DESCRIPTORS = 16
BATCH_TASKS = QUEUE_TASKS // 2  # of a channel, so that a batch is queued while the one before runs


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles of one argument, by the offsets of their first elements, in order."""

    argument: int
    element: int  # bytes
    row: int  # from one row to the next, in elements
    offsets: tuple


@dataclasses.dataclass(frozen=True)
class BiasRows:
    """One tile, whose rows are by turns the bias [64] bf16 at each of one or two offsets."""

    argument: int
    offsets: tuple
    element: int = BF16


@dataclasses.dataclass(frozen=True)
class Move:
    """One descriptor: `sizes` and `strides` from the outermost dimension to the innermost."""

    argument: int
    offset: int
    sizes: tuple
    strides: tuple

    @property
    def end(self):
        """Behind the last element that it touches."""
        return self.offset + sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides)) + 1


def equidistant(offsets, every_k):
    """The distinct offsets in ascending order, with those in between that make them equidistant: so that they
    are one dimension of a descriptor. Where no k follows (`every_k` false) only as long as few are added."""
    needed = sorted(set(offsets))
    if len(needed) < 3:
        return needed
    step = math.gcd(*(offset - needed[0] for offset in needed[1:]))
    whole = list(range(needed[0], needed[-1] + 1, step))
    return whole if every_k or len(whole) <= 2 * len(needed) else needed


def longest_prefix(offsets, limit):
    """(outer, inner) counts of the longest prefix that is `outer` equidistant runs of `inner` equidistant
    tiles. Strides within a run are positive, the outermost may repeat (0)."""
    run = 1
    while run < min(len(offsets), MOST_SIZE):
        step = offsets[run] - offsets[run - 1]
        if not 0 < step < limit or step != offsets[1] - offsets[0]:
            break
        run += 1
    best = (1, 1)
    for inner in range(1, run + 1):
        outer = 1
        while outer < MOST_REPEATS and (outer + 1) * inner <= len(offsets):
            step = offsets[inner] - offsets[0]
            following = offsets[outer * inner : (outer + 1) * inner]
            if not 0 <= step < limit or following != tuple(o + outer * step for o in offsets[:inner]):
                break
            outer += 1
        if outer * inner > best[0] * best[1]:
            best = (outer, inner)
    return best


def tile_moves(tiles):
    """The descriptors of tiles of one argument."""
    limit = STRIDE_WORDS * 4 // tiles.element
    if tiles.row >= limit:
        raise ValueError(f"rows of {tiles.row * tiles.element} bytes: a shim's strides are shorter")
    offsets = tiles.offsets
    while offsets:
        outer, inner = longest_prefix(offsets, limit)
        strides = [offsets[inner] - offsets[0] if outer > 1 else 0]
        strides.append(offsets[1] - offsets[0] if inner > 1 else 0)
        yield Move(tiles.argument, offsets[0], (outer, inner, SIDE, SIDE), (*strides, tiles.row, 1))
        offsets = offsets[outer * inner :]


def bias_move(bias):
    first, *other = bias.offsets
    step = other[0] - first if other else 0
    turns = len(bias.offsets)
    return Move(bias.argument, first, (SIDE // turns, turns, 1, SIDE), (0, step, 0, 1))


def moves(parts):
    """Of a lane: tiles of one argument that follow each other share descriptors."""
    made, tiles = [], None
    for part in [*parts, None]:
        same = isinstance(part, Tiles) and tiles and part.argument == tiles.argument
        if same and part.row == tiles.row:
            tiles = dataclasses.replace(tiles, offsets=tiles.offsets + part.offsets)
            continue
        if tiles:
            made += tile_moves(tiles)
        tiles = part if isinstance(part, Tiles) else None
        if isinstance(part, BiasRows):
            made.append(bias_move(part))
    return made


def batch_of(lanes, rounds):
    return {lane: moves([part for i in rounds for part in parts[i]]) for lane, parts in lanes.items()}


def most_tasks(batch):
    return max(len(tasks) for tasks in batch.values())


def batches(lanes):
    """Rounds that follow each other, as {lane: moves}; lanes holds {(name, column): parts of every round}.

    A batch has few enough tasks that the next can be queued while it runs, or it is a single round.
    """
    count = len(next(iter(lanes.values())))
    begin = 0
    while begin < count:
        batch, end = batch_of(lanes, [begin]), begin + 1
        while end < count:
            further = min(count, end + end - begin)
            longer = batch_of(lanes, range(begin, further))
            if most_tasks(longer) > BATCH_TASKS:
                break
            batch, end = longer, further
        if not has_room([batch]):
            lane, tasks = max(batch.items(), key=lambda item: len(item[1]))
            raise ValueError(
                f"round {begin}: lane {lane[0]} of column {lane[1]} needs {len(tasks)} tasks at once: its"
                f" tiles lie in no order that {QUEUE_TASKS} descriptors reach"
            )
        yield batch
        begin = end


def has_room(underway):
    """Whether all shim tiles have room for so many batches at once."""
    queued, held = {}, {}
    for batch in underway:
        for (name, column), tasks in batch.items():
            queued[name, column] = queued.get((name, column), 0) + len(tasks)
            held[column] = held.get(column, 0) + len(tasks)
    return max(queued.values()) <= QUEUE_TASKS and max(held.values()) <= SHIM_DESCRIPTORS
