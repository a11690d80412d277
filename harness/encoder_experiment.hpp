// The whole encoder over one clip: the golden timed, the candidate placed on the NPU and walked beside it,
// layer by layer. `run_encoder` is the whole flow.
#pragma once

#include <span>
#include <string>

#include "datasets/path.hpp"
#include "harness/encoder_run.hpp"
#include "harness/experiment.hpp"

namespace harness {

// What the encoder hears of one clip.
struct EncoderClip {
    std::string id;
    std::string audio_sha256;
    std::string audio_origin;
    double audio_seconds = 0;
    double window_seconds = 0;       // that the context stands for
    std::span<const float> samples;  // padded to 30 s, 16 kHz
};

struct EncoderSelection {
    std::string placement = "attention";
    int repetitions = 3;         // timed walks of the golden behind the first
    bool cold = true;            // nothing has run in this process yet
    std::uint64_t row_seed = 1;  // of the rows that certify the golden
};

// Number of times `run_encoder` reports progress.
int encoder_stages(int layers);

// Times mel and golden, certifies the golden of every piece against the oracle, asks `npu` for the modelled
// time of every placement, and walks the selected placement beside the golden: each layer on the golden's
// stream (isolated) and on its own (chained). `pieces` has a stem. A device that fails on the walk ends it:
// the row is not_run, with the times and the drift that there are.
EncoderRow run_encoder(const EncoderPieces& pieces, const EncoderClip& clip, datasets::Path& golden,
                       datasets::Path& npu, const EncoderSelection& selection, const Progress& progress);

}  // namespace harness
