"""A package `aie` that records what a design asks for, and runs it: no toolchain, no numpy.

`load` puts it in place of mlir-aie's. A Replay moves tiles as the array would, with every buffer as deep as
the design made it, so that it stands still where the array would; what tiles hold, and what the core's
functions make of them, is up to its user.
"""

import sys
import types

SIDE = 64


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
        self.producer, self.consumers = None, []  # places
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
        parts = [Fifo(obj_types[i], depths[i], names[i], dims[i]) for i in range(count)]
        for part in parts:
            Handle(part, not self.is_producer).at(placement.place)
        self.fifo.parts = parts
        FIFOS.extend(parts)
        return parts

    def forward(self, obj_type, depth, name, placement, dims_to_stream=None):
        return self.link(1, [name], [obj_type], [depth], [dims_to_stream], placement)[0]

    def split(self, offsets, depths, obj_types, names, placement, dims_to_stream=None):
        dims = dims_to_stream or [None] * len(offsets)
        parts = self.link(len(offsets), names, obj_types, depths, dims, placement)
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

    def kernels(self):
        return [argument for argument in self.arguments if isinstance(argument, Recorded)]


class MoveTask:
    """A transfer of a shim: `fills` into the array, else out of it."""

    def __init__(self, fills, handle, argument, tap, place, wait):
        self.fills, self.fifo, self.argument, self.tap = fills, handle.fifo, argument, tap
        self.place, self.wait = place, wait


class Runtime:
    """`moves`: the transfers in order. `steps`: them, and the groups (lists of them) that are finished."""

    def __init__(self):
        self.moves, self.started, self.steps = [], [], []

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
        return []

    def finish_task_group(self, group):
        self.steps.append(group)

    def move(self, fills, handle, argument, tap, placement, wait=False, task_group=None):
        handle.at(placement.place)
        task = MoveTask(fills, handle, argument, tap, placement.place, wait)
        self.moves.append(task)
        self.steps.append(task)
        if task_group is not None:
            task_group.append(task)

    def fill(self, *arguments, **named):
        self.move(True, *arguments, **named)

    def drain(self, *arguments, **named):
        self.move(False, *arguments, **named)


class Pattern:
    def __init__(self, shape, offset, sizes, strides):
        self.shape, self.offset, self.sizes, self.strides = shape, offset, sizes, strides

    def rows(self):
        """Offset of the first element of every innermost row, in order."""
        (a, b, c, _), (step_a, step_b, step_c, one) = self.sizes, self.strides
        assert one == 1
        firsts = [self.offset + i * step_a + j * step_b for i in range(a) for j in range(b)]
        return [first + k * step_c for first in firsts for k in range(c)]

    def tiles(self):
        """The rows of every 64 x 64."""
        rows = self.rows()
        assert self.sizes[3] == SIDE and len(rows) % SIDE == 0
        return [rows[i : i + SIDE] for i in range(0, len(rows), SIDE)]


FIFOS, WORKERS = [], []


def recording_fifo(*arguments, **named):
    FIFOS.append(Fifo(*arguments, **named))
    return FIFOS[-1]


def forget():
    FIFOS.clear()
    WORKERS.clear()


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


def load():
    module("numpy", **{name: getattr(FakeNumpy, name) for name in ("float32", "int32", "dtype", "ndarray")})
    module("ml_dtypes", bfloat16=2)
    for name in ("aie", "aie.helpers"):
        module(name)
    module("aie.helpers.taplib", TensorAccessPattern=Pattern)
    module(
        "aie.iron",
        Kernel=Recorded,
        ObjectFifo=recording_fifo,
        Program=Recorded,
        Runtime=Runtime,
        Worker=Worker,
    )
    module("aie.iron.controlflow", range_=range)
    module("aie.iron.device", NPU1=Recorded, NPU1Col1=Recorded, Tile=Tile)
    module("aie.iron.placers", SequentialPlacer=Recorded)


class CoreSteps:
    """What a core does in one launch, in order: ("acquire" or "release", fifo), ("call", name, arguments); a
    tile among the arguments is (fifo, number of the object)."""

    def __init__(self, worker):
        self.steps, self.acquired, self.released = [], {}, {}
        arguments = (self.port(a) if isinstance(a, Handle) else self.kernel(a) for a in worker.arguments)
        worker.function(*arguments)
        assert self.acquired == self.released, "a tile is kept"

    def port(self, handle):
        core, fifo = self, handle.fifo

        class Port:
            def acquire(self, count):
                assert count == 1
                number = core.acquired.get(fifo, 0)
                assert number == core.released.get(fifo, 0), f"{fifo.name}: two tiles held"
                core.acquired[fifo] = number + 1
                core.steps.append(("acquire", fifo))
                return fifo, number

            def release(self, count):
                assert count == 1
                core.released[fifo] = core.released.get(fifo, 0) + 1
                core.steps.append(("release", fifo))

        return Port()

    def kernel(self, kernel):
        return lambda *arguments: self.steps.append(("call", kernel.arguments[0], arguments))


