#!/usr/bin/env python3
"""The array designs without their toolchain: a package `aie` of this file records what they ask for, and it
is held to the limits of the array and to the jobs of the plan. What only silicon can tell stays open.
Usage: array_designs_test.py HARNESS"""
import itertools
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

HARNESS = sys.argv.pop()
FOLDER = pathlib.Path(__file__).parent
SCRIPT = FOLDER.parent / "build_xclbins.sh"

# Of AIE2 (mlir-aie, AIETargetModel.h; AMD AM020): bytes, DMA channels in and out, buffer descriptors.
CORE_BYTES, CORE_IN, CORE_OUT = 64 << 10, 2, 2
MEMORY_BYTES, MEMORY_IN, MEMORY_OUT, MEMORY_DESCRIPTORS = 512 << 10, 6, 6, 48
SHIM_IN, SHIM_OUT, SHIM_DESCRIPTORS = 2, 2, 16
MOST_SIZE, MOST_REPEATS, MOST_STRIDE = 1023, 64, 1 << 20  # of a shim's descriptor; strides in 4 bytes


class Recorded:
    """An object that keeps what it was made with."""

    def __init__(self, *arguments, **named):
        self.arguments, self.named = arguments, named


class Tile(Recorded):
    @property
    def place(self):
        return self.arguments


class Type:
    """np.ndarray[shape, dtype]."""

    def __init__(self, shape, size):
        self.shape, self.size = shape, size
        self.bytes = size
        for extent in shape:
            self.bytes *= extent


class Fifo:
    def __init__(self, obj_type, depth=2, name=None, dims_to_stream=None):
        self.type, self.depth, self.name, self.dims = obj_type, depth, name, dims_to_stream
        self.producer, self.consumers = None, []  # places: tile, or "shim"
        self.parts = []  # of a split or join

    def prod(self):
        return Handle(self, True)

    def cons(self):
        return Handle(self, False)


class Handle:
    def __init__(self, fifo, is_producer):
        self.fifo, self.is_producer = fifo, is_producer

    def at(self, place):
        if self.is_producer:
            assert self.fifo.producer in (None, place)
            self.fifo.producer = place
        elif place not in self.fifo.consumers:
            self.fifo.consumers.append(place)

    def link(self, count, names, obj_types, depths, dims, placement):
        """Through a memory tile: other fifos that hold parts of this one's objects."""
        self.at(placement.place)
        parts = [Fifo(obj_types[i], depths[i], names[i], dims) for i in range(count)]
        for part in parts:
            Handle(part, not self.is_producer).at(placement.place)
        self.fifo.parts = parts
        FIFOS.extend(parts)
        return parts

    def forward(self, obj_type, depth, name, placement, dims_to_stream=None):
        return self.link(1, [name], [obj_type], [depth], dims_to_stream, placement)[0]

    def split(self, offsets, depths, obj_types, names, placement):
        parts = self.link(len(offsets), names, obj_types, depths, None, placement)
        size = parts[0].type.size
        assert [i * part.type.bytes for i, part in enumerate(parts)] == [offset * size for offset in offsets]
        assert sum(part.type.bytes for part in parts) == self.fifo.type.bytes
        return parts

    join = split


class Worker(Recorded):
    def __init__(self, function, arguments, placement, stack_size):
        super().__init__()
        self.function, self.arguments, self.stack = function, arguments, stack_size
        self.place = placement.place
        for handle in self.handles():
            handle.at(self.place)
        WORKERS.append(self)

    def handles(self):
        return [argument for argument in self.arguments if isinstance(argument, Handle)]


