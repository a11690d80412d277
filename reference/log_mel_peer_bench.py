#!/usr/bin/python3
"""Times the log-mel spectrogram of 30 s against numpy and, where it is installed, PyTorch, in one run.

    reference/log_mel_peer_bench.py BENCH [--rounds 9]

BENCH is the built `bench` executable. The peers do what openai/whisper does, in float32 (numpy's transform is
float64 always): strided frames, window, real transform, power, filterbank as a matrix product, logarithm
and clamp. Each round runs every contestant once, one after the other; the ratios are taken within a round,
and their median is printed: of wall time, which a busy machine stretches, and of the CPU time of all threads.
"""

import argparse
import statistics
import time

import numpy as np

from peer_bench import ratios, report, run_bench

SAMPLES, WINDOW, HOP, MELS = 480000, 400, 160, 80


def filterbank():
    """Of the right shape and with about as many weights as the real one: the time does not depend on them."""
    bank = np.zeros((MELS, WINDOW // 2 + 1), np.float32)
    for mel in range(MELS):
        bank[mel, 2 * mel : 2 * mel + 5] = 0.02
    return bank


def numpy_mel():
    audio = np.random.default_rng(1).uniform(-0.5, 0.5, SAMPLES).astype(np.float32)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    bank = filterbank()

    def run():
        padded = np.pad(audio, WINDOW // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
        power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
        mel = np.log10(np.maximum(bank @ power.T.astype(np.float32), 1e-10))
        return (np.maximum(mel, mel.max() - 8) + 4) / 4

    return run


def torch_mel():
    import torch

    audio = torch.rand(SAMPLES) - 0.5
    window, bank = torch.hann_window(WINDOW), torch.from_numpy(filterbank())

    def run():
        spectrum = torch.stft(audio, WINDOW, HOP, window=window, return_complex=True)
        mel = (bank @ (spectrum[..., :-1].abs() ** 2)).clamp(min=1e-10).log10()
        return (torch.maximum(mel, mel.max() - 8) + 4) / 4

    return run


def milliseconds(run):
    """Wall and CPU time, the best of three; then a pause: idle threads of a peer spin before they sleep."""
    wall, cpu = [], []
    for _ in range(3):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        run()
        wall.append(1e3 * (time.perf_counter() - wall_start))
        cpu.append(1e3 * (time.process_time() - cpu_start))
    time.sleep(0.2)
    return min(wall), min(cpu)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", help="the built bench executable")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    ours = f"log_mel/{MELS}"
    peers = {"numpy": numpy_mel()}
    try:
        peers["torch"] = torch_mel()
    except ImportError:
        print("PyTorch is not installed: it is left out")
    wall, cpu = ({name: [] for name in (ours, *peers)} for _ in range(2))
    for _ in range(arguments.rounds):
        entry = run_bench(arguments.bench, f"^{ours}/")[ours]
        measured = {ours: (entry["real_time"], entry["cpu_time"])}
        measured |= {name: milliseconds(run) for name, run in peers.items()}
        for name, (wall_time, cpu_time) in measured.items():
            wall[name].append(wall_time)
            cpu[name].append(cpu_time)
    for name in wall:
        median, cpu_median = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"  {name:20} median {median:8.1f} ms   least {min(wall[name]):8.1f} ms   "
              f"CPU time {cpu_median:8.1f} ms")
    for name in peers:
        report(f"{name} / {ours}", ratios(wall, name, ours))
        report("  the same in CPU time", ratios(cpu, name, ours))


if __name__ == "__main__":
    main()
