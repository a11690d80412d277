// The bounds of softmax, alone and inside fused attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "harness/bound_terms.hpp"
#include "harness/bounds.hpp"
#include "harness/index.hpp"
#include "harness/softmax_error.hpp"
#include "reference/blas.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::Op;
using datasets::Rows;

// Integer powers of one base, computed once each.
class Powers {
public:
    explicit Powers(double base) : base_(base) {}

    double of(int exponent) {
        while (powers_.size() <= index(exponent)) {
            powers_.push_back(powers_.back() * base_);
        }
        return powers_[index(exponent)];
    }

private:
    double base_;
    std::vector<double> powers_{1.0};
};

// For each key tile: how often the running max of the row still grows in later tiles. A growth smaller than
// `slack` may or may not be seen by the device, so it counts as well. Returns the max of the row.
double later_growths(std::span<const double> scores, int key_tile, double slack, std::vector<int>& growths) {
    const auto keys = static_cast<std::int64_t>(scores.size());
    if (key_tile <= 0) {
        growths.assign(1, 0);
        return largest(scores);
    }
    const std::int64_t tiles = (keys + key_tile - 1) / key_tile;
    growths.assign(index(tiles), 0);
    double running = -std::numeric_limits<double>::infinity();
    int seen = 0;
    for (std::int64_t t = 0; t < tiles; ++t) {
        const auto tile =
            scores.subspan(index(t * key_tile), index(std::min<std::int64_t>(key_tile, keys - t * key_tile)));
        const double tile_max = largest(tile);
        if (t > 0 && tile_max > running - slack) {
            ++seen;
        }
        running = std::max(running, tile_max);
        growths[index(t)] = seen;
    }
    for (int& growth : growths) {
        growth = seen - growth;
    }
    return running;
}

constexpr std::size_t channels{datasets::head_width};

// Of [time, 64]: the mean row, but 0 in channels whose values lie nearer to that.
std::vector<double> centre_of(std::span<const double> values) {
    const double rows = double(values.size()) / double(channels);
    std::vector<double> mean(channels);
    for (std::size_t i = 0; i < values.size(); ++i) {
        mean[i % channels] += values[i] / rows;
    }
    std::vector<double> from_zero(channels);
    std::vector<double> from_mean(channels);
    for (std::size_t i = 0; i < values.size(); ++i) {
        from_zero[i % channels] += std::abs(values[i]);
        from_mean[i % channels] += std::abs(values[i] - mean[i % channels]);
    }
    for (std::size_t c = 0; c < channels; ++c) {
        mean[c] = from_mean[c] < from_zero[c] ? mean[c] : 0.0;
    }
    return mean;
}

// Norms of the rows of a [rows, 64] matrix.
std::vector<double> row_norms(std::span<const float> matrix) {
    std::vector<double> norms(matrix.size() / channels);
    for (std::size_t row = 0; row < norms.size(); ++row) {
        double sum = 0;
        for (const float x : matrix.subspan(row * channels, channels)) {
            sum += double{x} * double{x};
        }
        norms[row] = std::sqrt(sum);
    }
    return norms;
}

}  // namespace

// One row of scores in fp64, cut into the key tiles of the device.
class Bounds::ScoreRow {
public:
    ScoreRow(const Arithmetic& arithmetic, std::int64_t keys)
        : arithmetic_(arithmetic),
          powers_(1 + arithmetic.exp_error),
          tile_(arithmetic.key_tile > 0 ? arithmetic.key_tile : keys),
          weight(index(keys)),
          relative(index(keys)) {}

    // Fills `weight` and `relative`. `error` holds what is the same for the whole row, but `top`; a rescaling
    // errs as the weight does (`rescales`), or only adds to what the caller makes of it.
    void weigh(std::span<const double> scores, std::span<const double> norms, WeightError error,
               bool rescales) {
        error.top = later_growths(scores, arithmetic_.key_tile, 2 * error.score_error, growths_);
        for (std::int64_t tile = 0; tile < tiles(); ++tile) {
            const int growth = growths_[index(tile)];
            const auto [first, count] = extent(tile);
            error.factor = powers_.of(rescales ? 1 + growth : 1);
            error.addition = (1 + growth) * addition_error(arithmetic_);
            weigh_keys(scores.subspan(first, count), norms.empty() ? norms : norms.subspan(first, count),
                       error, std::span(weight).subspan(first, count),
                       std::span(relative).subspan(first, count));
        }
    }

