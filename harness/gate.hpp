// The gate: one table of limits, one limit per quantity, and the verdicts that follow from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"
#include "harness/comparison.hpp"
#include "harness/drift.hpp"

namespace harness {

enum class Verdict : std::uint8_t {
    passed,
    accepted,    // it misses the criterion alone, by no more than its owner accepts (accepted_misses.hpp)
    failed,      // the numbers are wrong
    mistrusted,  // the golden, or the data, cannot prove anything
    not_run,     // asked for and not computed
    covered,     // inside a fused step: judged with the step's last op
    unstable,    // the same inputs gave different bits
};

std::string_view name(Verdict verdict);

// The verdict of this name; none for another word.
std::optional<Verdict> parse_verdict(std::string_view word);

// Passed, accepted, or covered by a row that is judged in its stead.
bool is_good(Verdict verdict);

enum class Quantity : std::uint8_t {
    nonfinite,
    unwritten,
    coverage,
    guards,
    launches,
    repeatability,
    bound,
    store_rounding,
    store_format,
    row_sum,
    match,
    worst_row,
    worst_tile,
    golden_error,
    recording_error,
    rounded_recording_error,
    encoder_match,
    encoder_worst_row,
    piece_match,
    plain_variance,
    plain_gain,
    plain_largest,
    plain_row,
    plain_tile,
    probability_rms,
    probability_row,
    probability_tile,
    square_rms,
    fused_rms,
    context_rms,
    context_largest,
    context_row,
    context_tile,
    output_rms,
    output_row,
    rerounded_row,
    output_tile,
    probe_ones,
    probe_row_sum,
    probe_zero_keys,
    probe_raised_keys,
    probe_deep_keys,
    probe_one_hot,
    probe_integers,
};

// One limit that a quantity went beyond.
struct Finding {
    Quantity quantity{};
    std::string text;
};

struct Judgement {
    Verdict verdict = Verdict::not_run;
    std::string reason;               // never empty unless passed
    std::vector<Finding> findings{};  // every limit that was exceeded, not only the first
};

// What a limit rests on, and so what a calibration may say of it.
enum class Basis : std::uint8_t {
    exact,      // a count: nothing but the limit itself is healthy
    derived,    // a bound that holds by proof: healthy values come close to it, and never pass it
    criterion,  // what users ask for, whether healthy runs meet it or not
    envelope,   // what healthy runs reach, and room beyond it: 3 dB at least, else it is not gated
};

std::string_view name(Basis basis);

// One row of the gate. `limit` is the number in `formula`.
struct Limit {
    Quantity quantity;
    std::string_view name;
    std::string_view level;
    std::string_view formula;
    double limit;
    std::string_view envelope;  // what healthy runs reach
    std::string_view weakest;   // the weakest fault it must see
    std::string_view reason;
    bool gated;        // false: printed only
    bool provisional;  // derived on synthetic data, not yet calibrated on recordings from a checkpoint
    Basis basis;
};

std::span<const Limit> limits();
const Limit& limit(Quantity quantity);

// The quantity by the name of its limit.
std::optional<Quantity> parse_quantity(std::string_view name);

// A figure beside its limit, and how far it is from it: 20 log10(limit / figure); of a match, by the error
// that it leaves, 10 log10((100 - limit) / (100 - match)); of a count, infinity. Negative where it is beyond.
struct Headroom {
    Quantity quantity{};
    double value = 0;
    double decibel = 0;
};

Headroom beside_limit(Quantity quantity, double value);

// Below this a limit is reported and not gated.
inline constexpr double least_room_decibel = 3;

// What the device counted against what the plan promised, for one step.
struct DeviceCheck {
    bool on_device = false;
    std::int64_t launches = 0;
    std::int64_t launches_planned = 0;
    std::string guard_violation;  // empty: guards intact
};

// Failed by the first of the findings and those behind it; passed, with `remark`, where there are none.
Judgement judged(std::vector<Finding> findings, std::string remark = "");

// L0 and L1 of one op. Where blocks are missing, nothing is said of their values.
// `further`: what other levels found, where all blocks are there.
Judgement judge_op(const OpStatistics& statistics, const datasets::Arithmetic& arithmetic,
                   const DeviceCheck& device, std::vector<Finding> further = {});

// Bits that differ after A, B, A: unstable, not failed.
Judgement judge_repeatability(std::int64_t elements, std::int64_t differing);

// The headline of one layer, from the chained attention output.
Judgement judge_headline(const OpStatistics& output, const datasets::LayerShape& shape);

// The whole encoder. `isolated`: each piece alone on the golden's stream; `output`: the chained output, whose
// own limits decide where only the attention ran on the NPU. Match says nothing below T = 64 or 1% centred
// energy; there the device and finite values decide.
Judgement judge_encoder(std::span<const Deviation> isolated, const Deviation& output, bool only_attention,
                        const DeviceCheck& device);

// Below this share of centred energy a match says nothing.
inline constexpr double least_centred_energy = 0.01;

// Whether the headline says anything: T >= 64 and enough centred energy.
bool headline_applies(const OpStatistics& output, const datasets::LayerShape& shape);

// Whether a match of the residual stream says anything: the same.
bool drift_applies(const Deviation& of);

}  // namespace harness
