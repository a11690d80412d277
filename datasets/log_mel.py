"""Audio files and Whisper's log-mel spectrogram in numpy, for record_activations.py."""

import math
import pathlib
import re
import wave

import numpy

SAMPLE_RATE = 16000
FFT_SAMPLES = 400
HOP_SAMPLES = 160


class Refusal(Exception):
    """Why nothing is recorded, in one line."""


def read_audio(path):
    """Samples in [-1, 1) of a 16 kHz 16-bit WAV file, channels averaged."""
    try:
        with wave.open(str(path)) as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise Refusal(f"{path}: cannot read it as WAV: {error}") from error
    if rate != SAMPLE_RATE or width != 2:
        raise Refusal(f"{path}: has {rate} Hz, {8 * width} bit; convert it to 16000 Hz, 16 bit")
    samples = numpy.frombuffer(data, dtype="<i2").reshape(-1, channels)
    if len(samples) == 0:
        raise Refusal(f"{path}: holds no samples")
    return (samples.mean(axis=1) / 32768).astype(numpy.float32)


def mel_filters(mels):
    """Slaney's triangles over the 201 bins from 0 to 8000 Hz, each of unit area: [mels, bins]."""
    linear_width, log_start, log_step = 200 / 3, 1000.0, math.log(6.4) / 27

    def to_mel(hertz):
        if hertz < log_start:
            return hertz / linear_width
        return log_start / linear_width + math.log(hertz / log_start) / log_step

    def to_hertz(mel):
        start = log_start / linear_width
        return numpy.where(mel < start, mel * linear_width, log_start * numpy.exp(log_step * (mel - start)))

    edges = to_hertz(numpy.linspace(0, to_mel(SAMPLE_RATE / 2), mels + 2))
    bins = numpy.linspace(0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return numpy.maximum(0, numpy.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(samples, mels):
    """Whisper's log-mel spectrogram [mels, samples / 160] (openai/whisper, audio.py), in fp64, as fp32."""
    window = numpy.hanning(FFT_SAMPLES + 1)[:-1]
    padded = numpy.pad(samples.astype(numpy.float64), FFT_SAMPLES // 2, mode="reflect")
    frames = numpy.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    power = numpy.abs(numpy.fft.rfft(frames[: len(samples) // HOP_SAMPLES] * window)) ** 2
    logarithm = numpy.log10(numpy.maximum(mel_filters(mels) @ power.T, 1e-10))
    return ((numpy.maximum(logarithm, logarithm.max() - 8) + 4) / 4).astype(numpy.float32)


def windows(path, window_samples):
    """Clips of one audio file: id, samples padded with silence, number of samples that are not padding."""
    samples = read_audio(path)
    name = re.sub(r"[\x00-\x1f\x7f/]", "_", pathlib.Path(path).stem)
    count = math.ceil(len(samples) / window_samples)
    for index in range(count):
        piece = samples[index * window_samples :][:window_samples]
        padded = numpy.pad(piece, (0, window_samples - len(piece)))
        yield name if count == 1 else f"{name}-{index:03}", padded, len(piece)
