#!/usr/bin/env python3
"""The array designs without their toolchain: recorded_iron.py records what they ask for, and it is held to
the limits of the array and to the jobs of the plan. What only silicon can tell stays open.
Usage: array_designs_test.py HARNESS"""
import contextlib
import dataclasses
import functools
import io
import itertools
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

HARNESS = sys.argv.pop()
FOLDER = pathlib.Path(__file__).parent
SCRIPT = FOLDER.parent / "build_xclbins.sh"
sys.path.insert(0, str(FOLDER))

import recorded_iron  # noqa: E402
from recorded_iron import FIFOS, WORKERS  # noqa: E402

recorded_iron.load()
import designs  # noqa: E402
import moves  # noqa: E402
import product_turns  # noqa: E402
import programs  # noqa: E402
import tiles  # noqa: E402

# Of AIE2 (mlir-aie, AIETargetModel.h; AMD AM020): bytes, DMA channels in and out, buffer descriptors.
CORE_BYTES, CORE_IN, CORE_OUT = 64 << 10, 2, 2
MEMORY_BYTES, MEMORY_IN, MEMORY_OUT, MEMORY_DESCRIPTORS = 512 << 10, 6, 6, 48
SHIM_IN, SHIM_OUT, SHIM_DESCRIPTORS, SHIM_QUEUE = 2, 2, 16, 4
MOST_SIZE, MOST_REPEATS, MOST_STRIDE = 1023, 64, 1 << 20  # of a shim's descriptor; strides in 4 bytes
COLUMNS, CORE_ROWS = 4, 4

SHAPES = [(1500, 8), (3001, 8), (1500, 6), (64, 1), (250, 8), (1, 1)]
# Whose waves and columns do not fill the array.
ODD_SHAPES = [(3001, 6), (700, 5), (333, 3), (1500, 20), (500, 12), (200, 9), (140, 17)]
# Of the probes that a run makes (harness/probes.hpp).
PROBE_SHAPES = [(context, 2) for context in (1, 63, 64, 65, 127, 1499, 1500, 3001)]
# Of a kernel's core memory, what no fifo brings or takes.
KEPT = {
    "tile_bf16_f32": (),
    "softmax_f32_bf16": ("state", "exp_tables"),
    "matmul_bf16_f32": ("bias",),
    "matmul_bf16_bf16": ("accumulator", "bias"),
    "attention_bf16_bf16": ("query", "context", "state", "exp_tables"),  # score_strip is stack
}


planned = functools.cache(programs.planned)


@functools.cache
def order(dims):
    """Offsets in the order in which a DMA with these dimensions, ((size, stride), ...), sends them."""
    indices = itertools.product(*(range(size) for size, _ in dims))
    return [sum(i * step for i, (_, step) in zip(index, dims)) for index in indices]


