// What the design note that this project grew from published, in seconds.
//
// Source: Unicorn-Commander/Unicorn-Amanuensis, PHASE2_ATTENTION_OPTIMIZATION_PLAN.md of 2025-11-21: an
// encoder of base size, T = 3001, numpy on a Ryzen 9 8945HS, 5 s of audio.
#pragma once

#include "datasets/op.hpp"

namespace harness::note {

inline constexpr double projections = 0.180;
inline constexpr double scores_and_softmax = 0.120;
inline constexpr double context = 0.120;
inline constexpr double output = 0.029;
inline constexpr double attention = 0.449;
inline constexpr double layer = 0.791;
inline constexpr double encoder = 5.990;
inline constexpr double total = 6.670;
inline constexpr double attention_target = 0.225;
inline constexpr double target_total = 4.770;
inline constexpr double audio = 5.0;
inline constexpr double window = 30.0;
inline constexpr int layers = 6;
inline constexpr datasets::LayerShape shape{3001, 8};

}  // namespace harness::note
