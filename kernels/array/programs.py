"""The launches that the array designs of this folder serve, and the identity under which each is filed.

A program is what every core does, in order, to which part of the arguments; npu_impl/launch_program.hpp
defines its words. They are written here a second time, from the same definition: a design is built from the
jobs below, and the identity of their words must be one that `harness artefact plan` asks for. So an xclbin
that is filed under an identity moves the bytes that launches of that identity mean.

Offsets and strides are bytes, counted from the first byte of an argument that any job touches.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import struct

SIDE = 64  # of a tile
BF16, F32 = 2, 4
CORES = 16  # of a launch on the whole array
ROWS = 4  # of cores in a column
COLUMNS = CORES // ROWS
WAVE_PAIRS = 16  # pairs of row block and head in a wave: npu_impl/tile_plan.hpp
SCORE_SCALE = 0.125  # 1 / sqrt(64): npu_impl/layer_plan.hpp
MANIFEST = pathlib.Path(__file__).parents[1] / "manifest.json"

# Enumerations of kernels/tile_kernels.hpp and npu_impl/device.hpp, by position.
STORES = {"f32": 0, "bf16_nearest_even": 1}
RIGHTS = {"k_by_n": 0, "n_by_k": 1}
MATMUL, SOFTMAX, ATTENTION = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Region:
    """A matrix inside an argument."""

    argument: int
    offset: int
    stride: int


@dataclasses.dataclass(frozen=True)
class Product:
    """out[64, 64] = store(scale (bias + left[64, 64 k_tiles] right)), ascending k; right [n, k] or [k, n]."""

    left: Region
    right: Region
    layout: str
    out: Region
    core: int = 0
    k_tiles: int = 1
    bias: Region | None = None  # bf16 [64]
    scale: float = 1.0
    store: str = "f32"

    def words(self):
        yield from numbers(self.core, MATMUL)
        yield from region_words(self.left)
        yield from region_words(self.right)
        yield from numbers(RIGHTS[self.layout], self.k_tiles, 0 if self.bias is None else 1)
        if self.bias is not None:
            yield from region_words(self.bias)
        yield float_word(self.scale)
        yield from numbers(STORES[self.store], 0)  # not re-rounded
        yield from region_words(self.out)

    @property
    def regions(self):
        return {"left": self.left, "right": self.right, "out": self.out, "bias": self.bias}


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
class Attention:
    """out[64, 64] bf16 = softmax(scale query[64, 64] key^T) value over the first `keys` rows of both."""

    query: Region
    key: Region
    value: Region
    keys: int
    out: Region
    core: int = 0
    scale: float = SCORE_SCALE

    @property
    def key_tiles(self):
        return tiles_for(self.keys)

    def words(self):
        yield from numbers(self.core, ATTENTION)
        for region in (self.query, self.key, self.value):
            yield from region_words(region)
        yield from numbers(self.key_tiles, self.keys)
        yield float_word(self.scale)
        yield from numbers(STORES["bf16_nearest_even"])
        yield from region_words(self.out)

    @property
    def regions(self):
        return {"query": self.query, "key": self.key, "value": self.value, "out": self.out}


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


@functools.cache
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


def float_word(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


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
    job = Product(Region(0, 0, left_stride), Region(1, 0, right_stride), layout, Region(2, 0, SIDE * F32))
    return Program("tile_bf16_f32", 3, (job,))


def pass_through_program():
    """What `harness doctor` sends through a core: one dense tile."""
    return tile_program(SIDE * BF16, SIDE * BF16, "n_by_k")


def waves(context, heads):
    """Pairs (row block, head), row blocks major, at most 16 at a time."""
    pairs = [(row, head) for row in range(tiles_for(context)) for head in range(heads)]
    return [pairs[i : i + WAVE_PAIRS] for i in range(0, len(pairs), WAVE_PAIRS)]


def from_first_byte(job, first):
    """The job with offsets that count from the first bytes of its arguments."""
    moved = {
        name: dataclasses.replace(region, offset=region.offset - first[region.argument])
        for name, region in job.regions.items()
        if region is not None
    }
    return dataclasses.replace(job, **moved)


def program_of(kernel, arguments, jobs):
    first = {}
    for job in jobs:
        for region in filter(None, job.regions.values()):
            first[region.argument] = min(region.offset, first.get(region.argument, region.offset))
    return Program(kernel, arguments, tuple(from_first_byte(job, first) for job in jobs))


def tile(argument, row, column, stride, element=BF16):
    """Of a row-major matrix with so many bytes a row."""
    return Region(argument, row * SIDE * stride + column * SIDE * element, stride)


def blockwise(rows, columns):
    """The tiles of a product, in blocks as wide and high as the array."""
    for top in range(0, rows, ROWS):
        for left in range(0, columns, COLUMNS):
            for row in range(top, min(rows, top + ROWS)):
                for column in range(left, min(columns, left + COLUMNS)):
                    yield row, column


def projection_program(context, heads, store, with_bias):
    """x[T, width] times a weight [width, width], given as [out, in]; its arguments: x, weight, out, bias."""
    width = heads * SIDE * BF16
    kernel, element = ("matmul_bf16_f32", F32) if store == "f32" else ("matmul_bf16_bf16", BF16)
    jobs = [
        Product(
            tile(0, row, 0, width),
            tile(1, column, 0, width),
            "n_by_k",
            tile(2, row, column, heads * SIDE * element, element),
            i % CORES,
            heads,
            Region(3, column * SIDE * BF16, 0) if with_bias else None,
            1.0,
            store,
        )
        for i, (row, column) in enumerate(blockwise(tiles_for(context), heads))
    ]
    return program_of(kernel, 4 if with_bias else 3, jobs)


def scores_programs(context, heads):
    """Query times key of every wave: one row block of scores a core, column by column; query, key, scores."""
    width, out = heads * SIDE * BF16, padded(context) * F32
    for pairs in waves(context, heads):
        jobs = [
            Product(
                tile(0, row, head, width),
                tile(1, column, head, width),
                "n_by_k",
                tile(2, place, column, out, F32),
                place,
                scale=SCORE_SCALE,
            )
            for column in range(tiles_for(context))
            for place, (row, head) in enumerate(pairs)
        ]
        yield program_of("matmul_bf16_f32", 3, jobs)


def context_programs(context, heads):
    """Probabilities times value of every wave: one tile a core; probabilities, value, context."""
    width, left = heads * SIDE * BF16, padded(context) * BF16
    for pairs in waves(context, heads):
        jobs = [
            Product(
                tile(0, place, 0, left),
                tile(1, 0, head, width),
                "k_by_n",
                tile(2, row, head, width),
                place,
                tiles_for(context),
                store="bf16_nearest_even",
            )
            for place, (row, head) in enumerate(pairs)
        ]
        yield program_of("matmul_bf16_bf16", 3, jobs)


def attention_programs(context, heads):
    """Fused attention of every wave: one tile of context a core; query, key, value, context."""
    width = heads * SIDE * BF16
    for pairs in waves(context, heads):
        jobs = [
            Attention(
                tile(0, row, head, width),
                tile(1, 0, head, width),
                tile(2, 0, head, width),
                context,
                tile(3, row, head, width),
                place,
            )
            for place, (row, head) in enumerate(pairs)
        ]
        yield program_of("attention_bf16_bf16", 4, jobs)


def softmax_programs(context, heads):
    """Of every wave that differs: the last may be smaller."""
    blocks = dict.fromkeys(len(pairs) for pairs in waves(context, heads))
    return [softmax_program(context, count) for count in blocks]


def projections(context, heads):
    """Query and value, which are one program, and key, which has no bias."""
    even = "bf16_nearest_even"
    return [projection_program(context, heads, even, with_bias) for with_bias in (True, False)]


def tile64_programs(context, heads):
    width = heads * SIDE * BF16
    return [
        tile_program(width, width, "n_by_k"),  # projections, and query times key
        *softmax_programs(context, heads),
        tile_program(padded(context) * BF16, width, "k_by_n"),  # probabilities times value
    ]


def unfused_programs(context, heads):
    return [
        *projections(context, heads),
        *scores_programs(context, heads),
        *softmax_programs(context, heads),
        *context_programs(context, heads),
        projection_program(context, heads, "f32", True),
    ]


def fused_programs(context, heads):
    return [
        *projections(context, heads),
        *attention_programs(context, heads),
        projection_program(context, heads, "f32", True),
    ]


PROGRAMS = {"tile64": tile64_programs, "unfused": unfused_programs, "fused": fused_programs}


def planned(design, context, heads):
    """What `harness artefact plan --design NAME` asks for, in its order: the attention of one layer."""
    return list(dict.fromkeys(PROGRAMS[design](context, heads)))
