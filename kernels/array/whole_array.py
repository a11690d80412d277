"""Array designs for launches on all cores: products (gemm_array) and fused attention (attention_fused).

Which tiles go where, in which order, is worked out without the toolchain, in product_turns.py,
attention_turns.py and moves.py; here it becomes fifos, workers and a sequence of transfers. The core's
functions are those of kernels/aie2, with the state between calls in product_f32.cc, product_bf16.cc and
attention_core.cc.

A core's program acquires tiles of a fifo an odd number of times in a loop, so that the compiler must keep the
turn of double buffers at run time: aiecc.py --dynamic-objFifos.
"""

import math

import numpy as np
from aie.helpers.taplib import TensorAccessPattern
from aie.iron import Kernel, Program, Runtime, Worker
from aie.iron.device import NPU1, Tile
from ml_dtypes import bfloat16

import attention_turns
import moves
import product_turns
import programs
import tiles
from programs import ROWS, SIDE
from tiles import FIRST_CORE_ROW, TILE_BF16, TILE_F32, repeat, skip

DTYPES = {2: bfloat16, 4: np.float32}


def exponent(scale):
    """Of a power of two."""
    return math.frexp(scale)[1] - 1


def product_core(turns, in_place, power):
    """On the core: its turns. `in_place`: the sums are the result (fp32); else the core keeps them."""

    def start(turn, sums, right, zero, bias):
        if turn.bias is None:
            zero(*sums)
            return
        skip(right, turn.bias.before)
        bias(right.acquire(1), turn.bias_row, *sums)
        right.release(1)
        skip(right, turn.bias.after)

    def take(turn, left, right, out, zero, bias, multiply, finish):
        if isinstance(turn, product_turns.Idle):
            skip(right, turn.tiles)
            return
        sums = (out.acquire(1),) if in_place else ()
        start(turn, sums, right, zero, bias)
        for _ in repeat(turn.k_tiles):
            skip(left, turn.left.before)
            left_tile = left.acquire(1)
            skip(right, turn.right.before)
            multiply(left_tile, right.acquire(1), *sums)
            left.release(1)
            right.release(1)
            skip(left, turn.left.after)
            skip(right, turn.right.after)
        if not in_place:
            finish(power, out.acquire(1))
        elif power != 0:
            finish(power, *sums)
        out.release(1)

    def run(*arguments):
        for count, part in product_turns.loops(turns):
            for _ in repeat(count):
                for turn in part:
                    take(turn, *arguments)

    return run


def product_kernels(job):
    """zero, bias, multiply, finish."""
    by_key = job.layout == "k_by_n"
    if job.store == "f32":
        archive = "product_f32.a"
        multiply = "matmul_tile" if by_key else "matmul_tile_nk"
        return (
            Kernel("zero_tile", archive, [TILE_F32]),
            Kernel("product_f32_bias", archive, [TILE_BF16, np.int32, TILE_F32]),
            Kernel(multiply, archive, [TILE_BF16, TILE_BF16, TILE_F32]),
            Kernel("product_f32_scale", archive, [np.int32, TILE_F32]),
        )
    archive = "product_bf16.a"
    multiply = "product_bf16_add" if by_key else "product_bf16_add_nk"
    return (
        Kernel("product_bf16_zero", archive, []),
        Kernel("product_bf16_bias", archive, [TILE_BF16, np.int32]),
        Kernel(multiply, archive, [TILE_BF16, TILE_BF16]),
        Kernel("product_bf16_store", archive, [np.int32, TILE_BF16]),
    )


def queue(runtime, arguments, sizes, batch, ends):
    """Starts the transfers of a batch: its group. Where nothing comes out, what goes in is waited for."""
    group = runtime.task_group()
    results = any(tasks for (name, _), tasks in batch.items() if name == "out")
    for (name, column), tasks in batch.items():
        is_result = name == "out"
        end = ends[name, column]
        for move in tasks:
            tap = TensorAccessPattern(
                (sizes[move.argument],),
                offset=move.offset,
                sizes=[*move.sizes],
                strides=[*move.strides],
            )
            (runtime.drain if is_result else runtime.fill)(
                end.cons() if is_result else end.prod(),
                arguments[move.argument],
                tap=tap,
                wait=is_result or not results,
                task_group=group,
                placement=Tile(column, 0),
            )
    return group


