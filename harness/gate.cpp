#include "harness/gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace harness {
namespace {

// Weakest faults: of the self-check, by name, and the least that it measured of them on grounds of T = 250.
constexpr std::array<Limit, 44> table{{
    {Quantity::nonfinite, "non-finite elements", "L0", "count = 0", 0, "0", "one_element_nan: 1",
     "no healthy op yields NaN or Inf from finite operands", true, false, Basis::exact},
    {Quantity::unwritten, "unwritten elements", "L0", "count = 0", 0, "0", "poison_left: 1",
     "output buffers hold a NaN pattern before each launch", true, false, Basis::exact},
    {Quantity::coverage, "blocks delivered once", "L0", "missing or repeated = 0", 0, "0", "block_missing: 1",
     "every 64-row block of every op is due exactly once", true, false, Basis::exact},
    {Quantity::guards, "guard zones intact", "L0", "violations = 0", 0, "0", "store_past_the_end: 2 bytes",
     "a kernel writes its tile and nothing else", true, false, Basis::exact},
    {Quantity::launches, "launches as planned", "L0", "counted = planned > 0", 0, "0",
     "launch_skipped: 0 of 1", "the device counts; a step without launches ran somewhere else", true, false,
     Basis::exact},
    {Quantity::repeatability, "A, B, A repeats", "L0", "differing elements = 0", 0, "0",
     "bit_not_deterministic: one bit", "the same inputs give the same bits, whatever ran in between", true,
     false, Basis::exact},
    {Quantity::bound, "rho", "L1", "max |error| / bound <= 1", 1, "0.999", "one_element_off: 1.38",
     "derived per element from the declared arithmetic (bounds.hpp)", true, false, Basis::derived},
    {Quantity::store_rounding, "store rounding", "L1", "stores outside round(r - e) .. round(r + e) = 0", 0,
     "0", "nearest_store: 34% of the stores",
     "rounding is monotone, so a store of a value within e of r lies between the roundings of both ends; e "
     "is the bound without the store's own share",
     true, false, Basis::exact},
    {Quantity::store_format, "store format", "L1", "elements that bf16 cannot hold where it is declared = 0",
     0, "0", "store_left_in_fp32: every element",
     "a store to bf16 leaves no other bits; exp's error would hide it", true, false, Basis::exact},
    {Quantity::row_sum, "row sum", "L1", "max |sum p - 1| / bound <= 1", 1, "0.77",
     "reciprocal_cut_to_bf16: 1.92",
     "a softmax divides by the sum of what it divides: exp's error cancels (probe_bound.hpp)", true, false,
     Basis::derived},
    {Quantity::match, "match", "headline", "100 (1 - |a-b|^2 / |b - column mean|^2) >= 99.9", 99.9,
     "99.42 .. 99.99 (hard data, 8 seeds, all layers)", "output_tenth_too_small: 98.08",
     "the users' '>99.9% match', on the attention output, chained: a criterion, not a derived bound; honest "
     "bf16 operands miss it on single layers with logits near 100",
     true, true, Basis::criterion},
    {Quantity::worst_row, "worst row", "headline", "relative error <= 0.08", 0.08,
     "0.052 where the match holds", "output_row_lost: 0.96",
     "a wrong row hides in a tensor norm; decides only where the match holds", true, true, Basis::envelope},
    {Quantity::worst_tile, "worst tile", "headline", "relative error <= 0.04", 0.04,
     "0.022 where the match holds", "output_tile_lost: 0.68",
     "one wrong tile of 2,209 is 0.05% of the elements; decides only where the match holds", true, true,
     Basis::envelope},
    {Quantity::golden_error, "golden against oracle", "chain of trust", "relative error <= 1e-5", 1e-5,
     "1.1e-6", "golden_in_bf16: 2.0e-4", "fp32 BLAS against fp64 plain loops", true, false, Basis::envelope},
    {Quantity::recording_error, "golden against recording", "chain of trust", "relative error <= 1e-5", 1e-5,
     "1.3e-6", "recorded_clip_one_row_late: 0.060", "what was recorded must be what the weights give", true,
     false, Basis::envelope},
    {Quantity::rounded_recording_error, "golden against bf16 recording", "chain of trust",
     "relative error <= 0.02", 0.02, "0.0103 (hard and random weights, T = 250 .. 3001)",
     "bf16_recording_of_another_tensor: 0.98",
     "the golden reads input and weights rounded to bf16, what was recorded came before: 0.0029 on a "
     "product (sqrt 3 roundings), more behind the softmax, whose logits reach 90",
     true, false, Basis::envelope},
    {Quantity::encoder_match, "encoder match", "drift", "100 (1 - |a-b|^2 / |b - column mean|^2) >= 99.9",
     99.9, "99.966 (facts of the study, 6 layers)", "attention_upside_down: below 0",
     "the users' '>99.9% match', on the encoder's output with the attention on the NPU", true, true,
     Basis::criterion},
    {Quantity::encoder_worst_row, "encoder worst row", "drift", "relative error <= 0.05", 0.05, "0.017",
     "encoder_row_wrong: 1.44", "a wrong row hides in a tensor norm; decides only where the match holds",
     true, true, Basis::envelope},
    {Quantity::piece_match, "piece and encoder match", "drift",
     "100 (1 - |a-b|^2 / |b - column mean|^2) >= 99", 99,
     "99.877 (study: six layers, all products in bf16, chained)", "pieces_add_nothing: 48.6",
     "any placement, each piece alone and the encoder's output: what no rounding explains", true, true,
     Basis::envelope},
    {Quantity::plain_variance, "variance of z", "L2", "|mean square of z - 1| <= 0.25", 0.25, "0.075",
     "core_half_a_percent_off: 0.27",
     "products, GELU and norms on exact or nearly exact operands: every rounding is declared, so the errors "
     "have the predicted variance (error_model.hpp); the rest is coherence of like rows",
     true, true, Basis::envelope},
    {Quantity::plain_gain, "undeclared gain", "L2", "|gain of error beyond the predicted mean| <= 2e-3", 2e-3,
     "1.2e-3 (fc2), 4e-4 (others)", "truncating_store: 2.7e-3",
     "directed roundings are means of the model; what is left are the few roundings of massive channels",
     true, true, Basis::envelope},
    {Quantity::plain_largest, "largest z", "L2", "max |z| <= 11", 11, "6.3, re-rounded 7.54 (T = 3001)",
     "one_element_off: 19.7", "sums of many roundings are nearly normal: 6 in 10^7 elements", true, true,
     Basis::envelope},
    {Quantity::plain_row, "worst row z", "L2", "rms z of a row <= 4", 4, "2.79 (scores), 1.52 (others)",
     "rows_swapped: 16.4", "one rounded query moves a whole row of scores", true, true, Basis::envelope},
    {Quantity::plain_tile, "worst tile z", "L2", "rms z of a 64x64 tile <= 1.8", 1.8, "1.24",
     "bf16_accumulator: 1.84", "a tile shares 64 rows and 64 columns of rounded operands", true, true,
     Basis::envelope},
    {Quantity::probability_rms, "probability z", "L2", "rms z <= 1.85", 1.85, "1.03 hard, 1.28 random data",
     "softmax_bf16_sum: 3.89",
     "isolated: the rms of exp is a third of its declared maximum; its table's mean, which only broad rows "
     "share, is not declared",
     true, true, Basis::envelope},
    {Quantity::probability_row, "probability row z", "L2", "rms z of a row <= 6", 6, "4.13",
     "softmax_bf16_sum: 20.6", "weights of one row share the error of their sum", true, true,
     Basis::envelope},
    {Quantity::probability_tile, "probability tile z", "L2", "rms z of a 64x64 tile <= 3.3", 3.3, "2.31",
     "softmax_bf16_sum: 8.89", "keys of like rows share the entries of exp's table", true, true,
     Basis::envelope},
    {Quantity::square_rms, "chained square z", "L2", "rms z <= 2.2", 2.2, "1.64", "none: not gated",
     "logits near 100 and their errors are coherent over rows and heads: less than 3 dB of room", false, true,
     Basis::envelope},
    {Quantity::fused_rms, "isolated context z", "L2", "rms z <= 3.2", 3.2,
     "1.05 unfused, 1.25 fused, 1.11 re-rounded", "rows_swapped: 4.27",
     "isolated: what rescales a row is shared by its keys", true, true, Basis::envelope},
    {Quantity::context_rms, "context z", "L2", "rms z <= 2.9", 2.9, "1.99", "scale_missing_in_a_chain: 50.5",
     "chained: silence rows are so alike that keys err together, at short contexts above all", true, true,
     Basis::envelope},
    {Quantity::context_largest, "context largest z", "L2", "max |z| <= 20", 20, "30.5 (re-rounded, T = 3001)",
     "none: not gated", "errors of a peaked row have heavy tails: no room", false, true, Basis::envelope},
    {Quantity::context_row, "context row z", "L2", "rms z of a row <= 17.6", 17.6,
     "12.4 (re-rounded, T = 3001), 6.7 (others)", "rows_swapped: 27.4",
     "64 channels of a row share the errors of its weights", true, true, Basis::envelope},
    {Quantity::context_tile, "context tile z", "L2", "rms z of a 64x64 tile <= 7.7", 7.7,
     "4.65 (re-rounded, T = 3001), 4.22 (others)", "rows_swapped: 15.4",
     "rows of a tile share keys and values", true, true, Basis::envelope},
    {Quantity::output_rms, "output z", "L2", "rms z <= 4.6", 4.6, "3.23 (T = 64; 2.3 above)",
     "output_row_lost: 6.86", "chained: what heads share adds up coherently", true, true, Basis::envelope},
    {Quantity::output_row, "output row z", "L2", "rms z of a row <= 13", 13, "5.84",
     "output_tenth_too_small: 18.5", "channels of a row share the error of its context", true, true,
     Basis::envelope},
    {Quantity::rerounded_row, "re-rounded output row z", "L2", "rms z of a row <= 13", 13,
     "13.5 (T = 3001, logits doubled)", "none: not gated",
     "of sums that are rounded after every k tile: what they swallow in rows of silence is coherent, no room",
     false, true, Basis::envelope},
    {Quantity::output_tile, "output tile z", "L2", "rms z of a 64x64 tile <= 5.9", 5.9, "4.16",
     "output_tenth_too_small: 12.8", "rows of a tile share keys and values", true, true, Basis::envelope},
    {Quantity::probe_ones, "probe V = 1", "L3", "max |context - 1| / bound <= 1", 1,
     "0.77 (all designs, hard and benign, T = 1 .. 3001)", "padded_keys_unmasked_unseen_by_data: 244",
     "weights add up to 1 (probe_bound.hpp); logits lie below -100, so that padding of logit 0 takes all",
     true, false, Basis::derived},
    {Quantity::probe_row_sum, "probe row sums", "L3", "max |sum p - 1| / bound <= 1", 1, "0.80",
     "padded_keys_unmasked: 251 (probes_test.cpp)",
     "the same where probabilities leave the core: what a row lacks went to padding", true, false,
     Basis::derived},
    {Quantity::probe_zero_keys, "probe K = 0", "L3", "max |context - mean of V| / bound <= 1", 1, "0.97",
     "padded_keys_unmasked: 6.2", "equal weights give the mean, whatever the queries", true, false,
     Basis::derived},
    {Quantity::probe_raised_keys, "probe raised keys", "L3", "all finite, max |error| / bound <= 1", 1,
     "0.999", "softmax_bf16_sum: 1.96", "softmax does not change where all logits move by as much", true,
     false, Basis::derived},
    {Quantity::probe_deep_keys, "probe deep keys", "L3", "all finite, max |error| / bound <= 1", 1, "0.983",
     "scale_of_63_channels: 2.06",
     "a weight of e^-d shows an error of the logits' scale or of exp's base d-fold", true, false,
     Basis::derived},
    {Quantity::probe_one_hot, "probe one-hot", "L3", "max |context - row of V| / bound <= 1", 1, "0",
     "last_key_dropped: 39.6", "one key takes all, and its row of V says where it belongs", true, false,
     Basis::derived},
    {Quantity::probe_integers, "probe integers", "L3", "differing elements = 0", 0, "0",
     "value_tile_transposed: off by 8", "sums of small integers are exact in every declared arithmetic", true,
     false, Basis::exact},
}};

constexpr bool table_is_in_enum_order() {
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (static_cast<std::size_t>(table[i].quantity) != i) {
            return false;
        }
    }
    return true;
}
static_assert(table_is_in_enum_order());

