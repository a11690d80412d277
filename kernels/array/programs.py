"""The launches that the array designs of this folder serve, and the identity under which each is filed.

A program is what every core does, in order, to which part of the arguments; npu_impl/launch_program.hpp
defines its words. They are written here a second time, from the same definition: a design is built from the
jobs below, and the identity of their words must be one that `harness artefact plan` asks for. So an xclbin
that is filed under an identity moves the bytes that launches of that identity mean.

Offsets and strides are bytes, counted from the first byte of an argument that any job touches.
"""

import dataclasses
import hashlib
import json
import pathlib
import struct

SIDE = 64  # of a tile
BF16, F32 = 2, 4
HEADS_AT_ONCE = 16  # pairs of row block and head in a wave: npu_impl/tile_plan.hpp, wave_pairs
MANIFEST = pathlib.Path(__file__).parents[1] / "manifest.json"

# Enumerations of kernels/tile_kernels.hpp and npu_impl/device.hpp, by position.
STORES = {"f32": 0, "bf16_nearest_even": 1}
RIGHTS = {"k_by_n": 0, "n_by_k": 1}
MATMUL, SOFTMAX = 0, 1


@dataclasses.dataclass(frozen=True)
class Region:
    """A matrix inside an argument."""

    argument: int
    offset: int
    stride: int


@dataclasses.dataclass(frozen=True)
class TileProduct:
    """out[64, 64] f32 = left[64, 64] right: bf16, right [n, k] or [k, n]."""

    left: Region
    right: Region
    layout: str
    out: Region
    core: int = 0

    def words(self):
        yield from numbers(self.core, MATMUL)
        yield from region_words(self.left)
        yield from region_words(self.right)
        yield from numbers(RIGHTS[self.layout], 1, 0)  # one k tile, no bias
        yield from struct.unpack("<I", struct.pack("<f", 1.0))  # scale
        yield from numbers(STORES["f32"], 0)  # not re-rounded
        yield from region_words(self.out)


@dataclasses.dataclass(frozen=True)
class RowSoftmax:
    """out[64, 64 key_tiles] bf16 = softmax over the first `keys` columns of scores, f32; 0 in the others."""

    scores: Region
    keys: int
    out: Region
    core: int = 0

    @property
    def key_tiles(self):
        return tiles_for(self.keys)

    def words(self):
        yield from numbers(self.core, SOFTMAX)
        yield from region_words(self.scores)
        yield from numbers(self.key_tiles, self.keys, STORES["bf16_nearest_even"])
        yield from region_words(self.out)


@dataclasses.dataclass(frozen=True)
class Program:
    """Jobs of one kernel of the manifest, with as many arguments."""

    kernel: str
    arguments: int
    jobs: tuple

    def words(self):
        kernel = manifest()["kernels"][self.kernel]
        yield int.from_bytes(b"KRN1", "little")
        yield from text_words(self.kernel)
        source = {"aie2": 0, "scalar": 1}[kernel["source"]]
        yield from numbers(source, stack_bytes(), len(kernel["core_memory"]))
        for region in kernel["core_memory"]:
            yield from text_words(region["name"])
            yield from numbers(region["bytes"], region["copies"])
        yield int.from_bytes(b"JOB1", "little")
        yield from numbers(self.arguments, len(self.jobs))
        for job in self.jobs:
            yield from job.words()

    def identity(self):
        words = list(self.words())
        return hashlib.sha256(struct.pack(f"<{len(words)}I", *words)).hexdigest()


def manifest():
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


def stack_bytes():
    return manifest()["core"]["stack_bytes"]


def core_bytes(kernel):
    """Of a core's data memory, stack included."""
    return stack_bytes() + sum(r["bytes"] * r["copies"] for r in manifest()["kernels"][kernel]["core_memory"])


def numbers(*values):
    """64 bits each, low word first."""
    for value in values:
        yield value & 0xFFFFFFFF
        yield value >> 32


def text_words(text):
    data = text.encode("ascii")
    yield from numbers(len(data))
    data += b"\0" * (-len(data) % 4)
    yield from struct.unpack(f"<{len(data) // 4}I", data)


def region_words(region):
    yield from numbers(region.argument, region.offset, region.stride)


def tiles_for(size):
    return -(-size // SIDE)


def padded(size):
    return tiles_for(size) * SIDE


def softmax_program(context, blocks):
    """Of a wave of so many row blocks, each [64, context padded], which lie one behind the other."""
    scores, out = padded(context) * F32, padded(context) * BF16
    jobs = (
        RowSoftmax(Region(0, i * SIDE * scores, scores), context, Region(1, i * SIDE * out, out), i)
        for i in range(blocks)
    )
    return Program("softmax_f32_bf16", 2, tuple(jobs))


def tile_program(left_stride, right_stride, layout):
    """One tile of a product; the host adds up those of one output tile, which lie one behind the other."""
    job = TileProduct(Region(0, 0, left_stride), Region(1, 0, right_stride), layout, Region(2, 0, SIDE * F32))
    return Program("tile_bf16_f32", 3, (job,))


def pass_through_program():
    """What `harness doctor` sends through a core: one dense tile."""
    return tile_program(SIDE * BF16, SIDE * BF16, "n_by_k")


def tile64_programs(context, heads):
    """What `harness artefact plan --design tile64` asks for, in its order: the attention of one layer."""
    width = heads * SIDE * BF16
    pairs = tiles_for(context) * heads
    blocks = {min(HEADS_AT_ONCE, pairs), pairs % HEADS_AT_ONCE or HEADS_AT_ONCE}
    return [
        tile_program(width, width, "n_by_k"),  # projections, and query times key
        *(softmax_program(context, count) for count in sorted(blocks, reverse=True)),
        tile_program(padded(context) * BF16, width, "k_by_n"),  # probabilities times value
    ]