    [[nodiscard]] std::int64_t tiles() const {
        return (static_cast<std::int64_t>(weight.size()) + tile_ - 1) / tile_;
    }
    // First key and number of keys.
    [[nodiscard]] std::pair<std::size_t, std::size_t> extent(std::int64_t tile) const {
        const std::size_t first = index(tile * tile_);
        return {first, std::min(index(tile_), weight.size() - first)};
    }
    [[nodiscard]] bool grows_after(std::int64_t tile) const { return growths_[index(tile)] > 0; }
    // What the rescalings behind a tile make of its share of the running sum.
    [[nodiscard]] double rescaled(std::int64_t tile) { return powers_.of(growths_[index(tile)]); }

private:
    const Arithmetic& arithmetic_;
    Powers powers_;
    std::int64_t tile_;
    std::vector<int> growths_;

public:
    std::vector<double> weight;
    std::vector<double> relative;
};

double row_sum_bound(const Arithmetic& softmax, double keys, double mismatch) {
    const AttentionTerms terms = attention_terms(softmax, keys);
    const double kept = (1 - mismatch) * (1 - terms.row_sum);
    if (kept <= 0) {
        return std::numeric_limits<double>::infinity();
    }
    return (1 + terms.reciprocal) * (1 + store_unit(softmax)) / kept - 1;
}

void Bounds::probabilities(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    std::vector<float>& narrow = scratches_.local().narrow;
    narrow.resize(into.value.size());
    std::ranges::copy(operands_.view(Op::scores, rows, narrow).values, into.value.begin());
    const double unit = store_unit(arithmetic);
    WeightError error;
    error.argument = exp_argument_unit(arithmetic);
    ScoreRow keys(arithmetic, into.columns);
    const double summing = running_sum_error(arithmetic, double(into.columns), double(keys.tiles()));
    const double flushed = underflow(arithmetic, 2);
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const std::span p = std::span(into.value).subspan(index(row * into.columns), index(into.columns));
        const std::span bound = std::span(into.bound).subspan(index(row * into.columns), index(into.columns));
        keys.weigh(p, {}, error, false);
        WeightSums total;
        Mismatch mismatch;
        for (std::int64_t tile = 0; tile < keys.tiles(); ++tile) {
            const auto [first, count] = keys.extent(tile);
            const std::span weight = std::span(keys.weight).subspan(first, count);
            const std::span relative = std::span(keys.relative).subspan(first, count);
            const WeightSums sums = sum_weights(weight, relative, keys.rescaled(tile));
            total.weight += sums.weight;
            total.error += sums.error;
            if (keys.grows_after(tile)) {
                const Mismatch of_tile = sum_mismatch(weight, relative, keys.rescaled(tile));
                mismatch.weight += of_tile.weight;
                mismatch.kept += of_tile.kept;
            } else {
                mismatch.kept += sums.weight;
            }
        }
        into.row_sum.push_back(
            row_sum_bound(arithmetic, double(into.columns), mismatch.weight / mismatch.kept));
        const double loss = total.error / total.weight + summing;
        const double shared = (1 + split_reciprocal) * (1 + unit) / std::max(0.0, 1 - loss);
        bound_probabilities(keys.weight, keys.relative, {1 / total.weight, shared, flushed}, p, bound);
    }
    into.store.reset();
}

// Of a fused block: probabilities p, and what each key's weight and the two sums err by, times p; both dense
// [rows, keys].
struct Bounds::FusedWeights {
    std::vector<double>& probabilities;
    std::vector<float>& errors;
    std::vector<double> loss;  // [rows]: sum of the errors
    double sums = 0;           // what the sums alone err by, relative

    // A key that holds much of its row.
    struct Heavy {
        std::int64_t row = 0;
        std::int64_t key = 0;
        double error = 0;  // of its weight alone, times p
    };
    std::vector<Heavy> heavy;
};

