// What a run over a whole encoder found: times of every step, of every placement, and how far the candidate
// drifts from the golden. Plain values, part of the run record.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "harness/certificate.hpp"
#include "harness/drift.hpp"
#include "harness/gate.hpp"

namespace harness {

// A duration with its origin. Measured: all samples, and how they give one number.
struct Duration {
    double seconds = 0;
    datasets::Clock clock = datasets::Clock::none;
    std::vector<double> samples_seconds;
    std::string_view statistic = "median";
};

// Processing time against audio: RTF = processing / audio (lower is better), RTFx = audio / processing.
struct RealTime {
    Duration processing;
    double rtf = 0;
    double rtfx = 0;
};

RealTime real_time(Duration processing, double audio_seconds);

// Where in the encoder a tensor belongs.
enum class Piece : std::uint8_t { stem, layer, end };
struct Stage {
    Piece piece{};
    int layer = -1;  // of Piece::layer

    auto operator<=>(const Stage&) const = default;
};

// "stem", "layer 3", "end"
std::string name(Stage stage);

// After one piece. Isolated: the piece alone read the golden's stream. Chained: the candidate's own, from the
// beginning.
struct DriftPoint {
    Stage stage;
    Deviation isolated;
    Deviation chained;
};

// One step of the golden walk.
struct StageTime {
    Stage stage;
    datasets::OpRange ops{};
    Duration cpu;
};

// One step that a placement puts on the NPU, of one piece.
struct NpuStageTime {
    Stage stage;
    datasets::OpRange ops{};
    Duration npu;
    std::int64_t launches = 0;  // planned
};

// One piece of the encoder under a placement: what stays on the CPU, and what goes.
struct PieceTime {
    Stage stage;
    Duration cpu;
    Duration npu;
    Duration total;
};

// One op, or step of several, over all layers.
struct OpTime {
    datasets::OpRange ops{};
    Duration cpu;
    std::optional<Duration> npu;  // where a placement could put it there
    std::int64_t launches = 0;    // planned
};

// The encoder with some of its ops on the NPU.
struct PlacementTime {
    std::string placement;  // "cpu": nothing
    Duration mel;
    Duration cpu;  // what stays on the CPU beside mel, and what passes between the steps
    Duration npu;
    std::int64_t launches = 0;  // planned, whole encoder
    std::vector<NpuStageTime> steps;
    std::vector<PieceTime> pieces;
    RealTime window;  // mel and encoder against the window that they processed
    RealTime audio;   // the same against the audio in it
};

// The whole encoder over one clip.
struct EncoderRow {
    std::string clip;
    std::string audio_sha256;  // of the file, or of the generator's samples
    std::string audio_origin;
    double audio_seconds = 0;
    double window_seconds = 0;
    std::int64_t context = 0;
    int heads = 0;
    int layers = 0;
    Duration mel;
    std::optional<Duration> cold;  // of this process's first clip: the first mel and walk of the golden
    Duration warm;     // later ones: wall time from mel spectrogram to encoder output, the median walk
    Duration between;  // of the median walk, outside its steps
    std::vector<StageTime> stages;  // of the median walk: they and `between` add up to `warm`
    std::vector<OpTime> ops;
    std::vector<PlacementTime> placements;
    std::string placement;  // that the candidate computed
    std::vector<DriftPoint> drift;
    std::map<Stage, Certificate> certificates;  // of the golden: sampled rows against the fp64 oracle
    std::int64_t launches = 0;                  // counted by the device over the chained walk
    std::int64_t launches_planned = 0;
    Judgement judgement;
    std::string reproduce;  // command that runs this clip's audio; empty unless failed
};

}  // namespace harness