@functools.cache
def block_places(high, wide):
    """Where element (i, j) of a tile lies (kernels/aie2/kernels.h)."""
    places = {}
    for i, j in itertools.product(range(64), repeat=2):
        block = (i // high) * (64 // wide) + j // wide
        places[i, j] = block * high * wide + (i % high) * wide + j % wide
    return places


def matrix(blocks, high, wide):
    places = block_places(high, wide)
    return [[blocks[places[i, j]] for j in range(64)] for i in range(64)]


def in_blocks(rows, high, wide):
    blocks = [None] * 4096
    for (i, j), at in block_places(high, wide).items():
        blocks[at] = rows[i][j]
    return blocks


def product(left, columns):
    return [[sum(map(int.__mul__, row, column)) for column in columns] for row in left]


def added(a, b):
    return [[x + y for x, y in zip(p, q)] for p, q in zip(a, b)]


def makes(name):
    """Whether a function of the core fills its last argument."""
    in_place = ("zero_tile", "matmul_tile", "product_f32")
    return name.startswith(in_place) or name.endswith(("_store", "_finish"))


class Names:
    """Tiles as names of what they hold: (argument, offset, row) of DRAM, wrapped in the DMAs' dimensions;
    results as what was called. Cheap, and exact about what went where."""

    def __init__(self, program):
        self.results, self.state, self.program = {}, {}, program

    def read(self, move, rows):
        steps = {b - a for a, b in zip(rows, rows[1:])}
        return (move.argument, rows[0], steps.pop()) if len(steps) == 1 else (move.argument, tuple(rows))

    def send(self, tile, dims):
        return tile if dims is None else (tile, tuple(dims))

    def write(self, move, rows, tile):
        place = self.read(move, rows)
        assert self.results.setdefault(place, tile) == tile, "different results for one tile"

    def call(self, place, name, arguments):
        state = self.state.setdefault(place, [])
        given = tuple(a[0] if isinstance(a, list) else a for a in arguments)
        if name in ("zero_tile", "product_bf16_zero"):
            state.clear()
        elif name in ("product_f32_bias", "product_bf16_bias"):
            state[:] = [("bias", *bias_of(*given[:2]))]
        elif name in ("row_softmax_begin", "attention_core_begin"):
            state[:] = [("begin", *given)]
        elif name == "row_softmax_finish":
            arguments[-1][0] = (*state, (name, *given[:-1]))
            return
        else:
            state.append((name, *(given[:-1] if makes(name) else given)))
        if makes(name):
            arguments[-1][0] = tuple(state)


def named(region, element, offset=0):
    return region.argument, (region.offset + offset) // element, region.stride // element


def bias_of(tile, row):
    """Argument and offset of the bias in a row of what bias_move reads."""
    (argument, *rest), dims = tile
    assert dims == tuple(tiles.into_blocks(4, 8)) and row < 4
    return argument, rest[0][row] if len(rest) == 1 else rest[0] + row * rest[1]


def wanted_product(job):
    """What Names keeps of a job."""
    by_key, f32 = job.layout == "k_by_n", job.store == "f32"
    step = 64 * (job.right.stride if by_key else 2)
    left, right = tuple(tiles.into_blocks(4, 8)), tuple(tiles.into_blocks(*((8, 4) if by_key else (4, 8))))
    name = ("matmul_tile" if f32 else "product_bf16_add") + ("" if by_key else "_nk")
    steps = [
        (name, (named(job.left, 2, k * 128), left), (named(job.right, 2, k * step), right))
        for k in range(job.k_tiles)
    ]
    if job.bias is not None:
        steps.insert(0, ("bias", job.bias.argument, job.bias.offset // 2))
    power = {1.0: 0, 0.125: -3}[job.scale]
    if not f32:
        steps.append(("product_bf16_store", power))
    elif power:
        steps.append(("product_f32_scale", power))
    return steps


def wanted_attention(job):
    blocks, by_key = tuple(tiles.into_blocks(4, 8)), tuple(tiles.into_blocks(8, 4))
    steps = [("begin", (named(job.query, 2), blocks))]
    for k in range(job.key_tiles):
        key = named(job.key, 2, k * 64 * job.key.stride)
        value = named(job.value, 2, k * 64 * job.value.stride)
        keys = min(64, job.keys - 64 * k)
        steps.append(("attention_core_update", (key, blocks), (value, by_key), keys, -3))
    return [*steps, ("attention_core_finish",)]


def wanted_softmax(job, k):
    """Of the k-th tile of its row."""
    tile = [named(job.scores, 4, t * 256) for t in range(job.key_tiles)]
    keys = [min(64, job.keys - 64 * t) for t in range(job.key_tiles)]
    seen = [("row_softmax_update", *of) for of in zip(tile, keys)]
    return [("begin",), *seen, ("row_softmax_finish", tile[k], keys[k])]


def scaled(rows, power):
    """Times a number that shows the power, and stays whole."""
    return [[x * (1 if power == 0 else power) for x in row] for row in rows]


class Integers:
    """Tiles as numbers, cores that compute as kernels.h lays them out. Attention without its exponential:
    sums of (query . key) value over the real keys."""

    def __init__(self, program, extents):
        self.program = program
        draw = random.Random(str(program.identity()))
        self.dram = [[draw.randint(-3, 3) for _ in range(extent)] for extent in extents]
        self.out = [list(values) for values in self.dram]
        self.sums, self.query = {}, {}

    def read(self, move, rows):
        return [x for row in rows for x in self.dram[move.argument][row : row + 64]]

    def send(self, tile, dims):
        return tile if dims is None else [tile[at] for at in order(tuple(dims))]

    def write(self, move, rows, tile):
        for i, row in enumerate(rows):
            self.out[move.argument][row : row + 64] = tile[64 * i : 64 * i + 64]

    def call(self, place, name, arguments):
        given = [a[0] if isinstance(a, list) else a for a in arguments]
        if name in ("zero_tile", "product_bf16_zero"):
            self.sums[place] = [[0] * 64] * 64
        elif name.endswith("_bias"):
            self.sums[place] = [matrix(given[0], 4, 8)[given[1]]] * 64
        elif name == "attention_core_begin":
            self.sums[place], self.query[place] = [[0] * 64] * 64, matrix(given[0], 4, 8)
        elif name == "attention_core_update":
            scores = product(self.query[place], matrix(given[0], 4, 8)[: given[2]])
            values = list(zip(*matrix(given[1], 8, 4)[: given[2]]))
            self.sums[place] = added(self.sums[place], product(scores, values))
        elif name.startswith(("matmul_tile", "product_bf16_add")):
            by_row = name.endswith("_nk")
            right = matrix(given[1], 4, 8) if by_row else list(zip(*matrix(given[1], 8, 4)))
            self.sums[place] = added(self.sums[place], product(matrix(given[0], 4, 8), right))
        elif name in ("product_f32_scale", "product_bf16_store"):
            self.sums[place] = scaled(self.sums[place], given[0])
        if makes(name):
            arguments[-1][0] = in_blocks(self.sums[place], 4, 4)

    def tile(self, region, offset, element, high=64):
        """Rows of 64 of an argument."""
        first, row = (region.offset + offset) // element, region.stride // element
        return [self.dram[region.argument][first + i * row : first + i * row + 64] for i in range(high)]

    def expected(self, job):
        """Rows of the job's result."""
        if isinstance(job, programs.Attention):
            query, sums = self.tile(job.query, 0, 2), [[0] * 64] * 64
            for k in range(job.key_tiles):
                keys = min(64, job.keys - 64 * k)
                key = self.tile(job.key, k * 64 * job.key.stride, 2, keys)
                value = self.tile(job.value, k * 64 * job.value.stride, 2, keys)
                sums = added(sums, product(product(query, key), list(zip(*value))))
            return sums
        sums = [self.tile(job.bias, 0, 2, 1)[0] if job.bias else [0] * 64] * 64
        for k in range(job.k_tiles):
            by_key = job.layout == "k_by_n"
            right = self.tile(job.right, k * (64 * job.right.stride if by_key else 128), 2)
            columns = list(zip(*right)) if by_key else right
            sums = added(sums, product(self.tile(job.left, k * 128, 2), columns))
        return scaled(sums, {1.0: 0, 0.125: -3}[job.scale])

class ArrayDesigns(unittest.TestCase):
    built = {}  # programs: what their designs recorded

    def build(self, program):
        """Its transfers; FIFOS and WORKERS are its fifos and workers."""
        if program not in self.built:
            recorded_iron.forget()
            runtime = designs.design_of(program).arguments[1]
            self.built[program] = runtime, list(FIFOS), list(WORKERS)
        runtime, FIFOS[:], WORKERS[:] = self.built[program]
        return runtime

    def each(self, shapes=(*SHAPES, *ODD_SHAPES, *PROBE_SHAPES)):
        """(program, its transfers) of all designs."""
        done = set()
        for context, heads in shapes:
            wanted = [p for design in programs.PROGRAMS for p in planned(design, context, heads)]
            for program in [*wanted, programs.pass_through_program()]:
                if program in done:
                    continue
                done.add(program)
                with self.subTest(context=context, heads=heads, kernel=program.kernel):
                    yield program, self.build(program)

    def test_are_built_for_the_very_programs_of_the_plan(self):
        for design, (context, heads) in itertools.product(programs.PROGRAMS,
                                                         (*SHAPES, *ODD_SHAPES, *PROBE_SHAPES)):
            with self.subTest(design=design, context=context, heads=heads):
                shape = ["--context", str(context), "--heads", str(heads)]
                plan = subprocess.run([HARNESS, "artefact", "plan", "--design", design, *shape],
                                      capture_output=True, text=True, check=True)
                wanted = [line.split()[0] for line in plan.stdout.splitlines()]
                have = [program.identity() for program in planned(design, context, heads)]
                self.assertEqual(have, wanted)
        # Nothing else is missing for a run's probes.
        of_probes = {program.identity() for shape in [(1500, 8), *PROBE_SHAPES]
                     for program in planned("unfused", *shape)}
        plan = subprocess.run([HARNESS, "artefact", "plan", "--probes"], capture_output=True, text=True,
                              check=True)
        self.assertEqual({line.split()[0] for line in plan.stdout.splitlines()}, of_probes)
        smallest = ["--context", "64", "--heads", "1"]
        plan = subprocess.run([HARNESS, "artefact", "plan", "--design", "tile64", *smallest],
                              capture_output=True, text=True, check=True)
        self.assertEqual(plan.stdout.split()[0], programs.pass_through_program().identity())

    def test_a_changed_job_is_another_program(self):
        program = programs.tile_program(1024, 1024, "n_by_k")
        for other in ((1024, 1024, "k_by_n"), (1026, 1024, "n_by_k"), (1024, 1026, "n_by_k")):
            other = programs.tile_program(*other)
            self.assertNotEqual(other.identity(), program.identity())
        self.assertNotEqual(programs.softmax_program(1500, 16).identity(),
                            programs.softmax_program(1499, 16).identity())
        program = programs.projection_program(64, 1, "f32", True)
        (job,) = program.jobs
        changes = ("core", 1), ("k_tiles", 2), ("bias", None), ("scale", 0.5), ("store", "bf16_nearest_even")
        for change in ({name: value} for name, value in changes):
            other = dataclasses.replace(program, jobs=(dataclasses.replace(job, **change),))
            self.assertNotEqual(other.identity(), program.identity(), change)

    def test_fit_the_memory_and_channels_of_a_core(self):
        for program, runtime in self.each():
            cores = {job.core for job in program.jobs}
            self.assertEqual(len(WORKERS), len(cores))
            self.assertEqual(runtime.started, WORKERS)
            places = {worker.place for worker in WORKERS}
            self.assertEqual(len(places), len(WORKERS))
            array = itertools.product(range(COLUMNS), range(2, 2 + CORE_ROWS))
            self.assertLessEqual(places, set(array))
            regions = programs.manifest()["kernels"][program.kernel]["core_memory"]
            kept = sum(r["bytes"] for r in regions if r["name"] in KEPT[program.kernel])
            for worker in WORKERS:
                handles = worker.handles()
                used = worker.stack + kept + sum(h.fifo.type.bytes * h.fifo.depth for h in handles)
                self.assertEqual(used, programs.core_bytes(program.kernel))
                self.assertLessEqual(used, CORE_BYTES)
                self.assertLessEqual(sum(not h.is_producer for h in handles), CORE_IN)
                self.assertLessEqual(sum(h.is_producer for h in handles), CORE_OUT)
                self.assertEqual(len({kernel.arguments[1] for kernel in worker.kernels()}), 1)

    def test_fit_memory_and_shim_tiles(self):
        for _, runtime in self.each():
            ends = {fifo.producer for fifo in FIFOS} | {c for fifo in FIFOS for c in fifo.consumers}
            for tile in ends:
                self.assertIn(tile[0], range(COLUMNS))
                into = [fifo for fifo in FIFOS if tile in fifo.consumers]
                out = [fifo for fifo in FIFOS if fifo.producer == tile]
                if tile[1] == 0:
                    self.assertLessEqual(len(into), SHIM_OUT)
                    self.assertLessEqual(len(out), SHIM_IN)
                if tile[1] == tiles.MEMORY_ROW:
                    self.assertLessEqual(len(into), MEMORY_IN)
                    self.assertLessEqual(len(out), MEMORY_OUT)
                    # Linked fifos share the buffers of the larger one; each of its objects takes a descriptor
                    # a part, in and out.
                    linked = [fifo for fifo in FIFOS if fifo.parts and fifo in into + out]
                    self.assertLessEqual(sum(f.type.bytes * f.depth for f in linked), MEMORY_BYTES)
                    self.assertLessEqual(sum(2 * f.depth * len(f.parts) for f in linked), MEMORY_DESCRIPTORS)

    def test_queues_of_the_shims_hold_what_is_under_way(self):
        for _, runtime in self.each():
            under_way = []
            for step in runtime.steps:
                if isinstance(step, list):
                    under_way = [task for task in under_way if task not in step]
                    continue
                under_way.append(step)
                queued = [task for task in under_way if task.fifo is step.fifo]
                self.assertLessEqual(len(queued), SHIM_QUEUE)
                held = [task for task in under_way if task.place == step.place]
                self.assertLessEqual(len(held), SHIM_DESCRIPTORS)

    def test_transfers_fit_a_descriptor(self):
        for _, runtime in self.each():
            for move in runtime.moves:
                tap, size = move.tap, runtime.arguments[move.argument].size
                self.assertEqual((len(tap.sizes), len(tap.strides)), (4, 4))
                self.assertLessEqual(tap.sizes[0], MOST_REPEATS)
                self.assertGreaterEqual(tap.strides[0], 0)
                for extent, stride in zip(tap.sizes[1:], tap.strides[1:]):
                    self.assertLessEqual(extent, MOST_SIZE)
                    self.assertLess(stride * size // 4, MOST_STRIDE)
                    self.assertTrue(extent == 1 or stride > 0, "only the outermost dimension may repeat")
                self.assertLess(tap.strides[0] * size // 4, MOST_STRIDE)
                last = tap.offset + sum((n - 1) * s for n, s in zip(tap.sizes, tap.strides))
                self.assertLess(last, runtime.arguments[move.argument].shape[0])

    def results_of(self, program, runtime):
        """What Names says of every result, after a replay that must come to its end."""
        made = Names(program)
        replay = recorded_iron.Replay(runtime, made.read, made.send, made.write, made.call)
        self.assertTrue(replay.run(), "the cores wait for each other, or tiles are left over")
        return made.results

    def test_make_every_result_as_its_job_says(self):
        """All moves and calls, with tiles as names: each result, and nothing else, is written."""
        for program, runtime in self.each():
            results = self.results_of(program, runtime)
            rows = tuple(tiles.from_blocks(4, 4))
            for job in program.jobs:
                if isinstance(job, programs.RowSoftmax):
                    for k in range(job.key_tiles):
                        self.assertEqual(results.pop(named(job.out, 2, k * 128)), (*wanted_softmax(job, k),))
                    continue
                is_product = isinstance(job, programs.Product)
                element = 4 if is_product and job.store == "f32" else 2
                steps, dims = results.pop(named(job.out, element))
                self.assertEqual(dims, rows)
                wanted = wanted_product(job) if is_product else wanted_attention(job)
                self.assertEqual(steps, (*wanted,))
            self.assertEqual(results, {})

    def test_compute_the_products_of_their_jobs(self):
        """The same with whole numbers for small layers, down to the place of every element in its block."""
        for program, _ in self.each([(65, 2), (64, 3)]):
            if program.kernel not in ("softmax_f32_bf16", "tile_bf16_f32"):
                self.compute(program)

    def compute(self, program):
        runtime = self.build(program)
        numbers = Integers(program, [argument.shape[0] for argument in runtime.arguments])
        replay = recorded_iron.Replay(runtime, numbers.read, numbers.send, numbers.write, numbers.call)
        self.assertTrue(replay.run())
        wanted = [list(values) for values in numbers.dram]
        for job in program.jobs:
            element = 4 if getattr(job, "store", "") == "f32" else 2
            first, row = job.out.offset // element, job.out.stride // element
            for i, values in enumerate(numbers.expected(job)):
                wanted[job.out.argument][first + i * row : first + i * row + 64] = values
        self.assertEqual(numbers.out == wanted, True)

    def test_no_ring_of_cores_waits_for_itself(self):
        """Jobs on any cores. Seven of these orders stand still where all tiles go to whole columns."""
        (program,) = programs.scores_programs(64, 16)
        draw = random.Random(1)
        for _ in range(60):
            cores = draw.sample(range(16), 16)
            jobs = [dataclasses.replace(job, core=core) for job, core in zip(program.jobs, cores)]
            jobs.sort(key=lambda job: job.core)
            other = dataclasses.replace(program, jobs=tuple(jobs))
            self.results_of(other, self.build(other))

    def test_long_layers_take_several_descriptors(self):
        """66 rounds, and 66 k tiles: more than a descriptor repeats."""
        for build in (programs.scores_programs, programs.context_programs, programs.attention_programs):
            program = next(build(66 * 64, 1))
            runtime = self.build(program)
            self.assertLessEqual(max(move.tap.sizes[0] for move in runtime.moves), MOST_REPEATS)
            self.assertEqual(len(self.results_of(program, runtime)), len(program.jobs))

    def test_blocks_are_those_of_the_kernels(self):
        """Element (i, j) of a tile lies where kernels/aie2/kernels.h says."""
        for high, wide in ((4, 8), (8, 4), (4, 4)):
            place = block_places(high, wide)
            stream = order(tuple(tiles.into_blocks(high, wide)))
            for (i, j), at in place.items():
                self.assertEqual(stream[at], i * 64 + j)
            back = order(tuple(tiles.from_blocks(high, wide)))
            self.assertEqual(back, [place[i, j] for i in range(64) for j in range(64)])

    def refuses(self, program, reason):
        with self.assertRaisesRegex(ValueError, reason):
            self.build(program)

    def test_refuse_what_a_shim_cannot_move(self):
        self.refuses(programs.softmax_program(65 * 64, 4), "65 key tiles")
        nine = programs.projection_program(900, 9, "f32", True)
        self.refuses(nine, "round 0: lane left of column 0 needs 9 tasks")
        program = programs.projection_program(64, 1, "f32", True)
        (job,) = program.jobs
        wide = dataclasses.replace(job, left=dataclasses.replace(job.left, stride=4 << 20))
        self.refuses(dataclasses.replace(program, jobs=(wide,)), "rows of 4194304 bytes")

    def test_refuse_jobs_that_one_core_program_cannot_do(self):
        program = programs.projection_program(64, 4, "f32", True)
        first, *rest = program.jobs
        for change, reason in (({"scale": 0.5}, "differ in scale"), ({"k_tiles": 1}, "differ in k_tiles"),
                               ({"layout": "k_by_n"}, "differ in layout"), ({"bias": None}, "have a bias")):
            other = dataclasses.replace(first, **change)
            self.refuses(dataclasses.replace(program, jobs=(other, *rest)), reason)
        thirds = (dataclasses.replace(job, scale=1 / 3) for job in program.jobs)
        self.refuses(dataclasses.replace(program, jobs=tuple(thirds)), "scale 0.33")
        (program,) = programs.attention_programs(64, 1)
        self.refuses(dataclasses.replace(program, jobs=2 * program.jobs), "more than one job")

    def test_loops_are_the_turns_that_they_stand_for(self):
        draw = random.Random(1)
        for length in range(1, 12):
            turns = [draw.randint(0, 1) for _ in range(length)]
            loops = product_turns.loops(turns)
            self.assertEqual([turn for count, part in loops for turn in count * part], turns)
        self.assertEqual(product_turns.loops([1, 2, 3] * 5 + [4]), [(5, [1, 2, 3]), (1, [4])])

    def test_moves_are_the_tiles_that_they_stand_for(self):
        draw = random.Random(2)
        for _ in range(200):
            step = draw.choice([1, 2, 3])
            choices = [[i * step, draw.randint(0, 9), i % 3] for i in range(9)]
            offsets = tuple(64 * (1000 + draw.choice(choice)) for choice in choices)
            made = moves.moves([moves.Tiles(0, 2, 640, offsets)])
            taps = [recorded_iron.Pattern(None, m.offset, m.sizes, m.strides) for m in made]
            self.assertEqual([rows[0] for tap in taps for rows in tap.tiles()], list(offsets))

    def test_the_list_and_the_script_know_every_design(self):
        script = SCRIPT.read_text(encoding="utf-8")
        for design in programs.PROGRAMS:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                designs.main(["--design", design, "--context", "250", "--heads", "8", "--list"])
            lines = [line.split() for line in output.getvalue().splitlines()]
            wanted = {program.identity(): program for program in planned(design, 250, 8)}
            self.assertLessEqual(set(wanted), {line[0] for line in lines})
            for identity, kernel, function, buffers, cores in lines:
                program = wanted.get(identity, programs.pass_through_program())
                self.assertEqual((kernel, identity), (program.kernel, program.identity()))
                self.assertEqual(function, designs.DESIGNS[kernel].__name__)
                self.assertEqual(buffers, ",".join("3456"[: program.arguments]))
                self.assertEqual(int(cores), len({job.core for job in program.jobs}))
                self.assertRegex(script, rf"\n    (\w+ \| )?{kernel}( \| \w+)?\) words=")
                self.build(program)
                for archive in {k.arguments[1] for worker in WORKERS for k in worker.kernels()}:
                    self.assertIn(f"\narchive {archive.removesuffix('.a')} ", script)

    def test_the_script_says_how_to_get_the_toolchain(self):
        with tempfile.TemporaryDirectory() as folder:
            def run(*arguments):
                done = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True)
                return done.returncode, done.stderr.strip()

            into = ["--artefacts", folder, "--harness", HARNESS]
            for arguments, reason in ((["--peano", folder], "--artefacts DIR is missing"),
                                      ([*into, "--peano", folder], "no mlir-aie"),
                                      (into, "--peano DIR is missing"),
                                      (["--artefacts"], "--artefacts takes a value"),
                                      ([*into, "--design", "chained"], "--design chained: there are"),
                                      (["--columns", "4"], "--columns: unknown")):
                code, text = run(*arguments)
                self.assertEqual(code, 2 if "mlir-aie" not in reason else 3, text)
                self.assertEqual(len(text.splitlines()), 1, text)
                self.assertIn(reason, text)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
