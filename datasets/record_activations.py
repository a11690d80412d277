#!/usr/bin/env python3
"""Records the encoder of openai/whisper or of Hugging Face transformers, by forward hooks, for the harness.

    record_activations.py --model base --audio speech.wav --out recording.h5
    record_activations.py --model openai/whisper-base --audio a.wav b.wav --layers 0,3-5 --out recording.h5

A name with a slash or a folder is a model of transformers, any other that of openai/whisper; the package is
imported when it is needed. Else numpy, h5py and torch suffice. Everything runs in fp32 on the CPU. Audio is
WAV, 16 kHz, 16-bit; what is longer than the encoder's window becomes several clips.
"""

import argparse
import hashlib
import math
import pathlib
import platform
import re
import sys
import types

import h5py
import numpy
import torch

from log_mel import HOP_SAMPLES, SAMPLE_RATE, Refusal, log_mel, windows

HEAD_WIDTH = 64
CHUNK_BYTES = 512 << 10


def of_openai(encoder):
    blocks = [
        types.SimpleNamespace(
            block=block, attention_norm=block.attn_ln, query=block.attn.query, key=block.attn.key,
            value=block.attn.value, output=block.attn.out, mlp_norm=block.mlp_ln, fc1=block.mlp[0],
            fc2=block.mlp[2], heads=block.attn.n_head)
        for block in encoder.blocks
    ]
    positions = encoder.positional_embedding.shape[0]
    return types.SimpleNamespace(blocks=blocks, end=encoder.ln_post, conv1=encoder.conv1,
                                 positions=positions)


def of_transformers(encoder):
    blocks = [
        types.SimpleNamespace(
            block=block, attention_norm=block.self_attn_layer_norm, query=block.self_attn.q_proj,
            key=block.self_attn.k_proj, value=block.self_attn.v_proj, output=block.self_attn.out_proj,
            mlp_norm=block.final_layer_norm, fc1=block.fc1, fc2=block.fc2, heads=block.self_attn.num_heads)
        for block in encoder.layers
    ]
    positions = encoder.embed_positions.weight.shape[0]
    return types.SimpleNamespace(blocks=blocks, end=encoder.layer_norm, conv1=encoder.conv1,
                                 positions=positions)


def parts_of(encoder):
    """The modules that are hooked, under one name in both layouts."""
    if hasattr(encoder, "blocks"):
        parts = of_openai(encoder)
    elif hasattr(encoder, "layers"):
        parts = of_transformers(encoder)
    else:
        name = type(encoder).__name__
        raise Refusal(f"{name} has neither the modules of openai/whisper nor of transformers")
    first = parts.blocks[0]
    if first.query.weight.shape[0] != HEAD_WIDTH * first.heads:
        width = first.query.weight.shape[0]
        raise Refusal(f"{first.heads} heads of {width} channels in all; Whisper has 64 per head")
    if first.key.bias is not None:
        raise Refusal("the key projection has a bias; Whisper's has none")
    return parts


def load_encoder(name):
    """The encoder of a model of either package, with attention in plain operations instead of a fused one."""
    if "/" in name or pathlib.Path(name).is_dir():
        import transformers

        model = transformers.WhisperModel.from_pretrained(name, attn_implementation="eager")
        return model.encoder
    import whisper

    if hasattr(whisper.model.MultiHeadAttention, "use_sdpa"):
        whisper.model.MultiHeadAttention.use_sdpa = False
    return whisper.load_model(name, device="cpu").encoder


def identity(encoder):
    """SHA-256 over names and fp32 bytes of the encoder's parameters, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + as_array(tensor).tobytes())
    return digest.hexdigest()


def as_array(tensor):
    """A copy: modules may work in place on what a hook was shown."""
    return tensor.detach().to(torch.float32).cpu().numpy().astype("<f4", copy=True)


def round_to_bf16(values):
    """Bits of the nearest bf16, ties to even; of finite values."""
    bits = values.view("<u4")
    return ((bits + numpy.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype("<u2")


def bf16_type():
    """HDF5's own conversion rounds otherwise, so the bits are stored and this says what they mean."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    return kind


