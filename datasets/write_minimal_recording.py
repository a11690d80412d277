#!/usr/bin/env python3
"""How any Python program makes a recording that the harness reads: `write_minimal_recording.py FILE`.

Give `write_recording` your own arrays in place of the example's. Per layer only x and the weights are
required; q, k, v, ctx, y [time, channel] and row_max, row_lse [head, time] are checked where present.
Needs numpy and h5py.
"""

import hashlib
import sys

import h5py
import numpy


def write_dataset(group, name, values, dims):
    """Stores float32 values with the checksum, labels and hash that the reader demands."""
    values = numpy.ascontiguousarray(values, dtype="<f4")
    dataset = group.create_dataset(name, data=values, chunks=values.shape, fletcher32=True)
    dataset.attrs["dims"] = dims
    dataset.attrs["dtype_logical"] = "f32"
    dataset.attrs["rounding"] = "none"
    dataset.attrs["sha256"] = hashlib.sha256(values.tobytes()).hexdigest()
    return dataset


def write_recording(path, heads, clips, weights):
    """clips: id -> (audio_seconds, [layer: {"x": ..., "q": ...}]); weights: [layer: {"wq": ..., "bq": ...}].

    x is the input of the attention, after the norm. Weights are [out, in] as in every checkpoint:
    y = x W^T + b.
    """
    with h5py.File(path, "w") as file:
        first_layers = next(iter(clips.values()))[1]
        file.attrs["schema"] = "npu-whisper-activations"
        file.attrs["schema_version"] = [1, 0]
        file.attrs["source"] = "recorded"
        file.attrs["producer"] = "write_minimal_recording.py"
        file.attrs["model_id"] = "example"
        file.attrs["n_ctx"] = len(first_layers[0]["x"])
        file.attrs["n_head"] = heads
        file.attrs["head_dim"] = 64
        file.attrs["d_model"] = 64 * heads
        file.attrs["n_layer"] = len(weights)
        for clip_id, (audio_seconds, layers) in clips.items():
            clip = file.create_group(f"clips/{clip_id}")
            clip.attrs["audio_seconds"] = audio_seconds
            clip.attrs["valid_frames"] = len(layers[0]["x"])
            for index, tensors in enumerate(layers):
                attention = clip.create_group(f"encoder/layer_{index:02}/attn")
                for name, values in tensors.items():
                    dims = "head,time" if name.startswith("row_") else "time,channel"
                    write_dataset(attention, name, values, dims)
        for index, tensors in enumerate(weights):
            attention = file.create_group(f"weights/layer_{index:02}/attn")
            for name, values in tensors.items():
                if name.startswith("w"):
                    write_dataset(attention, name, values, "out,in").attrs["layout"] = "out,in"
                else:
                    write_dataset(attention, name, values, "channel")
        file.attrs["complete"] = 1  # last: a file without it is refused


def example_tensor(shape, salt):
    """Numbers that any language reproduces: ((element index + salt) mod 17 - 8) / 16."""
    return (((numpy.arange(numpy.prod(shape)) + salt) % 17 - 8) / 16).reshape(shape)


def main():
    context, heads, layers = 65, 6, 2
    width = 64 * heads
    clips = {"example": (1.3, [{"x": example_tensor((context, width), layer)} for layer in range(layers)])}
    weights = []
    for layer in range(layers):
        tensors = {name: example_tensor((width, width), layer + 1) for name in ("wq", "wk", "wv", "wo")}
        tensors |= {name: example_tensor((width,), layer + 2) for name in ("bq", "bv", "bo")}
        weights.append(tensors)
    write_recording(sys.argv[1], heads, clips, weights)


if __name__ == "__main__":
    main()