constexpr std::array<std::string_view, 7> verdict_names{"passed",  "accepted", "failed",  "mistrusted",
                                                        "not_run", "covered",  "unstable"};
constexpr std::array<std::string_view, 4> basis_names{"exact", "derived", "criterion", "envelope"};

using Findings = std::vector<Finding>;

Findings device_findings(const DeviceCheck& device) {
    Findings out;
    if (!device.guard_violation.empty()) {
        out.push_back({Quantity::guards, device.guard_violation});
    }
    if (device.on_device && (device.launches == 0 || device.launches != device.launches_planned)) {
        out.push_back({Quantity::launches, fmt::format("the device counted {} launches, the plan promised {}",
                                                       device.launches, device.launches_planned)});
    }
    return out;
}

void add_integrity(Findings& out, const OpStatistics& s) {
    if (s.poisoned > 0) {
        out.push_back({Quantity::unwritten, fmt::format("{} of {} elements were never written by the device",
                                                        s.poisoned, s.elements)});
    }
    if (s.nonfinite > s.poisoned) {
        out.push_back({Quantity::nonfinite, fmt::format("{} of {} elements are NaN or infinite",
                                                        s.nonfinite - s.poisoned, s.elements)});
    }
}

// What no rounding explains.
void add_drift(Findings& out, const std::string& what, const Deviation& d) {
    const double least = limit(Quantity::piece_match).limit;
    if (d.nonfinite > 0) {
        out.push_back({Quantity::nonfinite,
                       fmt::format("{} holds {} elements that are NaN or infinite", what, d.nonfinite)});
    } else if (drift_applies(d) && !(d.match_percent >= least)) {
        out.push_back({Quantity::piece_match,
                       fmt::format("{} matches {:.4f}%, under {}%", what, d.match_percent, least)});
    }
}

