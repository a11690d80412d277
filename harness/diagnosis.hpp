// Why an op failed, by the pattern of its error: one hypothesis, and the numbers that speak for it.
//
// A hypothesis predicts what a kernel with just that fault would have stored in the 64x64 tile with the worst
// element. With r what a right kernel would store (the fp64 result, rounded as declared), p the prediction
// and g what came, it explains
//     1 - (|g - p|^2 / (n - fitted parameters)) / (|g - r|^2 / n)
// of the error's energy. The one that explains most is named; among those that explain nearly as much, the
// one that assumes least. What was fitted must besides leave nothing but rounding. Where none explains
// `least_explained`, the diagnosis says so.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "datasets/op_weights.hpp"
#include "datasets/path.hpp"

namespace harness {

struct JudgedBlock;
struct OpStatistics;

// In the order in which they are believed where they explain equally much: what predicts every bit before
// what is fitted to the error.
enum class Pattern : std::uint8_t {
    unwritten,          // the poison of the output buffer is still there
    nonfinite,          // the op makes NaN or infinity
    nonfinite_operand,  // it reads NaN or infinity
    not_repeated,       // run again, the block is right
    zeros,
    constant,
    golden_copy,      // the golden's own bits: computed as the golden is, on no device
    store_rounding,   // the store rounds otherwise than declared
    rows_shifted,     // by one row
    columns_shifted,  // by one column
    transposed_tile,  // of the result
    blocked_layout,   // the blocks of a vector unit, not undone or undone twice
    bias_missing,
    bias_doubled,
    norm_formula,             // of a layer norm: gain, mean or variance otherwise
    scale,                    // 1/8 of the logits is missing, or was applied twice
    padding_unmasked,         // keys behind the last one take part
    keys_missing,             // some keys take no part
    rescale_missing,          // keys are weighted by the maximum of their tile or of its time
    k_slice_missing,          // a part of the products behind each element
    k_slice_repeated,         // the same, twice
    narrow_sums,              // sums kept in bf16
    operand_rounding,         // operands rounded otherwise than declared
    weights_transposed,       // [in, out] taken for [out, in]
    operand_tile_transposed,  // one 64x64 tile of the right factor
    operand_of_other_head,
    emitted_otherwise,  // right for the golden's upstream: it read other rows than were emitted
    head_swapped,       // the result of another head
    stale_tile,         // the tile of an earlier launch
    misplaced_tile,     // another tile of the op: exchanged or duplicated
    rows_reordered,     // within the tile
    columns_reordered,  // within the tile
    elements_reordered,
    gain,         // fitted: one factor
    row_gain,     // fitted: one factor per row
    column_bias,  // fitted: one constant per column
    // Of a headline alone (headline_diagnosis.hpp).
    inherited,            // an op on the way to the output is wrong
    declared_arithmetic,  // nothing is wrong: the declared roundings cost as much
    unrelated,            // what came has nothing to do with the result
    unknown,
};

std::string_view name(Pattern pattern);
std::optional<Pattern> parse_pattern(std::string_view name);

struct Diagnosis {
    Pattern pattern = Pattern::unknown;
    double explained = 0;       // of the error's energy; 1 for what needs no prediction
    std::string evidence;       // one line with numbers
    std::int64_t tile_row = 0;  // 64x64 tile that the evidence is of, within the op and head
    std::int64_t tile_column = 0;
};

// A hypothesis that explains less is not named.
inline constexpr double least_explained = 0.8;

// What a diagnosis may look at besides the block. Everything must outlive the call.
struct Scene {
    datasets::LayerOrEnd piece;    // weights as they came
    datasets::LayerOrEnd rounded;  // weights as declared
    const datasets::Source& golden;
    datasets::LayerShape shape;
    const OpStatistics& statistics;  // of the op, with damage
    std::function<std::optional<datasets::Site>(std::int64_t head, std::int64_t row, std::int64_t column)>
        locate;  // nothing where it is not known
};

// The hypothesis for a block that holds the worst element; nothing where the block is right.
std::optional<Diagnosis> diagnose(const JudgedBlock& block, const Scene& scene);

}  // namespace harness
