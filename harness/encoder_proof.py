#!/usr/bin/env python3
"""Holds the native encoder to an independent one: plain PyTorch in fp64, from the published architecture.

    encoder_proof.py PROOF_PROGRAM

Builds random checkpoints of the sizes tiny and base, as safetensors (both namings, F32 and F16) and as ggml,
runs PyTorch over a random mel spectrogram, and lets PROOF_PROGRAM compare the tensor of every op.
"""

import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import torch

SIZES = {"tiny": (80, 6, 4), "base": (80, 8, 6), "odd": (128, 5, 2)}
POSITIONS = 1500
HEAD = 64

# OpenAI's names below `encoder.`, and those of Hugging Face below `model.encoder.`.
HUGGING_FACE = {
    "attn_ln": "self_attn_layer_norm",
    "attn.query": "self_attn.q_proj",
    "attn.key": "self_attn.k_proj",
    "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj",
    "mlp_ln": "final_layer_norm",
    "mlp.0": "fc1",
    "mlp.2": "fc2",
}


def random_state(mels, heads, layers, seed):
    """Weights by OpenAI's names. All are exact in binary16, so that every format holds the same numbers."""
    random = numpy.random.RandomState(seed)
    width = heads * HEAD

    def normal(shape, deviation):
        return (random.standard_normal(shape) * deviation).astype(numpy.float16).astype(numpy.float32)

    state = {
        "conv1.weight": normal((width, mels, 3), 1.0 / math.sqrt(3 * mels)),
        "conv1.bias": normal(width, 0.3),
        "conv2.weight": normal((width, width, 3), 1.5 / math.sqrt(3 * width)),
        "conv2.bias": normal(width, 0.3),
        "positional_embedding": sinusoids(POSITIONS, width),
        "ln_post.weight": 1 + normal(width, 0.2),
        "ln_post.bias": normal(width, 0.2),
    }
    for layer in range(layers):
        block = f"blocks.{layer}."
        for norm in ("attn_ln", "mlp_ln"):
            state[block + norm + ".weight"] = 1 + normal(width, 0.2)
            state[block + norm + ".bias"] = normal(width, 0.2)
        for name, sharpness in (("query", 2.0), ("key", 2.0), ("value", 1.0), ("out", 1.0)):
            state[block + f"attn.{name}.weight"] = normal((width, width), sharpness / math.sqrt(width))
            if name != "key":
                state[block + f"attn.{name}.bias"] = normal(width, 0.3)
        state[block + "mlp.0.weight"] = normal((4 * width, width), 1.0 / math.sqrt(width))
        state[block + "mlp.0.bias"] = normal(4 * width, 0.3)
        state[block + "mlp.2.weight"] = normal((width, 4 * width), 0.5 / math.sqrt(width))
        state[block + "mlp.2.bias"] = normal(width, 0.3)
    return {name: tensor.astype(numpy.float16).astype(numpy.float32) for name, tensor in state.items()}