std::string rounding_fault(const OpStatistics& s, const datasets::Arithmetic& arithmetic) {
    const auto share = [&](std::int64_t of) { return 100 * double(of) / double(s.misrounded); };
    return fmt::format(
        "{} of {} stores are not what {} rounding gives of any value within the bound; {:.1f}% of them lie "
        "below the fp64 value, {:.1f}% nearer to zero",
        s.misrounded, s.elements, datasets::name(arithmetic.store_rounding), share(s.misrounded_below),
        share(s.misrounded_shrunk));
}

}  // namespace

std::string_view name(Verdict verdict) {
    return verdict_names[static_cast<std::size_t>(verdict)];
}

std::optional<Verdict> parse_verdict(std::string_view word) {
    const auto found = std::ranges::find(verdict_names, word);
    return found == verdict_names.end() ? std::nullopt
                                        : std::optional(static_cast<Verdict>(found - verdict_names.begin()));
}

bool is_good(Verdict verdict) {
    return verdict == Verdict::passed || verdict == Verdict::accepted || verdict == Verdict::covered;
}

std::string_view name(Basis basis) {
    return basis_names[static_cast<std::size_t>(basis)];
}

std::span<const Limit> limits() {
    return table;
}

const Limit& limit(Quantity quantity) {
    return table[static_cast<std::size_t>(quantity)];
}

