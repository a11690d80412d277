#!/usr/bin/env python3
"""record_activations.py on small stand-ins for the encoders of openai/whisper and transformers.

    record_activations_test.py HARNESS

The stand-ins have the module names, call signatures and order of operations of the published ones; no package
beside torch, numpy and h5py is needed. The recordings are checked against fp64 in plain numpy, read by the
harness, and its golden is compared with them.
"""

import hashlib
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import wave

import h5py
import numpy
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import log_mel  # noqa: E402
import record_activations as recorder  # noqa: E402

MELS, POSITIONS, HEADS, LAYERS = 80, 70, 2, 3
WIDTH = 64 * HEADS
RELATIVE = 1e-5


def sinusoids(length, channels):
    scale = torch.exp(-math.log(10000) / (channels // 2 - 1) * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * scale[None]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


class OpenaiAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.n_head = HEADS
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, xa=None, mask=None, kv_cache=None):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scale = 64**-0.25
        q = q.view(*q.shape[:2], HEADS, -1).permute(0, 2, 1, 3)
        k = k.view(*k.shape[:2], HEADS, -1).permute(0, 2, 1, 3)
        v = v.view(*v.shape[:2], HEADS, -1).permute(0, 2, 1, 3)
        qk = ((q * scale) @ (k * scale).transpose(-1, -2)).float()
        w = torch.softmax(qk, dim=-1).to(q.dtype)
        return self.out((w @ v).permute(0, 2, 1, 3).flatten(start_dim=2)), qk.detach()


class OpenaiBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = OpenaiAttention()
        self.attn_ln = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.mlp_ln = nn.LayerNorm(WIDTH)

    def forward(self, x, xa=None, mask=None, kv_cache=None):
        x = x + self.attn(self.attn_ln(x), mask=mask, kv_cache=kv_cache)[0]
        return x + self.mlp(self.mlp_ln(x))


class OpenaiEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(POSITIONS, WIDTH))
        self.blocks = nn.ModuleList(OpenaiBlock() for _ in range(LAYERS))
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, x):
        x = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(x)))).permute(0, 2, 1)
        x = x + self.positional_embedding
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x)


class TransformersAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.num_heads, self.scaling = HEADS, 64**-0.5
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden_states, attention_mask=None, layer_head_mask=None, output_attentions=False):
        def heads(tensor):
            return tensor.view(*tensor.shape[:2], HEADS, 64).transpose(1, 2).contiguous()

        q = heads(self.q_proj(hidden_states) * self.scaling)
        k, v = heads(self.k_proj(hidden_states)), heads(self.v_proj(hidden_states))
        weights = nn.functional.softmax(torch.matmul(q, k.transpose(2, 3)), dim=-1)
        output = torch.matmul(weights, v).transpose(1, 2).reshape(hidden_states.shape)
        return self.out_proj(output), weights


class TransformersLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = TransformersAttention()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.activation_fn = nn.GELU()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, hidden_states, attention_mask=None, layer_head_mask=None, output_attentions=False):
        residual = hidden_states
        hidden_states, _ = self.self_attn(hidden_states=self.self_attn_layer_norm(hidden_states))
        hidden_states = residual + hidden_states
        residual = hidden_states
        hidden_states = self.fc2(self.activation_fn(self.fc1(self.final_layer_norm(hidden_states))))
        return (residual + hidden_states,)


class TransformersEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(POSITIONS, WIDTH)
        self.layers = nn.ModuleList(TransformersLayer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, input_features, attention_mask=None):
        hidden = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(input_features))))
        hidden = hidden.permute(0, 2, 1) + self.embed_positions.weight
        for layer in self.layers:
            hidden = layer(hidden, None, layer_head_mask=None)[0]
        return self.layer_norm(hidden)


# Names of transformers -> names of openai/whisper.
RENAMED = [
    ("layers.", "blocks."), ("self_attn_layer_norm", "attn_ln"), ("final_layer_norm", "mlp_ln"),
    ("self_attn.q_proj", "attn.query"), ("self_attn.k_proj", "attn.key"), ("self_attn.v_proj", "attn.value"),
    ("self_attn.out_proj", "attn.out"), ("fc1", "mlp.0"), ("fc2", "mlp.2"), ("layer_norm", "ln_post"),
    ("embed_positions.weight", "positional_embedding"),
]


def openai_encoder():
    """Weights that make logits of some size and norms that are not trivial."""
    torch.manual_seed(1)
    encoder = OpenaiEncoder()
    with torch.no_grad():
        for name, tensor in encoder.named_parameters():
            if name.endswith(("query.weight", "key.weight")):
                tensor.mul_(3)
            if "ln" in name:
                tensor.add_(0.2 * torch.randn_like(tensor))
    return encoder


def transformers_encoder():
    """The same encoder in the other layout."""
    encoder = TransformersEncoder()
    theirs = openai_encoder().state_dict()
    ours = {}
    for name in encoder.state_dict():
        renamed = name
        for one, other in RENAMED:
            renamed = renamed.replace(one, other)
        ours[name] = theirs[renamed]
    encoder.load_state_dict(ours)
    return encoder


