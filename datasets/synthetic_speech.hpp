// A clip that sounds like speech to a spectrogram, made in code: for everybody who has no audio at hand.
#pragma once

#include <cstdint>

#include "datasets/audio.hpp"

namespace datasets {

// Sounds of 60 to 220 ms, each voiced (glottal pulses of moving pitch, 80 to 320 Hz, through three moving
// formants), unvoiced (noise through one wide resonance) or a pause with faint noise; the last 5% of the
// clip, at most 0.5 s, are digital silence. Level -20 dBFS rms, or less where a peak would pass 0.95;
// samples are multiples of 2^-15, so that 16-bit PCM holds them exactly. Same bits on every machine and
// with every compiler. It has no words and is no measure of accuracy. Throws std::invalid_argument for a
// length outside of (0, 6 h].
AudioClip synthetic_speech(double seconds, std::uint64_t seed);

}  // namespace datasets
