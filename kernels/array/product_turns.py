"""Who multiplies what in a launch of products: the order of tiles in every lane, and what a core takes of it.

Job `n` of a core is its part of round n. Cores 4 c to 4 c + 3 stand in column c. The tiles of the left factor
come to a column, those of the right factor, with the bias, to a row: to all its cores at once, and each core
lets those pass that it does not multiply. A core's buffer for a factor holds two tiles, and while the core
holds one of the left and waits for one of the right, the others of its column wait too. Where a step of k has
more than two tiles of both factors, a ring of cores could wait for each other. So where a column needs more
than two of the left factor, the memory tile deals them out, each to its core.

The cores of a column hand over their results together. A core without a job in a round in which others of its
column have one does one of theirs again: the same bytes go to the same place.
"""

import dataclasses
import math

import moves
from programs import BF16, F32, ROWS, SIDE

OPERAND_DEPTH = 2  # tiles of a factor that a core holds: manifest.json
LEFT_STEP = SIDE * BF16  # bytes from one k tile to the next


@dataclasses.dataclass(frozen=True)
class Pick:
    """One tile out of several: how many go past before it, and after."""

    before: int
    after: int

    @staticmethod
    def of(item, items):
        at = items.index(item)
        return Pick(at, len(items) - at - 1)


@dataclasses.dataclass(frozen=True)
class Turn:
    """A core's part of a round. `left`, `right`: by k. `bias`: which tile of bias rows; `bias_row` of it."""

    k_tiles: int
    left: Pick
    right: Pick
    bias: Pick | None = None
    bias_row: int = 0


@dataclasses.dataclass(frozen=True)
class Idle:
    """No job in a round: so many tiles of the right factor go past."""

    tiles: int


@dataclasses.dataclass(frozen=True)
class ProductPlan:
    """`columns`: the cores of each that has any. `lanes`: moves.batches. `turns`: of each core, by round."""

    columns: dict
    dealt: bool  # the left factor: to each core its own tiles
    lanes: dict
    turns: dict


def rounds_of(jobs):
    """{core: job} of every round."""
    rounds, done = [], {}
    for job in jobs:
        index = done.get(job.core, 0)
        done[job.core] = index + 1
        if index == len(rounds):
            rounds.append({})
        rounds[index][job.core] = job
    return rounds


def require_alike(jobs):
    """Cores run one program each, and a lane has one layout."""
    first = jobs[0]
    for job in jobs:
        for what in ("layout", "k_tiles", "scale", "store"):
            if getattr(job, what) != getattr(first, what):
                raise ValueError(f"jobs of one launch differ in {what}")
        if (job.bias is None) != (first.bias is None):
            raise ValueError("some jobs of one launch have a bias, others have none")
    if first.bias is not None and first.layout != "n_by_k":
        raise ValueError("a bias comes in rows, and a right factor [k, n] is not cut into rows of a tile")
    if not 1 <= first.k_tiles or math.frexp(first.scale)[0] != 0.5:
        raise ValueError(f"{first.k_tiles} k tiles, scale {first.scale}")