def sequence(program, lanes, ends, workers):
    """The transfers of a launch: a batch is queued while the one before it runs. `ends`: of each lane, the
    fifo at the shim. A batch whose results are there has read all that it reads, since they needed it."""
    runtime = Runtime()
    batches = list(moves.batches(lanes))
    element = {part.argument: part.element for parts in lanes.values() for one in parts for part in one}
    sizes = [0] * program.arguments
    for move in (move for batch in batches for tasks in batch.values() for move in tasks):
        sizes[move.argument] = max(sizes[move.argument], move.end)
    types = [tiles.flat(size, DTYPES[element[i]]) for i, size in enumerate(sizes)]
    with runtime.sequence(*types) as arguments:
        runtime.start(*workers)
        underway = []
        for batch in batches:
            while underway and not moves.has_room([*(one for one, _ in underway), batch]):
                runtime.finish_task_group(underway.pop(0)[1])
            underway.append((batch, queue(runtime, arguments, sizes, batch, ends)))
        for _, group in underway:
            runtime.finish_task_group(group)
    return Program(NPU1(), runtime)


def whole_product(program):
    """Products of a launch on all cores, each core's one after the other; see product_turns.py."""
    plan = product_turns.product_plan(program)
    job = program.jobs[0]
    in_place = job.store == "f32"
    depth = {name: tiles.depth_of(program.kernel, name) for name in ("left", "right")}
    out_depth = tiles.depth_of(program.kernel, "accumulator" if in_place else "out")
    blocks = tiles.into_blocks(8, 4) if job.layout == "k_by_n" else tiles.into_blocks(4, 8)
    ends, left, right, out = {}, {}, {}, {}
    for name, row in plan.lanes:
        if name == "right":
            ends[name, row], (right[row],) = tiles.to_cores(name, row, 1, depth[name], blocks)
    for column, cores in plan.columns.items():
        lefts = len(cores) if plan.dealt else 1
        ends["left", column], left[column] = tiles.to_cores(
            "left", column, lefts, depth["left"], tiles.into_blocks(4, 8)
        )
        dtype = np.float32 if in_place else bfloat16
        ends["out", column], out[column] = tiles.from_cores(column, len(cores), dtype, out_depth)
    kernels = product_kernels(job)
    workers = [
        Worker(
            product_core(plan.turns[core], in_place, exponent(job.scale)),
            [
                left[column][i if plan.dealt else 0].cons(),
                right[core % ROWS].cons(),
                out[column][i].prod(),
                *kernels,
            ],
            placement=Tile(column, FIRST_CORE_ROW + core % ROWS),
            stack_size=programs.stack_bytes(),
        )
        for column, cores in plan.columns.items()
        for i, core in enumerate(cores)
    ]
    return sequence(program, plan.lanes, ends, workers)


def attention_core(turn, job):
    """On the core: its query, then key tile by key tile with those of other heads going past, in pairs."""

    def update(keys, key, value, add):
        for _ in repeat(turn.head.before):
            skip(key, 1)
            skip(value, 1)
        add(key.acquire(1), value.acquire(1), keys, exponent(job.scale))
        key.release(1)
        value.release(1)
        for _ in repeat(turn.head.after):
            skip(key, 1)
            skip(value, 1)

    def run(key, value, out, begin, add, finish):
        skip(key, turn.query.before)
        begin(key.acquire(1))
        key.release(1)
        skip(key, turn.query.after)
        for _ in repeat(job.key_tiles - 1):
            update(SIDE, key, value, add)
        update(job.keys - SIDE * (job.key_tiles - 1), key, value, add)
        finish(out.acquire(1))
        out.release(1)

    return run


def whole_attention(program):
    """One tile of fused attention a core; see attention_turns.py."""
    plan = attention_turns.attention_plan(program)
    job = program.jobs[0]
    depth = {name: tiles.depth_of(program.kernel, name) for name in ("key", "value", "out")}
    archive = "attention_core.a"
    kernels = (
        Kernel("attention_core_begin", archive, [TILE_BF16]),
        Kernel("attention_core_update", archive, [TILE_BF16, TILE_BF16, np.int32, np.int32]),
        Kernel("attention_core_finish", archive, [TILE_BF16]),
    )
    regions = programs.manifest()["kernels"][program.kernel]["core_memory"]
    strips = next(region["bytes"] for region in regions if region["name"] == "score_strip")
    ends, workers = {}, []
    for column, cores in plan.columns.items():
        lanes = {}
        for name, blocks in (("key", tiles.into_blocks(4, 8)), ("value", tiles.into_blocks(8, 4))):
            ends[name, column], lanes[name] = tiles.to_cores(
                name, column, plan.parts[column], depth[name], blocks
            )
        ends["out", column], out = tiles.from_cores(column, len(cores), bfloat16, depth["out"])
        for i, core in enumerate(cores):
            turn = plan.turns[core]
            workers.append(
                Worker(
                    attention_core(turn, job),
                    [
                        lanes["key"][turn.part].cons(),
                        lanes["value"][turn.part].cons(),
                        out[i].prod(),
                        *kernels,
                    ],
                    placement=Tile(column, FIRST_CORE_ROW + i),
                    stack_size=programs.stack_bytes() + strips,
                )
            )
    return sequence(program, plan.lanes, ends, workers)
