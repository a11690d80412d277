// The healthy envelope of every limit of the gate: the worst that healthy runs reach, over recordings and
// designs, and what follows for the limit.
//
// Figures of what broke an exact or a derived limit are those of no healthy run: they are left out of every
// other envelope, and the break is told. So is a case whose golden is not certified.
//
// With held-out recordings the envelope is fitted on the others, and holds where the held-out ones stay
// within what would be proposed, 3 dB beyond the fit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/recording.hpp"
#include "harness/encoder_drift.hpp"
#include "harness/experiment.hpp"
#include "harness/gate.hpp"

namespace harness {

enum class CalibrationPart : std::uint8_t { fitted, held_out };

// Where a figure was measured.
struct MeasuredAt {
    CalibrationPart part{};
    std::string recording;  // file
    std::string design;
    std::string place{};  // e.g. "clip, layer 3, context (chained)"
};

// What healthy runs reach of one limit, on one part of the recordings.
struct HealthyEnvelope {
    std::int64_t figures = 0;
    std::int64_t beyond = 0;  // of them beyond the limit
    Headroom worst;           // the least room; meaningless where there are no figures
    MeasuredAt at;            // where that was
};

enum class LimitMark : std::uint8_t {
    not_measured,
    holds,        // exact, derived: nothing was beyond it
    broken,       // exact, derived: something was, so that this was no healthy run
    met,          // criterion
    missed,       // criterion
    keeps_room,   // envelope: 3 dB at least
    report_only,  // envelope: less
};
std::string_view name(LimitMark mark);

// One limit of the gate as calibrated.
struct CalibratedLimit {
    Quantity quantity{};
    HealthyEnvelope fitted;
    HealthyEnvelope held_out;

    // From the fitted envelope, but that nothing held out may break an exact or derived limit either.
    [[nodiscard]] LimitMark mark() const;

    // The limit that leaves 3 dB to the fitted envelope, rounded away from it to two digits (of a match: of
    // what it leaves to 100); nothing where the limit rests on no envelope or was not measured.
    [[nodiscard]] std::optional<double> proposal() const;

    // Whether the held-out figures lie within 3 dB of the fitted ones, or, where those show no error at all,
    // leave 3 dB to the limit; nothing where either is missing, or the limit rests on no envelope.
    [[nodiscard]] std::optional<bool> verified() const;
};

// A case that tells nothing, because its golden is not certified.
struct MistrustedCase {
    MeasuredAt at;
    std::string reason;
};

class Calibration {
public:
    Calibration();

    // One case as `run_case` (or run_end) gave it. `stored`: dtype of the recording; `at`: without the place.
    void add(const CaseResult& result, const datasets::LayerShape& shape, datasets::DType stored,
             MeasuredAt at);

    // The drift of an encoder over a clip; `only_attention` ran on the NPU.
    void add(const EncoderDrift& drift, bool only_attention, MeasuredAt at);

    // Probes that belong to no recording.
    void add(const std::vector<ProbeRow>& ragged, MeasuredAt at);

    // In the order of the gate's table.
    [[nodiscard]] const std::vector<CalibratedLimit>& limits() const { return limits_; }
    [[nodiscard]] const std::vector<MistrustedCase>& mistrusted() const { return mistrusted_; }

    // Nothing broke an exact or derived limit, every golden was certified, and nothing held out refutes a
    // fit.
    [[nodiscard]] bool sound() const;

private:
    void add(const std::vector<Headroom>& figures, const MeasuredAt& at);

    std::vector<CalibratedLimit> limits_;
    std::vector<MistrustedCase> mistrusted_;
};

// Whether a recording comes from a checkpoint: neither generated data nor random weights.
bool from_checkpoint(const datasets::RecordingInfo& info);

}  // namespace harness