def write_tensor(file, path, values, dims, dtype="f32"):
    """One dataset with the chunks, checksums and labels that the reader demands."""
    values = numpy.ascontiguousarray(values, dtype="<f4")
    if not numpy.isfinite(values).all():
        raise Refusal(f"{path}: holds NaN or an infinity")
    stored, kind = (values, h5py.h5t.IEEE_F32LE) if dtype == "f32" else (round_to_bf16(values), bf16_type())
    row_bytes = stored.nbytes // len(stored)
    chunk = (min(len(stored), max(1, CHUNK_BYTES // row_bytes)),) + stored.shape[1:]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunk)
    properties.set_fletcher32()
    properties.set_obj_track_times(False)
    group = file.require_group(path.rsplit("/", 1)[0])
    name = path.rsplit("/", 1)[1].encode()
    dataset = h5py.h5d.create(group.id, name, kind, h5py.h5s.create_simple(stored.shape), properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, stored, kind)
    attributes = h5py.Dataset(dataset).attrs
    attributes["dims"] = dims
    attributes["dtype_logical"] = dtype
    attributes["rounding"] = "none" if dtype == "f32" else "rne"
    attributes["sha256"] = hashlib.sha256(stored.tobytes()).hexdigest()
    if dims == "out,in":
        attributes["layout"] = dims


def write_weights(file, parts, layers, dtype):
    def write(path, module, weight, bias, is_matrix=True):
        dims = "out,in" if is_matrix else "channel"
        write_tensor(file, f"{path}/{weight}", as_array(module.weight), dims, dtype)
        if module.bias is not None:
            write_tensor(file, f"{path}/{bias}", as_array(module.bias), "channel", dtype)

    for layer in layers:
        block, path = parts.blocks[layer], f"/weights/layer_{layer:02}"
        for letter, module in (("q", block.query), ("k", block.key), ("v", block.value), ("o", block.output)):
            write(f"{path}/attn", module, "w" + letter, "b" + letter)
        write(f"{path}/attn_norm", block.attention_norm, "gain", "bias", is_matrix=False)
        write(f"{path}/mlp_norm", block.mlp_norm, "gain", "bias", is_matrix=False)
        write(f"{path}/mlp", block.fc1, "w1", "b1")
        write(f"{path}/mlp", block.fc2, "w2", "b2")
    write("/weights/end", parts.end, "gain", "bias", is_matrix=False)


def row_statistics(query, key, heads):
    """Largest and log-sum-exp of each row of the scaled scores: two arrays [head, time]."""
    largest, log_sum_exp = [], []
    for head in range(heads):
        columns = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        scores = (query[:, columns] * HEAD_WIDTH**-0.5) @ key[:, columns].T
        largest.append(scores.max(dim=1).values)
        log_sum_exp.append(torch.logsumexp(scores, dim=1))
    return torch.stack(largest), torch.stack(log_sum_exp)


class ClipRecorder:
    """Writes what the modules of an encoder read and yield, while it runs on one clip."""

    def __init__(self, file, clip, parts, layers, dtype, with_mlp):
        self.file, self.dtype = file, dtype
        self.path = f"/clips/{clip}/encoder"
        self.hooks = []
        self.pending = {}
        self.on_input(parts.blocks[0].block, lambda x: self.write("embed", x))
        self.on_output(parts.end, lambda x: self.write("out", x))
        for layer in layers:
            self.hook_layer(parts.blocks[layer], f"layer_{layer:02}", with_mlp)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def hook_layer(self, block, layer, with_mlp):
        def keep(name):
            def hook(x):
                self.pending[name] = x.detach().clone()
                self.write(f"{layer}/attn/{name}", x)

            return hook

        def write(name):
            return lambda x: self.write(f"{layer}/{name}", x)

        self.on_output(block.attention_norm, write("attn/x"))
        # The query before its scale: transformers scales what its projection yields.
        self.on_output(block.query, keep("q"))
        self.on_output(block.key, keep("k"))
        self.on_output(block.value, write("attn/v"))
        self.on_input(block.output, write("attn/ctx"))
        self.on_output(block.output, write("attn/y"))
        self.on_output(block.output, lambda _: self.write_statistics(layer, block.heads))
        if with_mlp:
            self.on_input(block.mlp_norm, write("attn_resid"))
            self.on_output(block.mlp_norm, write("mlp/x"))
            self.on_input(block.fc2, write("mlp/h"))
            self.on_output(block.fc2, write("mlp/y"))
        self.on_output(block.block, write("resid_out"))

    def on_output(self, module, action):
        def hook(_module, _inputs, output):
            action(output[0] if isinstance(output, tuple) else output)

        self.hooks.append(module.register_forward_hook(hook))

    def on_input(self, module, action):
        self.hooks.append(module.register_forward_pre_hook(lambda _module, inputs: action(inputs[0])))

    def write(self, name, tensor):
        rows = tensor.detach().reshape(-1, tensor.shape[-1])
        write_tensor(self.file, f"{self.path}/{name}", as_array(rows), "time,channel", self.dtype)

    def write_statistics(self, layer, heads):
        query, key = (self.pending.pop(name).reshape(-1, heads * HEAD_WIDTH).float() for name in ("q", "k"))
        for name, values in zip(("row_max", "row_lse"), row_statistics(query, key, heads)):
            path = f"{self.path}/{layer}/attn/{name}"
            write_tensor(self.file, path, as_array(values), "head,time", self.dtype)


def write_root(file, encoder, parts, layers, model_id, seconds):
    heads = parts.blocks[0].heads
    attributes = {
        "schema": "npu-whisper-activations", "schema_version": [1, 0], "source": "recorded",
        "producer": "record_activations.py", "producer_version": f"torch {torch.__version__}",
        "platform": platform.machine(), "model_id": model_id, "model_sha256": identity(encoder),
        "n_ctx": parts.positions, "n_mels": parts.conv1.in_channels, "n_head": heads,
        "head_dim": HEAD_WIDTH, "d_model": HEAD_WIDTH * heads, "n_layer": len(parts.blocks),
        "ln_eps": parts.end.eps, "gelu": "erf", "precision": "float32", "audio_seconds": seconds,
    }
    file.attrs.update(attributes)
    if len(layers) != len(parts.blocks):
        file.attrs["layers"] = layers


def record_clip(file, encoder, parts, clip, samples, valid, path, options):
    """Runs the encoder over one window and writes all there is to the clip but its layers' weights."""
    mel = log_mel(samples, parts.conv1.in_channels)
    with ClipRecorder(file, clip, parts, options.layers, options.dtype, options.mlp), torch.no_grad():
        encoder(torch.from_numpy(mel)[None])
    write_tensor(file, f"/clips/{clip}/audio", samples, "sample")
    write_tensor(file, f"/clips/{clip}/mel", mel, "mel,frame")
    attributes = file[f"/clips/{clip}"].attrs
    attributes["audio_seconds"] = valid / SAMPLE_RATE
    attributes["valid_frames"] = min(parts.positions, math.ceil(valid / (2 * HOP_SAMPLES)))
    attributes["audio_sha256"] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    attributes["audio_origin"] = pathlib.Path(path).name
    return valid / SAMPLE_RATE


def record(encoder, model_id, options):
    """Records `encoder` over options.audio into options.out, whole or not at all."""
    encoder = encoder.float().eval()
    parts = parts_of(encoder)
    out = pathlib.Path(options.out)
    partial = out.with_name(out.name + ".partial")
    options.layers = parse_layers(options.layers, len(parts.blocks))
    seconds = 0.0
    try:
        with h5py.File(partial, "w", libver=("earliest", "v110")) as file:
            for path in options.audio:
                for clip, samples, valid in windows(path, 2 * HOP_SAMPLES * parts.positions):
                    if f"/clips/{clip}" in file:
                        raise Refusal(f"{path}: a clip {clip} is there already; rename one of the files")
                    seconds += record_clip(file, encoder, parts, clip, samples, valid, path, options)
            write_weights(file, parts, options.layers, options.dtype)
            write_root(file, encoder, parts, options.layers, model_id, seconds)
            file.flush()
            file.attrs["complete"] = 1  # last: a file without it is refused
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)


def parse_layers(text, count):
    if text == "all":
        return list(range(count))
    layers = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= count:
            valid = f"all, numbers and ranges in 0-{count - 1}"
            raise Refusal(f"--layers {text}: {part} is no layer; valid: {valid}")
        layers.update(range(first, last + 1))
    return sorted(layers)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="name or path, e.g. base or openai/whisper-base")
    parser.add_argument("--audio", required=True, nargs="+", help="WAV files, 16 kHz, 16 bit")
    parser.add_argument("--out", required=True, help="the recording, HDF5")
    parser.add_argument("--layers", default="all", help="all, or numbers and ranges such as 0-2,5")
    parser.add_argument("--dtype", default="f32", choices=("f32", "bf16"), help="of activations and weights")
    parser.add_argument("--mlp", action="store_true", help="record what the MLP reads and yields, too")
    parser.add_argument("--threads", type=int, default=1, help="fixed, so that results repeat")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    try:
        record(load_encoder(options.model), options.model, options)
    except (Refusal, OSError, ImportError) as error:
        print(f"record_activations.py: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