def write_wav(path, samples, rate=16000):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def bf16_of(bits):
    return (bits.astype("<u4") << 16).view("<f4")


def relative(got, expected):
    return numpy.linalg.norm(got - expected) / numpy.linalg.norm(expected)


class Recorded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        torch.set_num_threads(1)
        time = numpy.arange(3 * 160 * POSITIONS) / 16000  # one and a half windows
        speech = 9000 * numpy.sin(2 * numpy.pi * (200 + 900 * time) * time) * (1 + numpy.sin(40 * time))
        write_wav(cls.root / "speech.wav", speech)
        cls.made = {}
        for layout, encoder in (("openai", openai_encoder), ("transformers", transformers_encoder)):
            cls.made[layout] = cls.record(encoder(), f"{layout}.h5")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def record(cls, encoder, name, **changes):
        options = {"audio": [cls.root / "speech.wav"], "out": cls.root / name, "layers": "all",
                   "dtype": "f32", "mlp": True}
        recorder.record(encoder, "stand-in", types.SimpleNamespace(**(options | changes)))
        return cls.root / name

    def test_every_tensor_is_what_the_weights_give(self):
        for layout, path in self.made.items():
            with self.subTest(layout), h5py.File(path) as file:
                self.assertEqual(sorted(file["clips"]), ["speech-000", "speech-001"])
                for clip in file["clips"].values():
                    for layer in range(LAYERS):
                        self.check_layer(file[f"weights/layer_{layer:02}"], clip["encoder"], layer)
                    last = clip[f"encoder/layer_{LAYERS - 1:02}/resid_out"][...]
                    end = self.norm(last, file["weights/end"])
                    self.assertLess(relative(clip["encoder/out"][...], end), RELATIVE)

    def norm(self, x, weights):
        x = x.astype("f8")
        x = (x - x.mean(1, keepdims=True)) / numpy.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * weights["gain"][...] + weights["bias"][...]

    def check_layer(self, weights, encoder, layer):
        recorded = encoder[f"layer_{layer:02}"]
        stream = encoder["embed"] if layer == 0 else encoder[f"layer_{layer - 1:02}/resid_out"]
        attention = {name: value[...].astype("f8") for name, value in weights["attn"].items()}
        x = self.norm(stream[...], weights["attn_norm"])
        expected = {"attn/x": x}
        for name in "qkv":
            expected[f"attn/{name}"] = x @ attention[f"w{name}"].T + attention.get(f"b{name}", 0)
        context, largest, log_sum_exp = [], [], []
        for head in range(HEADS):
            q, k, v = (expected[f"attn/{name}"][:, 64 * head :][:, :64] for name in "qkv")
            scores = q @ k.T / 8
            largest.append(scores.max(1))
            log_sum_exp.append(largest[-1] + numpy.log(numpy.exp(scores - scores.max(1)[:, None]).sum(1)))
            context.append(numpy.exp(scores - log_sum_exp[-1][:, None]) @ v)
        expected["attn/row_max"] = numpy.array(largest)
        expected["attn/row_lse"] = numpy.array(log_sum_exp)
        expected["attn/ctx"] = numpy.concatenate(context, 1)
        expected["attn/y"] = expected["attn/ctx"] @ attention["wo"].T + attention["bo"]
        expected["attn_resid"] = stream[...] + expected["attn/y"]
        mlp = {name: value[...].astype("f8") for name, value in weights["mlp"].items()}
        expected["mlp/x"] = self.norm(expected["attn_resid"], weights["mlp_norm"])
        hidden = expected["mlp/x"] @ mlp["w1"].T + mlp["b1"]
        expected["mlp/h"] = hidden * (1 + numpy.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
        expected["mlp/y"] = expected["mlp/h"] @ mlp["w2"].T + mlp["b2"]
        expected["resid_out"] = expected["attn_resid"] + expected["mlp/y"]
        for name, values in expected.items():
            self.assertLess(relative(recorded[name][...], values), RELATIVE, (layer, name))

    def test_both_layouts_give_the_same_content(self):
        with h5py.File(self.made["openai"]) as one, h5py.File(self.made["transformers"]) as other:
            names = []
            one.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            self.assertEqual(len(names), 2 * (4 + 13 * LAYERS) + 15 * LAYERS + 2)
            for name in names:
                scale = numpy.abs(one[name][...]).max()
                numpy.testing.assert_allclose(other[name][...], one[name][...], atol=1e-5 * scale, rtol=0)

    def test_bf16_is_rounded_to_nearest_even(self):
        path = self.record(openai_encoder(), "bf16.h5", dtype="bf16")
        with h5py.File(path) as got, h5py.File(self.made["openai"]) as exact:
            for name in ("clips/speech-000/encoder/layer_01/attn/q", "weights/layer_02/mlp/w1"):
                values, wide = got[name][...].astype("f8"), exact[name][...].astype("f8")
                spacing = 2.0 ** (numpy.floor(numpy.log2(numpy.abs(wide))) - 7)
                self.assertTrue((numpy.abs(values - wide) <= spacing / 2).all(), name)
                self.assertEqual(got[name].id.get_type().get_size(), 2)
                self.assertEqual(got[name].attrs["rounding"], "rne")
            self.assertEqual(got["clips/speech-000/mel"].attrs["dtype_logical"], "f32")
        largest = float.fromhex("0x1.FEp127")
        ties = numpy.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, largest, 2**-133], dtype="<f4")
        rounded = bf16_of(recorder.round_to_bf16(ties))
        numpy.testing.assert_array_equal(
            rounded, numpy.array([1, 1 + 2**-6, -1, largest, 2**-133], dtype="<f4"))
        self.inspect(path)

    def test_layers_and_mlp_are_a_choice(self):
        path = self.record(transformers_encoder(), "subset.h5", layers="0,2", mlp=False)
        with h5py.File(path) as file:
            self.assertEqual(list(file.attrs["layers"]), [0, 2])
            encoder = file["clips/speech-000/encoder"]
            self.assertEqual(sorted(encoder), ["embed", "layer_00", "layer_02", "out"])
            self.assertEqual(sorted(encoder["layer_02"]), ["attn", "resid_out"])
        self.inspect(path)
        refused = self.harness("--compare", "--dataset", path, "--layer", "1", "--quiet")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--layer 1: the recording has no layer 1; valid: all, 0, 2", refused.stderr)

    def harness(self, *arguments):
        return subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, check=False)

    def inspect(self, path):
        result = self.harness("inspect", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("every hash and every value", result.stdout)

    def test_the_harness_reads_it_and_its_golden_agrees(self):
        for layout, path in self.made.items():
            with self.subTest(layout):
                self.inspect(path)
                report = self.root / f"{layout}.json"
                result = self.harness("--compare", "--dataset", path, "--json", report, "--quiet")
                self.assertIn(result.returncode, (0, 1), result.stderr)
                layers = json.loads(report.read_text())["layers"]
                self.assertEqual(len(layers), 2 * LAYERS)
                for layer in layers:
                    errors = found_errors(layer)
                    ops = ["attention_norm", "context", "key", "output", "query", "value"]
                    self.assertEqual(sorted(errors), ops)
                    for op, error in errors.items():
                        self.assertLess(error, RELATIVE, (layout, op))

    def test_mel_has_the_published_values(self):
        time = numpy.arange(480000) / 16000
        mel = log_mel.log_mel((0.5 * numpy.sin(2 * numpy.pi * 440 * time)).astype("f4"), 80)
        self.assertEqual(mel.shape, (80, 3000))
        for index, value in (((0, 0), 0.983279), ((10, 100), 1.348738), ((40, 500), -0.561796)):
            self.assertAlmostEqual(float(mel[index]), value, delta=1e-4)
        self.assertAlmostEqual(float(mel.mean()), -0.46758197, delta=1e-4)
        self.assertTrue((log_mel.log_mel(numpy.zeros(480000, "f4"), 80) == -1.5).all())
        impulse = numpy.zeros(480000, "f4")
        impulse[16000] = 1
        self.assertAlmostEqual(float(log_mel.log_mel(impulse, 80)[10, 100]), 0.598887, delta=1e-4)
        for mels, total, nonzero in ((80, 1.99902415, 391), (128, 3.19098544, 394)):
            filters = log_mel.mel_filters(mels)
            self.assertAlmostEqual(filters.sum(), total, delta=1e-6)
            self.assertEqual(numpy.count_nonzero(filters > 0), nonzero)

    def test_what_cannot_be_recorded_leaves_no_file(self):
        write_wav(self.root / "slow.wav", numpy.ones(100), rate=8000)
        write_wav(self.root / "empty.wav", numpy.ones(0))
        (self.root / "text.wav").write_text("not audio")
        refused = {"slow": "has 8000 Hz", "empty": "no samples", "text": "cannot read it as WAV"}
        for name, reason in refused.items():
            with self.assertRaisesRegex(log_mel.Refusal, reason):
                self.record(openai_encoder(), "refused.h5", audio=[self.root / f"{name}.wav"])
        broken = openai_encoder()
        with torch.no_grad():
            broken.blocks[1].mlp[0].bias[3] = math.nan
        with self.assertRaisesRegex(log_mel.Refusal, "layer_01/mlp/h: holds NaN"):
            self.record(broken, "refused.h5")
        with self.assertRaisesRegex(log_mel.Refusal, "--layers 3: 3 is no layer"):
            self.record(openai_encoder(), "refused.h5", layers="3")
        self.assertEqual(list(self.root.glob("refused*")), [])

    def test_hashes_are_of_the_stored_bytes(self):
        with h5py.File(self.made["openai"]) as file:
            mel = file["clips/speech-001/mel"]
            self.assertEqual(mel.attrs["sha256"], hashlib.sha256(mel[...].tobytes()).hexdigest())
            self.assertEqual(file["clips/speech-001"].attrs["valid_frames"], POSITIONS // 2)


def found_errors(layer):
    return {op: error["value"] for op, error in layer["certificate"]["golden_against_recording"].items()}


if __name__ == "__main__":
    HARNESS = sys.argv.pop(1)
    unittest.main()
