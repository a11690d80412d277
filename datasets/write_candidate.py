#!/usr/bin/env python3
"""How any program has its numbers judged by `harness judge`: `write_candidate.py RECORDING CANDIDATE`.

Give `write_candidate` your own arrays: (clip id, layer) -> {op: values}, for the ops and shapes listed in
candidate.hpp, any subset of them. The example computes the attention of every layer as a correct NPU kernel
would: bf16 operands, fp32 sums, stores as the design "unfused" declares. Needs numpy and h5py.
"""

import hashlib
import sys

import h5py
import numpy


def content_sha256(recording):
    """The identity of a recording, as `harness inspect` prints it."""
    hashes = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and "sha256" in item.attrs:
            text = item.attrs["sha256"]
            hashes[name] = text.decode() if isinstance(text, bytes) else text

    recording.visititems(visit)
    lines = "".join(f"/{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_candidate(path, recording, runner, arithmetic, layers, feed="chained"):
    """`feed`: whether the steps read the recording's tensors ("isolated") or each other's ("chained")."""
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = "npu-attention-candidate"
        file.attrs["schema_version"] = [1, 0]
        file.attrs["recording_sha256"] = content_sha256(recording)
        file.attrs["runner"] = runner
        file.attrs["input"] = feed
        file.attrs["arithmetic"] = arithmetic
        for (clip, layer), tensors in layers.items():
            for op, values in tensors.items():
                file[f"clips/{clip}/layer_{layer}/{op}"] = numpy.asarray(values, "<f4")


def bf16(values):
    """Rounded to bf16, to nearest even, as float32."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view("<f4")


def attention(x, weights):
    """x [time, channel] -> every op of the attention, each rounded where the design "unfused" rounds."""
    product = lambda a, b: bf16(a) @ bf16(b).T
    query, key, value = (bf16(product(x, weights["w" + n]) + bf16(weights.get("b" + n, numpy.float32([0]))))
                         for n in "qkv")
    heads = [slice(i, i + 64) for i in range(0, x.shape[1], 64)]
    scores = numpy.stack([product(query[:, h], key[:, h]) / 8 for h in heads])
    exp = numpy.exp(bf16(scores - scores.max(axis=2, keepdims=True)))
    probabilities = bf16(exp / exp.sum(axis=2, keepdims=True))
    context = numpy.hstack([bf16(product(p, value[:, h].T)) for p, h in zip(probabilities, heads)])
    output = product(context, weights["wo"]) + bf16(weights["bo"])
    return {"query": query, "key": key, "value": value, "scores": scores, "probabilities": probabilities,
            "context": context, "output": output}


def main():
    layers = {}
    with h5py.File(sys.argv[1]) as recording:
        for clip in recording["clips"]:
            for name, group in recording[f"clips/{clip}/encoder"].items():
                if name.startswith("layer_"):
                    weights = {n: w[()] for n, w in recording[f"weights/{name}/attn"].items()}
                    layers[clip, int(name[6:])] = attention(group["attn/x"][()], weights)
        write_candidate(sys.argv[2], recording, "write_candidate.py", "unfused", layers)


if __name__ == "__main__":
    main()
