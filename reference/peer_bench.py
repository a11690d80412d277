#!/usr/bin/python3
"""Times the golden path against numpy and PyTorch, and against its own bare matrix products, in one run.

    reference/peer_bench.py BENCH [--piece attention] [--contexts 1500 3001] [--rounds 9]
    reference/peer_bench.py BENCH --piece encoder --contexts 1500

BENCH is the built `bench` executable. `attention` is that of one layer of Whisper base (width 512, 8
heads), float32, the same work for all: four projections, scaled scores, softmax, context. `encoder` is all
of Whisper base, from 80 mels to the last norm, with exact GELU; PyTorch runs it once with matrix products
and softmax, and once with the attention function that it offers. Each round runs every contestant once,
one after the other, so that a busy machine disturbs all of them alike; the ratios are taken within a
round, and their median is printed.

numpy and PyTorch are the distribution's, in processes of their own, with as many threads as there are
CPUs. They use the same OpenBLAS, and are given the same kernels as the golden path (OPENBLAS_CORETYPE):
left to itself, a library older than the CPU may choose far slower ones, and the comparison would flatter
us.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

WIDTH, HEADS = 512, 8
HEAD_WIDTH = WIDTH // HEADS
ROW_BLOCKS = (64, 128, 192, 256, 384, 512)
MELS, LAYERS = 80, 6
PEERS = {
    "attention": ("numpy row blocks", "numpy whole heads", "torch"),
    "encoder": ("torch matmul", "torch fused"),
}
BENCHES = {"attention": ("golden", "bare_sgemm"), "encoder": ("encoder", "bare_encoder_sgemm")}


def numpy_attention(context, row_block):
    import numpy as np

    random = np.random.default_rng(1)
    normal = lambda *shape: random.standard_normal(shape, dtype=np.float32)
    x, weights, bias = normal(context, WIDTH), [normal(WIDTH, WIDTH) * 0.06 for _ in range(4)], normal(WIDTH)
    query_weight, key_weight, value_weight, output_weight = (np.ascontiguousarray(w.T) for w in weights)

    def run():
        query = (x @ query_weight + bias) * np.float32(0.125)
        key = x @ key_weight
        value = x @ value_weight + bias
        result = np.empty((context, WIDTH), np.float32)
        for head in range(0, WIDTH, HEAD_WIDTH):
            part = slice(head, head + HEAD_WIDTH)
            for begin in range(0, context, row_block):
                rows = slice(begin, begin + row_block)
                scores = query[rows, part] @ key[:, part].T
                scores -= scores.max(axis=1, keepdims=True)
                np.exp(scores, out=scores)
                sums = scores.sum(axis=1, keepdims=True)
                np.divide(scores @ value[:, part], sums, out=result[rows, part])
        return result @ output_weight + bias

    return run


def torch_attention(context):
    import torch

    torch.manual_seed(1)
    attention = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    x = torch.randn(1, context, WIDTH)

    def run():
        with torch.no_grad():
            return attention(x, x, x, need_weights=False)

    return run


def torch_encoder(context, fused):
    """The published encoder: two convolutions, positions, pre-norm blocks, a last norm."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(1)

    def attend(query, key, value):
        if fused:
            # Public since PyTorch 2.0, where it returns the context alone.
            attention = getattr(functional, "scaled_dot_product_attention", None)
            if attention is not None:
                return attention(query, key, value)
            return functional._scaled_dot_product_attention(query, key, value)[0]
        scores = (query * HEAD_WIDTH**-0.5) @ key.transpose(-1, -2)
        return torch.softmax(scores, dim=-1) @ value

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention_norm, self.mlp_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.query, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.key = nn.Linear(WIDTH, WIDTH, bias=False)
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x):
            normal = self.attention_norm(x)
            heads = [
                projection(normal).view(1, -1, HEADS, HEAD_WIDTH).transpose(1, 2)
                for projection in (self.query, self.key, self.value)
            ]
            x = x + self.out(attend(*heads).transpose(1, 2).reshape(1, -1, WIDTH))
            return x + self.mlp(self.mlp_norm(x))

    class Encoder(nn.Module):
        def __init__(self, stride):
            super().__init__()
            self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
            self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, stride=stride)
            self.positions = torch.randn(context, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
            self.norm = nn.LayerNorm(WIDTH)

        def forward(self, mel):
            x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel))))
            return self.norm(self.blocks(x.transpose(1, 2) + self.positions))

    stride = 2 if context == 1500 else 1
    encoder = Encoder(stride).eval()
    mel = torch.randn(1, MELS, stride * context)

    def run():
        with torch.no_grad():
            result = encoder(mel)
        assert result.shape == (1, context, WIDTH)
        return result

    return run