std::optional<Quantity> parse_quantity(std::string_view name) {
    const auto found = std::ranges::find(table, name, &Limit::name);
    return found == table.end() ? std::nullopt : std::optional(found->quantity);
}

Headroom beside_limit(Quantity quantity, double value) {
    const Limit& allowed = limit(quantity);
    if (allowed.basis == Basis::exact) {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        return {quantity, value, value == allowed.limit ? infinity : -infinity};
    }
    if (quantity == Quantity::match || quantity == Quantity::encoder_match ||
        quantity == Quantity::piece_match) {
        return {quantity, value, 10 * std::log10((100 - allowed.limit) / (100 - value))};
    }
    return {quantity, value, 20 * std::log10(allowed.limit / value)};
}

Judgement judged(std::vector<Finding> findings, std::string remark) {
    if (findings.empty()) {
        return {Verdict::passed, std::move(remark), {}};
    }
    std::string reason = findings.front().text;
    for (const Finding& finding : std::span(findings).subspan(1)) {
        reason += "; " + finding.text;
    }
    return {Verdict::failed, std::move(reason), std::move(findings)};
}

Judgement judge_op(const OpStatistics& statistics, const datasets::Arithmetic& arithmetic,
                   const DeviceCheck& device, std::vector<Finding> further) {
    const OpStatistics& s = statistics;
    Findings out = device_findings(device);
    if (s.blocks_seen != s.blocks_expected || s.blocks_repeated > 0) {
        out.push_back({Quantity::coverage, fmt::format("{} of {} blocks delivered, {} of them more than once",
                                                       s.blocks_seen, s.blocks_expected, s.blocks_repeated)});
        return judged(std::move(out));
    }
    add_integrity(out, s);
    if (s.outside > s.nonfinite || (s.nonfinite == 0 && !(s.rho <= limit(Quantity::bound).limit))) {
        out.push_back({Quantity::bound, fmt::format("{} of {} elements outside their bound, rho {:.3g}",
                                                    s.outside - s.nonfinite, s.elements, s.rho)});
    }
    if (static_cast<double>(s.misrounded) > limit(Quantity::store_rounding).limit) {
        out.push_back({Quantity::store_rounding, rounding_fault(s, arithmetic)});
    }
    if (static_cast<double>(s.unrepresentable) > limit(Quantity::store_format).limit) {
        out.push_back({Quantity::store_format,
                       fmt::format("{} of {} elements have more bits than bf16, which is declared",
                                   s.unrepresentable, s.elements)});
    }
    if (s.row_sum && !(*s.row_sum <= limit(Quantity::row_sum).limit)) {
        out.push_back(
            {Quantity::row_sum,
             fmt::format("{} rows of probabilities do not sum to 1 within their bound; the worst, row "
                         "{} of head {}, is off by {:.3g} of it",
                         s.row_sums_outside, s.row_sum_row, s.row_sum_head, *s.row_sum)});
    }
    std::ranges::move(further, std::back_inserter(out));
    return judged(std::move(out));
}