def columns_of(cores):
    columns = {}
    for core in sorted(cores):
        columns.setdefault(core // ROWS, []).append(core)
    return columns


def with_stand_ins(jobs, columns):
    """{core: job} of a round, with jobs done again where part of a column has none."""
    whole = dict(jobs)
    for cores in columns.values():
        busy = [core for core in cores if core in jobs]
        for i, core in enumerate(cores):
            if busy and core not in jobs:
                whole[core] = jobs[busy[i % len(busy)]]
    return whole


def at_k(offsets, step, k_tiles, element=BF16):
    """Offsets in elements, for every k in ascending order."""
    return tuple((offset + k * step) // element for k in range(k_tiles) for offset in offsets)


def tiles_of(region, offsets, step, k_tiles):
    return moves.Tiles(region.argument, BF16, region.stride // BF16, at_k(offsets, step, k_tiles))


def bias_pairs(jobs):
    """The different bias offsets of some jobs, two to a tile."""
    offsets = sorted({job.bias.offset for job in jobs if job.bias is not None})
    return [offsets[i : i + 2] for i in range(0, len(offsets), 2)]


def passing(jobs, factor):
    """Offsets of a factor's tiles, by k, that reach cores with these jobs."""
    return moves.equidistant([getattr(job, factor).offset for job in jobs], jobs[0].k_tiles > 1)


def most_tiles(groups, factor):
    return max(len(passing(jobs, factor)) for jobs in groups if jobs)


def in_steps(offsets):
    """Whether they ascend by equal steps."""
    return len(offsets) < 2 or offsets == moves.equidistant(offsets, True)


def right_step(job):
    return SIDE * (job.right.stride if job.layout == "k_by_n" else BF16)


class Rounds:
    """Fills the lanes and turns of a plan, round by round."""

    def __init__(self, program):
        require_alike(program.jobs)
        rounds = rounds_of(program.jobs)
        self.columns = columns_of({job.core for job in program.jobs})
        self.rows = sorted({core % ROWS for cores in self.columns.values() for core in cores})
        self.rounds = [with_stand_ins(jobs, self.columns) for jobs in rounds]
        self.turns = {core: [] for cores in self.columns.values() for core in cores}
        self.dealt = self.deals()
        self.lanes = {(name, column): [] for column in self.columns for name in ("left", "out")}
        self.lanes |= {("right", row): [] for row in self.rows}

    def deals(self):
        """Whether every core gets the left factor in a lane of its own."""
        lefts = [self.of_column(jobs, column) for jobs in self.rounds for column in self.columns]
        rights = [self.of_row(jobs, row) for jobs in self.rounds for row in self.rows]
        if most_tiles(lefts, "left") <= OPERAND_DEPTH:
            return False
        in_turn = all(in_steps([job.left.offset for job in jobs]) for jobs in lefts)
        several = any(job.k_tiles > 1 for jobs in lefts for job in jobs)
        return in_turn or not several or most_tiles(rights, "right") > OPERAND_DEPTH

    def of_column(self, jobs, column):
        return [jobs[core] for core in self.columns[column] if core in jobs]

    def of_row(self, jobs, row):
        return [jobs[core] for core in self.turns if core % ROWS == row and core in jobs]

    def left_tiles(self, jobs):
        """By k, of the jobs of a column."""
        return [job.left.offset for job in jobs] if self.dealt else passing(jobs, "left")

    def add_column(self, jobs, column):
        """What a column takes and gives; False where it has no job."""
        mine = self.of_column(jobs, column)
        if not mine:
            self.lanes["left", column].append([])
            self.lanes["out", column].append([])
            return
        first = mine[0]
        left = tiles_of(first.left, self.left_tiles(mine), LEFT_STEP, first.k_tiles)
        element = F32 if first.store == "f32" else BF16
        out = at_k([job.out.offset for job in mine], 0, 1, element)
        self.lanes["left", column].append([left])
        row = first.out.stride // element
        self.lanes["out", column].append([moves.Tiles(first.out.argument, element, row, out)])

    def add_row(self, jobs, row):
        """The right factor and bias for a row of cores; what each takes of them."""
        cores = [core for core in self.turns if core % ROWS == row]
        mine = self.of_row(jobs, row)
        if not mine:
            self.lanes["right", row].append([])
            for core in cores:
                self.turns[core].append(Idle(0))
            return
        first = mine[0]
        right = passing(mine, "right")
        pairs = bias_pairs(mine)
        parts = [moves.BiasRows(first.bias.argument, at_k(pair, 0, 1)) for pair in pairs]
        parts.append(tiles_of(first.right, right, right_step(first), first.k_tiles))
        self.lanes["right", row].append(parts)
        for core in cores:
            if core in jobs:
                self.turns[core].append(self.turn(jobs, core, right, pairs))
            else:
                self.turns[core].append(Idle(len(pairs) + len(right) * first.k_tiles))

    def turn(self, jobs, core, right, pairs):
        job = jobs[core]
        left = Pick(0, 0)
        if not self.dealt:
            left = Pick.of(job.left.offset, self.left_tiles(self.of_column(jobs, core // ROWS)))
        bias, bias_row = None, 0
        if job.bias is not None:
            pair = next(pair for pair in pairs if job.bias.offset in pair)
            bias, bias_row = Pick.of(pair, pairs), pair.index(job.bias.offset)
        return Turn(job.k_tiles, left, Pick.of(job.right.offset, right), bias, bias_row)

    def plan(self):
        for jobs in self.rounds:
            for column in self.columns:
                self.add_column(jobs, column)
            for row in self.rows:
                self.add_row(jobs, row)
        return ProductPlan(self.columns, self.dealt, self.lanes, self.turns)


def product_plan(program):
    return Rounds(program).plan()


def loops(turns):
    """The same turns as [(count, turns that repeat)], so that a core's program is short."""
    found, at = [], 0
    while at < len(turns):
        best = (1, 1)
        for period in range(1, (len(turns) - at) // 2 + 1):
            count = 1
            while turns[at + count * period : at + (count + 1) * period] == turns[at : at + period]:
                count += 1
            if count > 1 and count * period > best[0] * best[1]:
                best = (count, period)
        found.append((best[0], turns[at : at + best[1]]))
        at += best[0] * best[1]
    return found