class Replay:
    """Runs a design as far as it goes. `read(move, rows)` makes a tile of rows of an argument, `send(tile,
    dims)` what arrives of it behind a DMA, `write(move, rows, tile)` puts one back, `call(place, name,
    arguments)` does a core's function, to which tiles are lists of one element that it may replace."""

    def __init__(self, runtime, read, send, write, call):
        self.read, self.send, self.write, self.call = read, send, write, call
        self.script, self.step, self.reading, self.writing = runtime.steps, 0, {}, {}
        self.done = set()  # moves
        self.lanes = [fifo for fifo in FIFOS if fifo.parts]
        self.memory = {fifo: [] for fifo in self.lanes}  # objects in the memory tile, each {part: tile}
        self.partial = {fifo: {} for fifo in self.lanes}  # the one that passes the shim
        self.parts = {part: fifo for fifo in self.lanes for part in fifo.parts}
        self.held = {(part, place): [] for part in self.parts for place in [part.producer, *part.consumers]}
        self.cores = {w.place: iter(CoreSteps(w).steps) for w in WORKERS}
        self.waits = {place: next(steps, None) for place, steps in self.cores.items()}

    def run(self):
        """Whether all of it ran."""
        while any([self.sequence(), self.shims(), self.memories(), self.all_cores()]):
            pass
        buffers = [*self.memory.values(), *self.partial.values(), *self.held.values()]
        idle = all(step is None for step in self.waits.values())
        return idle and self.step == len(self.script) and not any(buffers)

    def sequence(self):
        moved = False
        while self.step < len(self.script):
            step = self.script[self.step]
            if isinstance(step, list):
                if not all(move in self.done for move in step if move.wait):
                    break
                assert all(move in self.done for move in step), "a descriptor is used again while it is read"
            else:
                queue = self.reading if step.fills else self.writing
                queue.setdefault(step.fifo, []).append((step, step.tap.tiles()))
            self.step += 1
            moved = True
        return moved

    def shims(self):
        """Objects pass the shims tile by tile; a memory tile sends on whole ones."""
        moved = False
        for fifo, queue in self.reading.items():
            while queue and len(self.memory[fifo]) < fifo.depth:
                move, rows = queue[0]
                part = fifo.parts[len(self.partial[fifo])]
                self.partial[fifo][part] = self.read(move, rows.pop(0))
                if len(self.partial[fifo]) == len(fifo.parts):
                    self.memory[fifo].append(self.partial[fifo])
                    self.partial[fifo] = {}
                self.finish(queue, move, rows)
                moved = True
        for fifo, queue in self.writing.items():
            while queue and (self.partial[fifo] or self.is_whole(fifo)):
                if not self.partial[fifo]:
                    self.partial[fifo] = self.memory[fifo].pop(0)
                part = next(part for part in fifo.parts if part in self.partial[fifo])
                move, rows = queue[0]
                self.write(move, rows.pop(0), self.send(self.partial[fifo].pop(part), fifo.dims))
                self.finish(queue, move, rows)
                moved = True
        return moved

    def is_whole(self, fifo):
        return bool(self.memory[fifo]) and len(self.memory[fifo][0]) == len(fifo.parts)

    def finish(self, queue, move, rows):
        if not rows:
            queue.pop(0)
            self.done.add(move)

    def memories(self):
        moved = False
        for part, fifo in self.parts.items():
            if fifo.producer[1] == 0:
                moved |= self.to_cores(part, fifo)
            else:
                moved |= self.from_core(part, fifo)
        return moved

    def to_cores(self, part, fifo):
        """One tile, to all consumers at once."""
        ready = [whole for whole in self.memory[fifo] if part in whole]
        if not ready or any(len(self.held[part, place]) == part.depth for place in part.consumers):
            return False
        tile = self.send(ready[0].pop(part), part.dims)
        for place in part.consumers:
            self.held[part, place].append([tile])
        if not self.memory[fifo][0]:
            self.memory[fifo].pop(0)
        return True

    def from_core(self, part, fifo):
        filled = [tile for tile in self.held[part, part.producer] if tile[1:] == ["full"]]
        objects = self.memory[fifo]
        at = next((whole for whole in objects if part not in whole), None)
        if not filled or (at is None and len(objects) == fifo.depth):
            return False
        if at is None:
            at = {}
            objects.append(at)
        self.held[part, part.producer].remove(filled[0])
        at[part] = self.send(filled[0][0], part.dims)
        return True

    def all_cores(self):
        moved = False
        for place in self.cores:
            while self.waits[place] is not None and self.core_step(place, self.waits[place]):
                self.waits[place] = next(self.cores[place], None)
                moved = True
        return moved

    def core_step(self, place, step):
        what, fifo, *rest = step
        if what == "call":
            tiles = [self.tile(place, a) if isinstance(a, tuple) else a for a in rest[0]]
            self.call(place, fifo, tiles)
            return True
        held = self.held[fifo, place]
        makes = fifo.producer == place
        if what == "acquire":
            if makes and len(held) < fifo.depth:
                held.append([None])
                return True
            return not makes and bool(held)
        if makes:
            held[-1].append("full")
        else:
            held.pop(0)
        return True

    def tile(self, place, name):
        return self.held[name[0], place][-1 if name[0].producer == place else 0]
