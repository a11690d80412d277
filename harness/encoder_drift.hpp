// Golden and candidate side by side through the layers and the end of an encoder, one layer's activations in
// memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/encoder_record.hpp"
#include "harness/encoder_run.hpp"
#include "harness/experiment.hpp"

namespace harness {

struct EncoderDrift {
    std::vector<DriftPoint> points;  // the layers, then the end
    std::int64_t launches = 0;       // of the candidate's chained walk, counted by the device
    std::int64_t launches_planned = 0;
    std::string fault;  // of either walk of the candidate: the first step whose launches were not its plan's
};

// `golden` stands at an embedding. The candidate takes every piece twice: from the golden's stream (isolated)
// and from its own (chained). Reports progress once a piece. Where a walk throws, what came before is in
// `into`.
void walk_beside(EncoderWalk& golden, EncoderWalk& candidate, const EncoderPieces& pieces,
                 const Progress& progress, EncoderDrift& into);

}  // namespace harness