class Runtime:
    def __init__(self):
        self.moves, self.started = [], []

    def sequence(self, *arguments):
        self.arguments = arguments
        runtime = self

        class Scope:
            def __enter__(self):
                return tuple(range(len(runtime.arguments)))

            def __exit__(self, *ignored):
                pass

        return Scope()

    def start(self, *workers):
        self.started += workers

    def task_group(self):
        return object()

    def finish_task_group(self, group):
        pass

    def move(self, handle, argument, tap, placement, wait=False, task_group=None):
        handle.at(placement.place)
        self.moves.append((handle.fifo, argument, tap, placement.place))

    fill = drain = move


class Pattern:
    def __init__(self, shape, offset, sizes, strides):
        self.shape, self.offset, self.sizes, self.strides = shape, offset, sizes, strides

    def rows(self):
        """Offset of the first element of every innermost row, in order."""
        assert self.strides[3] == 1
        for index in itertools.product(*(range(size) for size in self.sizes[:3])):
            yield self.offset + sum(i * stride for i, stride in zip(index, self.strides))


FIFOS, WORKERS = [], []


def recording_fifo(*arguments, **named):
    FIFOS.append(Fifo(*arguments, **named))
    return FIFOS[-1]


def module(name, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    sys.modules[name] = made
    return made


class FakeNumpy:
    """What the designs use of numpy and ml_dtypes: types of arrays."""

    float32, int32 = 4, 4
    dtype = {4: 4, 2: 2}

    class ndarray:
        def __class_getitem__(cls, key):
            return Type(*key)


def load_designs():
    module("numpy", **{name: getattr(FakeNumpy, name) for name in ("float32", "int32", "dtype", "ndarray")})
    module("ml_dtypes", bfloat16=2)
    for name in ("aie", "aie.helpers"):
        module(name)
    module("aie.helpers.taplib", TensorAccessPattern=Pattern)
    module("aie.iron", Kernel=Recorded, ObjectFifo=recording_fifo, Program=Recorded, Runtime=Runtime,
           Worker=Worker)
    module("aie.iron.controlflow", range_=range)
    module("aie.iron.device", NPU1=Recorded, NPU1Col1=Recorded, Tile=Tile)
    module("aie.iron.placers", SequentialPlacer=Recorded)
    sys.path.insert(0, str(FOLDER))
    import designs  # noqa: PLC0415
    import programs  # noqa: PLC0415

    return designs, programs


designs, programs = load_designs()
SHAPES = [(1500, 8), (3001, 8), (1500, 6), (64, 1), (250, 8), (1, 1)]


class Call(Recorded):
    """Of a kernel on a core, by name."""


def run_core(worker):
    """What a core does in one launch: (what, number of the object) in order."""
    log, counts = [], {}

    class Port:
        def __init__(self, handle):
            self.name = handle.fifo.name.split("_")[0]

        def acquire(self, count):
            assert count == 1
            key = (self.name, "acquired")
            counts[key] = counts.get(key, 0) + 1
            held = counts[key] - counts.get((self.name, "released"), 0)
            assert held == 1, f"{self.name} held {held} times"
            return f"{self.name}{counts[key] - 1}"

        def release(self, count):
            assert count == 1
            key = (self.name, "released")
            counts[key] = counts.get(key, 0) + 1

    arguments = [
        Port(a) if isinstance(a, Handle) else lambda *v, name=a.arguments[0]: log.append((name, *v))
        for a in worker.arguments
    ]
    worker.function(*arguments)
    for name, what in list(counts):
        assert counts[name, "acquired"] == counts.get((name, "released"), 0), f"{name} is kept"
    return log


class ArrayDesigns(unittest.TestCase):
    def build(self, program):
        FIFOS.clear()
        WORKERS.clear()
        return designs.design_of(program).arguments[1]

    def each(self):
        for context, heads in SHAPES:
            for program in [*programs.tile64_programs(context, heads), programs.pass_through_program()]:
                with self.subTest(context=context, heads=heads, kernel=program.kernel):
                    yield program, self.build(program)

    def test_are_built_for_the_very_programs_of_the_plan(self):
        for context, heads in SHAPES:
            shape = ["--context", str(context), "--heads", str(heads)]
            plan = subprocess.run([HARNESS, "artefact", "plan", "--design", "tile64", *shape],
                                  capture_output=True, text=True, check=True)
            wanted = [line.split()[0] for line in plan.stdout.splitlines()]
            have = list(dict.fromkeys(p.identity() for p in programs.tile64_programs(context, heads)))
            self.assertEqual(have, wanted)
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

    def test_fit_the_memory_and_channels_of_a_core(self):
        for program, runtime in self.each():
            self.assertEqual(len(WORKERS), len(program.jobs))
            self.assertEqual(runtime.started, WORKERS)
            self.assertEqual(len({worker.place for worker in WORKERS}), len(WORKERS))
            regions = programs.manifest()["kernels"][program.kernel]["core_memory"]
            kept = sum(r["bytes"] for r in regions if r["name"] in ("state", "exp_tables"))
            for worker in WORKERS:
                handles = worker.handles()
                used = worker.stack + kept + sum(h.fifo.type.bytes * h.fifo.depth for h in handles)
                self.assertEqual(used, programs.core_bytes(program.kernel))
                self.assertLessEqual(used, CORE_BYTES)
                self.assertLessEqual(sum(not h.is_producer for h in handles), CORE_IN)
                self.assertLessEqual(sum(h.is_producer for h in handles), CORE_OUT)
                archives = {a.arguments[1] for a in worker.arguments if isinstance(a, Recorded)}
                self.assertEqual(len(archives), 1)

    def test_fit_memory_and_shim_tiles(self):
        for _, runtime in self.each():
            tiles = {fifo.producer for fifo in FIFOS} | {c for fifo in FIFOS for c in fifo.consumers}
            for tile in tiles:
                into = [fifo for fifo in FIFOS if tile in fifo.consumers]
                out = [fifo for fifo in FIFOS if fifo.producer == tile]
                if tile[1] == 0:
                    self.assertLessEqual(len(into), SHIM_OUT)
                    self.assertLessEqual(len(out), SHIM_IN)
                    moves = [move for move in runtime.moves if move[3] == tile]
                    self.assertLessEqual(len(moves), SHIM_DESCRIPTORS)
                if tile[1] == designs.MEMORY_ROW:
                    self.assertLessEqual(len(into), MEMORY_IN)
                    self.assertLessEqual(len(out), MEMORY_OUT)
                    # Linked fifos share the buffers of the larger one.
                    linked = [fifo for fifo in FIFOS if fifo.parts]
                    held = sum(fifo.type.bytes * fifo.depth for fifo in linked if tile in fifo.consumers
                               or fifo.producer == tile)
                    self.assertLessEqual(held, MEMORY_BYTES)
                    self.assertLessEqual(sum(2 * f.depth for f in into + out), MEMORY_DESCRIPTORS)

    def test_transfers_fit_a_descriptor(self):
        for _, runtime in self.each():
            for fifo, argument, tap, _ in runtime.moves:
                size = runtime.arguments[argument].size
                self.assertLessEqual(tap.sizes[0], MOST_REPEATS)
                for extent, stride in zip(tap.sizes[1:], tap.strides[1:]):
                    self.assertLessEqual(extent, MOST_SIZE)
                    self.assertLess(stride * size // 4, MOST_STRIDE)
                last = tap.offset + sum((n - 1) * s for n, s in zip(tap.sizes, tap.strides))
                self.assertLess(last, runtime.arguments[argument].shape[0])
                self.assertEqual(fifo.type.bytes * tap.sizes[0], size * len(list(tap.rows())) * tap.sizes[3])

    def test_move_the_bytes_of_the_jobs_in_their_order(self):
        for program, runtime in self.each():
            if program.kernel == "tile_bf16_f32":
                (job,) = program.jobs
                for (_, argument, tap, _), region in zip(runtime.moves, (job.left, job.right, job.out)):
                    size = runtime.arguments[argument].size
                    self.assertEqual(argument, region.argument)
                    rows = [row * size for row in tap.rows()]
                    self.assertEqual(rows, [region.offset + i * region.stride for i in range(64)])
                continue
            moves = iter(runtime.moves)
            for first in range(0, len(program.jobs), designs.ROWS):
                jobs = program.jobs[first : first + designs.ROWS]
                for regions in ([j.scores for j in jobs], [j.scores for j in jobs], [j.out for j in jobs]):
                    _, argument, tap, tile = next(moves)
                    size = runtime.arguments[argument].size
                    wanted = [r.offset + t * 64 * size + i * r.stride
                              for t in range(jobs[0].key_tiles) for r in regions for i in range(64)]
                    self.assertEqual(argument, regions[0].argument)
                    self.assertEqual(tile, (first // designs.ROWS, 0))
                    self.assertEqual([row * size for row in tap.rows()], wanted)
            self.assertEqual(list(moves), [])

    def test_cores_do_what_the_jobs_say(self):
        for program, _ in self.each():
            log = run_core(WORKERS[0])
            job = program.jobs[0]
            if program.kernel == "tile_bf16_f32":
                multiply = "matmul_tile" if job.layout == "k_by_n" else "matmul_tile_nk"
                self.assertEqual(log, [("zero_tile", "out0"), (multiply, "left0", "right0", "out0")])
                continue
            tiles = job.key_tiles
            keys = [64] * (tiles - 1) + [job.keys - 64 * (tiles - 1)]
            self.assertEqual(log, [("row_softmax_begin",)]
                             + [("row_softmax_update", f"scores{t}", keys[t]) for t in range(tiles)]
                             + [("row_softmax_finish", f"scores{tiles + t}", keys[t], f"out{t}")
                                for t in range(tiles)])

    def test_blocks_are_those_of_the_kernels(self):
        """Element (i, j) of a tile lies where kernels/aie2/kernels.h says."""
        for high, wide in ((4, 8), (8, 4), (4, 4)):
            def order(dims):
                return [sum(i * step for i, (_, step) in zip(index, dims))
                        for index in itertools.product(*(range(size) for size, _ in dims))]

            place = {}
            for i, j in itertools.product(range(64), repeat=2):
                block = (i // high) * (64 // wide) + j // wide
                place[i, j] = block * high * wide + (i % high) * wide + j % wide
            stream = order(designs.into_blocks(high, wide))
            for (i, j), at in place.items():
                self.assertEqual(stream[at], i * 64 + j)
            back = order(designs.from_blocks(high, wide))
            self.assertEqual(back, [place[i, j] for i in range(64) for j in range(64)])

    def test_every_tile_of_a_product_is_cut_as_its_kernel_reads_it(self):
        for program, _ in self.each():
            dims = {fifo.name: fifo.dims for fifo in FIFOS}
            if program.kernel != "tile_bf16_f32":
                self.assertEqual(set(dims.values()), {None}, "the kernels of softmax take rows")
                continue
            right = (8, 4) if program.jobs[0].layout == "k_by_n" else (4, 8)
            self.assertEqual(dims["left_l1"], designs.into_blocks(4, 8))
            self.assertEqual(dims["right_l1"], designs.into_blocks(*right))
            self.assertEqual(dims["out_l2"], designs.from_blocks(4, 4))

    def test_refuses_rows_that_a_shim_cannot_repeat(self):
        with self.assertRaisesRegex(ValueError, "65 key tiles"):
            self.build(programs.softmax_program(65 * 64, 4))

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
                                      (["--columns", "4"], "--columns: unknown")):
                code, text = run(*arguments)
                self.assertEqual(code, 2 if "mlir-aie" not in reason else 3, text)
                self.assertEqual(len(text.splitlines()), 1, text)
                self.assertIn(reason, text)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
