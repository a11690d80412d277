// Certifies a whole golden encoder: sampled rows of every op of every piece against the fp64 oracle.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "datasets/path.hpp"
#include "harness/certificate.hpp"
#include "harness/encoder_run.hpp"
#include "harness/experiment.hpp"

namespace harness {

// Walks stem, layers and end of `pieces` (which have a stem) over mel [frame, mels], each piece fed with the
// golden's own upstream; one layer's activations in memory. `progress` is told of every piece.
std::map<Stage, Certificate> certify_encoder(const EncoderPieces& pieces, std::span<const float> mel,
                                             datasets::Path& golden, std::uint64_t row_seed,
                                             const Progress& progress);

}  // namespace harness