def sinusoids(length, channels):
    """As in openai/whisper, model.py."""
    increment = math.log(10000) / (channels // 2 - 1)
    inverse = numpy.exp(-increment * numpy.arange(channels // 2))
    time = numpy.arange(length)[:, None] * inverse[None, :]
    return numpy.concatenate([numpy.sin(time), numpy.cos(time)], axis=1).astype(numpy.float32)


def encode(state, mel, heads, layers, stride):
    """The tensor of every op by (stage, op), fp64. mel [mels, frames]."""
    weights = {name: torch.from_numpy(tensor).double() for name, tensor in state.items()}
    functional = torch.nn.functional
    ops = {}

    def norm(x, name):
        gain, bias = weights[name + ".weight"], weights[name + ".bias"]
        return functional.layer_norm(x, x.shape[-1:], gain, bias, 1e-5)

    def linear(x, name):
        return functional.linear(x, weights[name + ".weight"], weights.get(name + ".bias"))

    def convolution(x, name, step):
        y = functional.conv1d(x, weights[name + ".weight"], weights[name + ".bias"], stride=step, padding=1)
        return functional.gelu(y)

    x = convolution(mel[None], "conv1", 1)
    ops["stem", "conv1"] = x[0].T
    x = convolution(x, "conv2", stride)[0].T
    ops["stem", "conv2"] = x
    x = x + weights["positional_embedding"][: x.shape[0]]
    ops["stem", "embedding"] = x
    time, width = x.shape
    for layer in range(layers):
        stage, block = f"layer {layer}", f"blocks.{layer}."

        def split(tensor):
            return tensor.view(time, heads, HEAD).transpose(0, 1)

        normal = norm(x, block + "attn_ln")
        query, key, value = (linear(normal, block + f"attn.{name}") for name in ("query", "key", "value"))
        scores = split(query) @ split(key).transpose(1, 2) / math.sqrt(HEAD)
        probabilities = torch.softmax(scores, dim=-1)
        context = (probabilities @ split(value)).transpose(0, 1).reshape(time, width)
        output = linear(context, block + "attn.out")
        residual = x + output
        mlp_normal = norm(residual, block + "mlp_ln")
        hidden = linear(mlp_normal, block + "mlp.0")
        active = functional.gelu(hidden)
        back = linear(active, block + "mlp.2")
        x = residual + back
        for op, tensor in (
            ("attention_norm", normal), ("query", query), ("key", key), ("value", value), ("scores", scores),
            ("probabilities", probabilities), ("context", context), ("output", output),
            ("attention_residual", residual), ("mlp_norm", mlp_normal), ("fc1", hidden), ("gelu", active),
            ("fc2", back), ("block", x),
        ):
            ops[stage, op] = tensor
    ops["end", "encoder"] = norm(x, "ln_post")
    return ops


def write_safetensors(path, tensors, dtype):
    kinds = {"F32": numpy.float32, "F16": numpy.float16}
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        blob = numpy.ascontiguousarray(tensor, kinds[dtype]).tobytes()
        end = offset + len(blob)
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def hugging_face_names(state):
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in HUGGING_FACE.items():
            name = name.replace(f".{ours}.", f".{theirs}.") if name.startswith("blocks.") else name
        name = name.replace("blocks.", "layers.").replace("ln_post", "layer_norm")
        name = name.replace("positional_embedding", "embed_positions.weight")
        renamed["model.encoder." + name] = tensor
    renamed["model.decoder.embed_tokens.weight"] = numpy.zeros((7, 3), numpy.float32)
    return renamed


def write_ggml(path, state, mels, heads, layers):
    """whisper.cpp's format, models/convert-pt-to-ggml.py: matrices f16, vectors and positions f32."""
    width = heads * HEAD
    text = (448, width, heads, layers)
    out = [struct.pack("<I11i", 0x67676D6C, 3, POSITIONS, width, heads, layers, *text, mels, 1)]
    out.append(struct.pack("<2i", mels, 201) + numpy.zeros((mels, 201), numpy.float32).tobytes())
    vocabulary = (struct.pack("<i", 1) + letter for letter in (b"a", b"b", b"c"))
    out.append(struct.pack("<i", 3) + b"".join(vocabulary))
    for name, tensor in state.items():
        if name in ("conv1.bias", "conv2.bias"):
            tensor = tensor[:, None]
        half = tensor.ndim > 1 and "bias" not in name and name != "positional_embedding"
        full = ("encoder." + name).encode()
        out.append(struct.pack("<3i", tensor.ndim, len(full), 1 if half else 0))
        out.append(struct.pack(f"<{tensor.ndim}i", *reversed(tensor.shape)) + full)
        out.append(numpy.ascontiguousarray(tensor, numpy.float16 if half else numpy.float32).tobytes())
    path.write_bytes(b"".join(out))


def prove(program, folder, size, formats, frames, stride):
    mels, heads, layers = SIZES[size]
    state = random_state(mels, heads, layers, seed=len(size))
    random = numpy.random.RandomState(7)
    mel = numpy.clip(random.standard_normal((mels, frames)) * 0.6 - 0.3, -1.5, 1.5).astype(numpy.float32)
    tensors = folder / f"{size}-{frames}-{stride}"
    tensors.mkdir()
    mel.T.astype("<f4").tofile(tensors / "mel")
    with torch.no_grad():
        made = encode(state, torch.from_numpy(mel).double(), heads, layers, stride)
        for (stage, op), tensor in made.items():
            tensor.contiguous().numpy().astype("<f8").tofile(tensors / f"{stage} {op}")
    openai = {"encoder." + name: tensor for name, tensor in state.items()}
    writers = {
        "hugging_face_f32": lambda path: write_safetensors(path, hugging_face_names(state), "F32"),
        "openai_f16": lambda path: write_safetensors(path, openai, "F16"),
        "ggml": lambda path: write_ggml(path, state, mels, heads, layers),
    }
    for form in formats:
        checkpoint = folder / f"{size}-{form}.bin"
        writers[form](checkpoint)
        print(f"{size}, {form}, {frames} frames, stride {stride}", flush=True)
        subprocess.run([program, checkpoint, tensors, str(frames), str(stride)], check=True)
        checkpoint.unlink()


def main():
    torch.set_num_threads(2)
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        prove(program, folder, "tiny", ["hugging_face_f32", "openai_f16", "ggml"], frames=300, stride=2)
        prove(program, folder, "base", ["hugging_face_f32", "ggml"], frames=399, stride=2)
        prove(program, folder, "odd", ["openai_f16"], frames=131, stride=1)


if __name__ == "__main__":
    main()