def serve(peer, context):
    """Runs once per line of input and answers with the milliseconds."""
    if peer == "torch":
        run = torch_attention(context)
    elif peer.startswith("torch"):
        run = torch_encoder(context, fused=peer == "torch fused")
    else:
        run = numpy_attention(context, 192 if peer == "numpy row blocks" else context)
    for _ in range(2):
        run()
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(1e3 * (time.perf_counter() - start), flush=True)


class Peer:
    def __init__(self, peer, context, core_type):
        environment = dict(os.environ, OPENBLAS_CORETYPE=core_type)
        command = [sys.executable, os.path.abspath(__file__), "--serve", peer, "--contexts", str(context)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def milliseconds(self):
        # The best of three: a peer's own threads need a run to wake up.
        best = float("inf")
        for _ in range(3):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            best = min(best, float(self.process.stdout.readline()))
        # Its idle threads spin for a while before they sleep.
        time.sleep(0.2)
        return best

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run_bench(bench, pattern):
    """Name -> the fastest of three repetitions, as the bench reports it."""
    command = [bench, f"--benchmark_filter={pattern}", "--benchmark_format=json", "--benchmark_repetitions=3",
               "--benchmark_min_time=0.02"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    best = {}
    for entry in json.loads(output)["benchmarks"]:
        if entry["run_type"] == "iteration":
            name = entry["run_name"].split("/process_time")[0]
            if name not in best or entry["real_time"] < best[name]["real_time"]:
                best[name] = entry
    return best


def compare(bench, piece, context, rounds):
    path, bare = BENCHES[piece]
    golden, blocks = f"{path}/{context}", [f"{bare}/{context}/{block}" for block in ROW_BLOCKS]
    first = run_bench(bench, f"^{golden}/")[golden]
    core_type = first["label"]
    peers = {peer: Peer(peer, context, core_type) for peer in PEERS[piece]}
    times = {name: [] for name in (golden, *blocks, *peers)}
    cpu_times = {name: [] for name in (golden, *blocks)}
    for _ in range(rounds):
        for pattern in (f"^{golden}/", f"^{bare}/{context}/"):
            for name, entry in run_bench(bench, pattern).items():
                times[name].append(entry["real_time"])
                cpu_times[name].append(entry["cpu_time"])
        for name, peer in peers.items():
            times[name].append(peer.milliseconds())
    for peer in peers.values():
        peer.close()
    print(f"\n{piece}, context {context}, BLAS kernels {core_type}, {os.cpu_count()} CPUs, {rounds} rounds; "
          f"golden peak memory {first['peak_process_mb']:.0f} MB")
    for name, values in times.items():
        cpu = f"   CPU time {statistics.median(cpu_times[name]):8.1f} ms" if name in cpu_times else ""
        print(f"  {name:20} median {statistics.median(values):8.1f} ms   least {min(values):8.1f} ms{cpu}")
    # The fastest schedule is what golden is slowest against. Picked per round it would be the luckiest.
    for name, measured in ((f"{path} / fastest bare sgemm", times), ("  the same in CPU time", cpu_times)):
        report(name, max((ratios(measured, golden, block) for block in blocks), key=statistics.median))
    for peer in peers:
        report(f"{peer} / {path}", ratios(times, peer, golden))


def ratios(times, above, below):
    return [a / b for a, b in zip(times[above], times[below])]


def report(name, values):
    print(f"  {name:32} {statistics.median(values):6.2f} x   ({min(values):.2f} .. {max(values):.2f})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", nargs="?", help="the built bench executable")
    parser.add_argument("--piece", choices=PEERS, default="attention")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1500, 3001])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.contexts[0])
        return
    if not arguments.bench:
        parser.error("the bench executable is missing")
    for context in arguments.contexts:
        compare(arguments.bench, arguments.piece, context, arguments.rounds)


if __name__ == "__main__":
    main()