Bounds::FusedWeights Bounds::fused_weights(Rows rows, const Arithmetic& arithmetic) const {
    constexpr double heavy_share = 1.0 / 128;
    const std::int64_t keys = shape_.context;
    Scratch& scratch = scratches_.local();
    FusedWeights out{scratch.wide, scratch.narrow, std::vector<double>(index(rows.count)), 0, {}};
    out.probabilities.resize(index(rows.count * keys));
    out.errors.resize(out.probabilities.size());
    reference_.rows(Op::scores, rows, out.probabilities, {});
    std::vector<float> query(index(rows.count * datasets::head_width));
    operands_.rows(Op::query, rows, query);
    const std::vector<double> query_norms = row_norms(query);
    const std::vector<double>& norms = head(rows.head).key_norms;
    const double longest_key = largest(norms);
    ScoreRow row_keys(arithmetic, keys);
    out.sums = running_context_error(arithmetic, double(keys), double(row_keys.tiles()));
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const std::span p = std::span(out.probabilities).subspan(index(row * keys), index(keys));
        const std::span errors = std::span(out.errors).subspan(index(row * keys), index(keys));
        // Error of a score per unit of key norm: 64 products and the exact scale 1/8.
        WeightError error;
        error.argument = exp_argument_unit(arithmetic);
        error.per_norm = product_error(arithmetic, datasets::head_width) * query_norms[index(row)] / 8;
        error.score_error = error.per_norm * longest_key;
        row_keys.weigh(p, norms, error, true);
        double total = 0;
        double loss = 0;
        for (std::size_t j = 0; j < p.size(); ++j) {
            const double relative = row_keys.relative[j];
            const double weighted = row_keys.weight[j] * (relative + out.sums * (1 + relative));
            total += row_keys.weight[j];
            loss += weighted;
            errors[j] = static_cast<float>(weighted);
        }
        out.loss[index(row)] = loss / total;
        const double share = 1 / total;
        const auto narrow_share = static_cast<float>(share);
        for (std::size_t j = 0; j < p.size(); ++j) {
            p[j] = row_keys.weight[j] * share;
            errors[j] *= narrow_share;
        }
        if (share < heavy_share) {
            continue;  // of the largest weight, 1
        }
        for (std::size_t j = 0; j < p.size(); ++j) {
            if (p[j] >= heavy_share) {
                out.heavy.push_back({row, static_cast<std::int64_t>(j), p[j] * row_keys.relative[j]});
            }
        }
    }
    return out;
}

void Bounds::fused_context(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    const FusedWeights weights = fused_weights(rows, arithmetic);
    const Head& values = head(rows.head);
    const double* value = reference_.value_matrix(rows.head);
    const std::int64_t keys = shape_.context;
    constexpr std::int64_t width = datasets::head_width;
    reference::gemm_in_parts(1.0, {weights.probabilities.data(), rows.count, keys, keys},
                             {value, keys, width, width}, 0.0, {into.value.data(), rows.count, width, width});
    std::vector<float> spread(into.value.size());
    reference::gemm_in_parts(1.0F, {weights.errors.data(), rows.count, keys, keys},
                             {values.deviations.data(), keys, width, width}, 0.0F,
                             {spread.data(), rows.count, width, width});
    // The spread itself is a sum in fp32, of factors that are rounded four times.
    const double widen = 1 + gamma(double(keys) + 5);
    std::ranges::transform(spread, into.bound.begin(), [&](float sum) { return widen * double{sum}; });
    for (const FusedWeights::Heavy& heavy : weights.heavy) {
        for (std::int64_t c = 0; c < width; ++c) {
            const double of_value = value[heavy.key * width + c] - values.centre[index(c)];
            const double of_result = into.value[index(heavy.row * width + c)] - values.centre[index(c)];
            if (of_value * of_result > 0) {
                into.bound[index(heavy.row * width + c)] -=
                    2 * heavy.error * std::min(std::abs(of_value), std::abs(of_result));
            }
        }
    }
    const double unit = store_unit(arithmetic) + finish_error(arithmetic);
    const double flushed = underflow(arithmetic, std::ceil(double(keys) / 8));
    for (std::size_t i = 0; i < into.value.size(); ++i) {
        const double loss = weights.loss[i / index(width)];
        const double centre = values.centre[i % index(width)];
        const double magnitude = std::abs(into.value[i]);
        const double moved = into.bound[i] + std::abs(into.value[i] - centre) * loss +
                             2 * weights.sums * std::abs(centre) * (1 + loss);
        into.bound[i] = moved / std::max(0.0, 1 - loss) * (1 + unit) + unit * magnitude + flushed;
    }
    into.store.reset();
}

const Bounds::Head& Bounds::head(int at) const {
    Head& slot = heads_[index(at)];
    std::call_once(slot.once, [&] {
        slot.key_norms = reference_.key_norms(at);
        const std::span value(reference_.value_matrix(at), index(shape_.context) * channels);
        slot.centre = centre_of(value);
        for (std::size_t i = 0; i < value.size(); ++i) {
            slot.deviations.push_back(static_cast<float>(std::abs(value[i] - slot.centre[i % channels])));
        }
    });
    return slot;
}

}  // namespace harness