Judgement judge_repeatability(std::int64_t elements, std::int64_t differing) {
    if (differing == 0) {
        return judged({});
    }
    Judgement out = judged(
        {{Quantity::repeatability,
          fmt::format("{} of {} elements lie in blocks that differ after A, B, A", differing, elements)}});
    out.verdict = Verdict::unstable;
    return out;
}

bool headline_applies(const OpStatistics& output, const datasets::LayerShape& shape) {
    return shape.context >= datasets::block_rows && !(output.centred_energy < least_centred_energy);
}

Judgement judge_headline(const OpStatistics& output, const datasets::LayerShape& shape) {
    if (!headline_applies(output, shape)) {
        return judged({}, "match not applicable (T < 64 or nearly constant output): level 1 decides");
    }
    Findings out;
    if (!(output.match_percent >= limit(Quantity::match).limit)) {
        out.push_back({Quantity::match, fmt::format("match {:.4f}% is under {}%", output.match_percent,
                                                    limit(Quantity::match).limit)});
    }
    if (!(output.worst_row <= limit(Quantity::worst_row).limit)) {
        out.push_back({Quantity::worst_row,
                       fmt::format("worst row {} errs by {:.4f} of its norm, over {}", output.worst_row_index,
                                   output.worst_row, limit(Quantity::worst_row).limit)});
    }
    if (!(output.worst_tile <= limit(Quantity::worst_tile).limit)) {
        out.push_back({Quantity::worst_tile,
                       fmt::format("worst 64x64 tile ({}, {}) errs by {:.4f} of its norm, over {}",
                                   output.worst_tile_row, output.worst_tile_column, output.worst_tile,
                                   limit(Quantity::worst_tile).limit)});
    }
    return judged(std::move(out));
}

bool drift_applies(const Deviation& of) {
    return of.rows >= datasets::block_rows && of.centred_energy >= least_centred_energy;
}

Judgement judge_encoder(std::span<const Deviation> isolated, const Deviation& output, bool only_attention,
                        const DeviceCheck& device) {
    Findings out = device_findings(device);
    for (std::size_t piece = 0; piece < isolated.size(); ++piece) {
        add_drift(out, fmt::format("piece {}, alone,", piece), isolated[piece]);
    }
    add_drift(out, "the encoder's output", output);
    if (!drift_applies(output)) {
        return judged(std::move(out), "match not applicable (T < 64 or nearly constant output)");
    }
    if (!only_attention) {
        return judged(std::move(out),
                      "the limits of 99.9% and of the worst row hold for the attention alone");
    }
    if (!(output.match_percent >= limit(Quantity::encoder_match).limit)) {
        out.push_back(
            {Quantity::encoder_match, fmt::format("encoder match {:.4f}% is under {}%", output.match_percent,
                                                  limit(Quantity::encoder_match).limit)});
    }
    if (!(output.worst_row <= limit(Quantity::encoder_worst_row).limit)) {
        out.push_back({Quantity::encoder_worst_row,
                       fmt::format("worst row {} of the encoder's output errs by {:.4f} of its norm, over {}",
                                   output.worst_row_index, output.worst_row,
                                   limit(Quantity::encoder_worst_row).limit)});
    }
    return judged(std::move(out));
}

}  // namespace harness
