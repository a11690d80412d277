"""Tiles of 64 x 64 as the fifos of the designs carry them, and the orders in which the DMA of a memory tile
sends them: rows, or the blocks of kernels/aie2/kernels.h."""

import numpy as np
from aie.iron import ObjectFifo
from aie.iron.controlflow import range_
from aie.iron.device import Tile
from ml_dtypes import bfloat16

import programs
from programs import SIDE

MEMORY_ROW, FIRST_CORE_ROW = 1, 2

TILE_BF16 = np.ndarray[(SIDE, SIDE), np.dtype[bfloat16]]
TILE_F32 = np.ndarray[(SIDE, SIDE), np.dtype[np.float32]]


def flat(elements, dtype):
    return np.ndarray[(elements,), np.dtype[dtype]]


def depth_of(kernel, buffer):
    """As many copies of a buffer on the core as the manifest counts."""
    regions = programs.manifest()["kernels"][kernel]["core_memory"]
    return next(r["copies"] for r in regions if r["name"] == buffer)


def into_blocks(high, wide):
    """Row-major [64, 64] as a stream of blocks high x wide, each row-major."""
    return [(SIDE // high, high * SIDE), (SIDE // wide, wide), (high, SIDE), (wide, 1)]


def from_blocks(high, wide):
    """Blocks high x wide as a stream of rows of 64."""
    return [(SIDE // high, high * SIDE), (high, wide), (SIDE // wide, high * wide), (wide, 1)]


def repeat(count):
    """A loop on the core; a single turn is none, which the compiler of loops would not take."""
    return range_(count) if count > 1 else range(count)


def skip(fifo, count):
    """On the core: lets tiles go past."""
    for _ in repeat(count):
        fifo.acquire(1)
        fifo.release(1)


def places(fifo, count, dtype, depth, name, dims=None):
    """What a split or join through the memory tile takes for `count` tiles of one object."""
    parts = {
        "depths": [depth] * count,
        "obj_types": [TILE_F32 if dtype is np.float32 else TILE_BF16] * count,
        "names": [f"{name}_l1_{fifo.name.rsplit('_', 1)[1]}_{i}" for i in range(count)],
    }
    return parts if dims is None else {**parts, "dims_to_stream": [dims] * count}


def to_cores(name, column, count, depth, blocks):
    """A lane of bf16 tiles into a column: (its end at the shim, `count` fifos from the memory tile). Every
    object holds one tile for each."""
    lane = ObjectFifo(flat(SIDE * SIDE * count, bfloat16), depth=2, name=f"{name}_l2_{column}")
    parts = places(lane, count, bfloat16, depth, name, blocks)
    offsets = [SIDE * SIDE * i for i in range(count)]
    return lane, lane.cons().split(offsets, placement=Tile(column, MEMORY_ROW), **parts)


def from_cores(column, count, dtype, depth):
    """A lane of results in blocks 4x4 out of a column: (its end at the shim, `count` fifos from the cores).
    The DMA brings each tile of an object into rows by itself, as in mlir-aie's whole_array example."""
    lane = ObjectFifo(
        flat(SIDE * SIDE * count, dtype), depth=2, name=f"out_l2_{column}", dims_to_stream=from_blocks(4, 4)
    )
    parts = places(lane, count, dtype, depth, "out")
    offsets = [SIDE * SIDE * i for i in range(count)]
    return lane, lane.prod().join(offsets, placement=Tile(column, MEMORY_ROW), **parts)
