#!/usr/bin/python3
"""Times the golden attention against numpy and PyTorch, and against its own bare matrix products, in one run.

    reference/peer_bench.py BENCH [--contexts 1500 3001] [--rounds 9]

BENCH is the built `bench` executable. One layer of Whisper base (width 512, 8 heads), float32, the same
work for all: four projections, scaled scores, softmax, context. Each round runs every contestant once,
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
PEERS = ("numpy row blocks", "numpy whole heads", "torch")


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


def serve(peer, context):
    """Runs once per line of input and answers with the milliseconds."""
    if peer == "torch":
        run = torch_attention(context)
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


def compare(bench, context, rounds):
    golden, blocks = f"golden/{context}", [f"bare_sgemm/{context}/{block}" for block in ROW_BLOCKS]
    first = run_bench(bench, f"^{golden}/")[golden]
    core_type = first["label"]
    peers = {peer: Peer(peer, context, core_type) for peer in PEERS}
    times = {name: [] for name in (golden, *blocks, *PEERS)}
    cpu_times = {name: [] for name in (golden, *blocks)}
    for _ in range(rounds):
        for pattern in (f"^{golden}/", f"^bare_sgemm/{context}/"):
            for name, entry in run_bench(bench, pattern).items():
                times[name].append(entry["real_time"])
                cpu_times[name].append(entry["cpu_time"])
        for name, peer in peers.items():
            times[name].append(peer.milliseconds())
    for peer in peers.values():
        peer.close()
    print(f"\ncontext {context}, BLAS kernels {core_type}, {os.cpu_count()} CPUs, {rounds} rounds; "
          f"golden peak memory {first['peak_process_mb']:.0f} MB")
    for name, values in times.items():
        cpu = f"   CPU time {statistics.median(cpu_times[name]):8.1f} ms" if name in cpu_times else ""
        print(f"  {name:20} median {statistics.median(values):8.1f} ms   least {min(values):8.1f} ms{cpu}")
    # The fastest schedule is what golden is slowest against. Picked per round it would be the luckiest.
    for name, measured in (("golden / fastest bare sgemm", times), ("  the same in CPU time", cpu_times)):
        report(name, max((ratios(measured, golden, block) for block in blocks), key=statistics.median))
    for peer in PEERS:
        report(f"{peer} / golden", ratios(times, peer, golden))


def ratios(times, above, below):
    return [a / b for a, b in zip(times[above], times[below])]


def report(name, values):
    print(f"  {name:32} {statistics.median(values):6.2f} x   ({min(values):.2f} .. {max(values):.2f})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", nargs="?", help="the built bench executable")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1500, 3001])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.contexts[0])
        return
    if not arguments.bench:
        parser.error("the bench executable is missing")
    for context in arguments.contexts:
        compare(arguments.bench, context, arguments.rounds)


if __name__ == "__main__":
    main()
