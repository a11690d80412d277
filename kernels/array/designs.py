"""Array designs in IRON, the Python interface of mlir-aie, for the programs of programs.py.

Not run on silicon yet. What a design may use (data memory of a core, channels, buffer descriptors) is checked
without the toolchain by array_designs_test.py.

    python3 designs.py --design unfused --context 1500 --heads 8 --list
                                            identity, kernel, function of this file, buffers, cores
    python3 designs.py --design unfused --context 1500 --heads 8 --program ID
                                            the design as MLIR, on standard output

Tiles pass through the memory tile, whose DMA cuts them into the blocks of kernels/aie2/kernels.h. Sources of
the interface: mlir-aie, programming_examples/basic/matrix_multiplication/whole_array and ml/softmax.
"""

import argparse
import sys

import numpy as np
from aie.helpers.taplib import TensorAccessPattern
from aie.iron import Kernel, ObjectFifo, Program, Runtime, Worker
from aie.iron.device import NPU1, NPU1Col1, Tile
from aie.iron.placers import SequentialPlacer
from ml_dtypes import bfloat16

import programs
import whole_array
from moves import MOST_REPEATS
from programs import ROWS, SIDE
from tiles import (
    FIRST_CORE_ROW,
    MEMORY_ROW,
    TILE_BF16,
    TILE_F32,
    depth_of,
    flat,
    from_cores,
    into_blocks,
    repeat,
    to_cores,
)


def multiply_tile(left, right, out, zero, multiply):
    """On the core, for every launch."""
    product = out.acquire(1)
    zero(product)
    multiply(left.acquire(1), right.acquire(1), product)
    left.release(1)
    right.release(1)
    out.release(1)


def tile_product(program):
    """One 64x64x64 product per launch, on one core; fp32 out."""
    (job,) = program.jobs
    by_key = job.layout == "k_by_n"
    depth = {name: depth_of(program.kernel, name) for name in ("left", "right", "accumulator")}
    left, (left_core,) = to_cores("left", 0, 1, depth["left"], into_blocks(4, 8))
    blocks = into_blocks(8, 4) if by_key else into_blocks(4, 8)
    right, (right_core,) = to_cores("right", 0, 1, depth["right"], blocks)
    out_rows, (out,) = from_cores(0, 1, np.float32, depth["accumulator"])
    zero = Kernel("zero_tile", "tile_product.a", [TILE_F32])
    name = "matmul_tile" if by_key else "matmul_tile_nk"
    multiply = Kernel(name, "tile_product.a", [TILE_BF16, TILE_BF16, TILE_F32])
    worker = Worker(
        multiply_tile,
        [left_core.cons(), right_core.cons(), out.prod(), zero, multiply],
        placement=Tile(0, FIRST_CORE_ROW),
        stack_size=programs.stack_bytes(),
    )
    sizes = [job.left.stride // 2, job.right.stride // 2, job.out.stride // 4]

    def whole(row):
        return TensorAccessPattern((SIDE * row,), offset=0, sizes=[1, 1, SIDE, SIDE], strides=[0, 0, row, 1])

    runtime = Runtime()
    dtypes = (bfloat16, bfloat16, np.float32)
    types = [flat(SIDE * size, dtype) for size, dtype in zip(sizes, dtypes)]
    with runtime.sequence(*types) as (a, b, c):
        runtime.start(worker)
        runtime.fill(left.prod(), a, tap=whole(sizes[0]), placement=Tile(0, 0))
        runtime.fill(right.prod(), b, tap=whole(sizes[1]), placement=Tile(0, 0))
        runtime.drain(out_rows.cons(), c, tap=whole(sizes[2]), wait=True, placement=Tile(0, 0))
    return Program(NPU1Col1(), runtime)


def softmax_core(key_tiles, last_keys):
    """On the core: all key tiles for maximum and sum, then all again for the probabilities."""

    def run(scores, out, begin, update, finish):
        begin()
        for _ in repeat(key_tiles - 1):
            update(scores.acquire(1), SIDE)
            scores.release(1)
        update(scores.acquire(1), last_keys)
        scores.release(1)
        for _ in repeat(key_tiles - 1):
            finish(scores.acquire(1), SIDE, out.acquire(1))
            scores.release(1)
            out.release(1)
        finish(scores.acquire(1), last_keys, out.acquire(1))
        scores.release(1)
        out.release(1)

    return run


def softmax_column(program, column, jobs, kernels):
    """The cores of one column and their way to DRAM and back: (scores fifo, probabilities fifo, workers)."""
    count, memory = len(jobs), Tile(column, MEMORY_ROW)
    depths = {name: [depth_of(program.kernel, name)] * count for name in ("scores", "out")}
    offsets = [SIDE * SIDE * i for i in range(count)]
    scores = ObjectFifo(flat(SIDE * SIDE * count, np.float32), depth=2, name=f"scores_l2_{column}")
    out = ObjectFifo(flat(SIDE * SIDE * count, bfloat16), depth=2, name=f"out_l2_{column}")

    def names(of):
        return [f"{of}_l1_{column}_{row}" for row in range(count)]

    to_cores = scores.cons().split(
        offsets,
        depths=depths["scores"],
        obj_types=[TILE_F32] * count,
        names=names("scores"),
        placement=memory,
    )
    from_cores = out.prod().join(
        offsets, depths=depths["out"], obj_types=[TILE_BF16] * count, names=names("out"), placement=memory
    )
    core = softmax_core(jobs[0].key_tiles, jobs[0].keys - SIDE * (jobs[0].key_tiles - 1))
    workers = [
        Worker(
            core,
            [to_cores[row].cons(), from_cores[row].prod(), *kernels],
            placement=Tile(column, FIRST_CORE_ROW + row),
            stack_size=programs.stack_bytes(),
        )
        for row in range(count)
    ]
    return scores, out, workers


def key_tile_by_key_tile(jobs, regions, element, total):
    """The first key tile of every job, then the second, and so on, each row by row."""
    row = regions[0].stride // element
    step = SIDE * row
    for i, region in enumerate(regions):
        if region.stride != regions[0].stride or region.offset != regions[0].offset + i * step * element:
            raise ValueError("the row blocks of a column do not follow each other")
    if jobs[0].key_tiles > MOST_REPEATS:
        raise ValueError(f"{jobs[0].key_tiles} key tiles: a shim repeats a transfer {MOST_REPEATS} times")
    return TensorAccessPattern(
        (total,),
        offset=regions[0].offset // element,
        sizes=[jobs[0].key_tiles, len(jobs), SIDE, SIDE],
        strides=[SIDE, step, row, 1],
    )


def row_softmax(program):
    """A row block per core, 4 in a column; the scores of a launch cross twice."""
    kernels = (
        Kernel("row_softmax_begin", "row_softmax.a", []),
        Kernel("row_softmax_update", "row_softmax.a", [TILE_F32, np.int32]),
        Kernel("row_softmax_finish", "row_softmax.a", [TILE_F32, np.int32, TILE_BF16]),
    )
    groups = [program.jobs[i : i + ROWS] for i in range(0, len(program.jobs), ROWS)]
    columns = [softmax_column(program, i, jobs, kernels) for i, jobs in enumerate(groups)]
    blocks = len(program.jobs) * SIDE
    totals = [blocks * program.jobs[0].scores.stride // 4, blocks * program.jobs[0].out.stride // 2]
    runtime = Runtime()
    with runtime.sequence(flat(totals[0], np.float32), flat(totals[1], bfloat16)) as (scores, out):
        for _, _, workers in columns:
            runtime.start(*workers)
        group = runtime.task_group()
        for column, (jobs, (fill, drain, _)) in enumerate(zip(groups, columns)):
            shim = Tile(column, 0)
            tap = key_tile_by_key_tile(jobs, [job.scores for job in jobs], 4, totals[0])
            for _ in range(2):
                runtime.fill(fill.prod(), scores, tap=tap, task_group=group, placement=shim)
            tap = key_tile_by_key_tile(jobs, [job.out for job in jobs], 2, totals[1])
            runtime.drain(drain.cons(), out, tap=tap, wait=True, task_group=group, placement=shim)
        runtime.finish_task_group(group)
    return Program(NPU1(), runtime)


DESIGNS = {
    "tile_bf16_f32": tile_product,
    "softmax_f32_bf16": row_softmax,
    "matmul_bf16_f32": whole_array.whole_product,
    "matmul_bf16_bf16": whole_array.whole_product,
    "attention_bf16_bf16": whole_array.whole_attention,
}


def design_of(program):
    """The design, placed by nobody yet. ValueError: the array's limits do not allow its order of jobs."""
    return DESIGNS[program.kernel](program)


def main(arguments):
    parser = argparse.ArgumentParser(description="Array designs of a layer's attention, as MLIR")
    parser.add_argument("--design", choices=programs.PROGRAMS, default="tile64")
    parser.add_argument("--context", type=int, default=1500)
    parser.add_argument("--heads", type=int, default=8)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true")
    what.add_argument("--program", metavar="ID")
    options = parser.parse_args(arguments)
    wanted = programs.planned(options.design, options.context, options.heads)
    if options.design == "tile64":
        wanted.append(programs.pass_through_program())
    known = {program.identity(): program for program in wanted}
    if options.list:
        for identity, program in known.items():
            buffers = ",".join(str(3 + i) for i in range(program.arguments))
            cores = len({job.core for job in program.jobs})
            print(identity, program.kernel, DESIGNS[program.kernel].__name__, buffers, cores)
    elif options.program not in known:
        sys.exit(f"designs.py: --program {options.program}: none of T = {options.context}; --list shows them")
    else:
        try:
            print(design_of(known[options.program]).resolve_program(SequentialPlacer()))
        except ValueError as refusal:
            sys.exit(f"designs.py: {options.program}: {refusal}")


if __name__ == "__main__":
    main(sys.argv[1:])
