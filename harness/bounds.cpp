#include "harness/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/norm_bound.hpp"
#include "harness/softmax_error.hpp"
#include "reference/blas.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::Op;
using datasets::Rows;

// Half the spacing of bf16 denormals, the smallest that leaves a VMAC, and the underflow threshold of exp.
constexpr double bf16_underflow = 0x1p-134;
constexpr double vmac_underflow = 0x1p-126;
// hi + lo of a reciprocal leaves 2^-16 of it, plus three fp32 roundings.
constexpr double split_reciprocal = 0x1p-15;
// One VMAC, relative to the sum of the magnitudes that it and those before it have added.
constexpr double vmac_error = 5 * 0x1p-23;

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

double vmac_gamma(double vmacs) {
    return vmacs * vmac_error / (1 - vmacs * vmac_error);
}

// The error of what AIE2 sums by VMACs, or of chains of fp32 additions, or of both.
double summed(const Arithmetic& arithmetic, double by_vmacs, double by_additions) {
    const double chained = gamma(by_additions);
    if (arithmetic.accumulation != datasets::Accumulation::vmac_f32) {
        return chained;
    }
    return arithmetic.emulation == datasets::Emulation::fast ? by_vmacs + chained : by_vmacs;
}

// Of a sum of products, the bias included, relative to the sum of their magnitudes.
double product_error(const Arithmetic& arithmetic, double terms) {
    return summed(arithmetic, vmac_gamma(std::ceil(terms / 8)), terms + 1);
}

// Of the running sum of a softmax: one addition per key, one rescaling (three VMACs) and one addition per
// tile.
double running_sum_error(const Arithmetic& arithmetic, double keys, double tiles) {
    return summed(arithmetic, gamma(2 * (keys + tiles)) + vmac_gamma(3 * tiles), keys + 2 * tiles);
}

// Of running sum and running context of fused attention.
double running_context_error(const Arithmetic& arithmetic, double keys, double tiles) {
    const double sum = running_sum_error(arithmetic, keys, tiles);
    return summed(arithmetic, sum + vmac_gamma(std::ceil(keys / 8) + 4 * tiles), keys + 4 * tiles);
}

// The context leaves by one fp32 reciprocal and one fp32 product, or by their bf16 splits.
double finish_error(const Arithmetic& arithmetic) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? split_reciprocal : 0x1p-22;
}

// What underflow takes from a result behind so many VMACs: each may flush.
double underflow(const Arithmetic& arithmetic, double vmacs) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? (1 + vmacs) * vmac_underflow
                                                                       : bf16_underflow;
}

// Of sums that leave the accumulator between k tiles, relative to the sum of magnitudes.
double tile_sum_error(const Arithmetic& arithmetic, double terms) {
    if (arithmetic.tile_sum == datasets::TileSum::on_core) {
        return 0;
    }
    const double tiles = std::ceil(terms / arithmetic.k_tile);
    const double unit =
        arithmetic.tile_store == datasets::DType::f32 ? 0.0 : datasets::bf16_unit(arithmetic.tile_rounding);
    return arithmetic.tile_sum == datasets::TileSum::rounded ? (tiles - 1) * unit
                                                             : unit + gamma(tiles) * (1 + unit);
}

// Of the difference of two numbers, relative to the sum of their magnitudes: AIE2's adder aligns the smaller
// to the larger first.
double addition_error(const Arithmetic& arithmetic) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? 0x1p-23 : 0.0;
}

double exp_argument_unit(const Arithmetic& arithmetic) {
    const double fp32_difference = 0x1p-24;
    return arithmetic.exp_argument == datasets::DType::f32
               ? fp32_difference
               : fp32_difference + datasets::bf16_unit(arithmetic.exp_argument_rounding);
}

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
// `slack` may or may not be seen by the device, so it counts as well.
void later_growths(std::span<const double> scores, int key_tile, double slack, std::vector<int>& growths) {
    const auto keys = static_cast<std::int64_t>(scores.size());
    if (key_tile <= 0) {
        growths.assign(1, 0);
        return;
    }
    const std::int64_t tiles = (keys + key_tile - 1) / key_tile;
    growths.assign(index(tiles), 0);
    double running = -std::numeric_limits<double>::infinity();
    int seen = 0;
    for (std::int64_t t = 0; t < tiles; ++t) {
        const auto tile =
            scores.subspan(index(t * key_tile), index(std::min<std::int64_t>(key_tile, keys - t * key_tile)));
        const double tile_max{*std::ranges::max_element(tile)};
        if (t > 0 && tile_max > running - slack) {
            ++seen;
        }
        running = std::max(running, tile_max);
        growths[index(t)] = seen;
    }
    for (int& growth : growths) {
        growth = seen - growth;
    }
}

// Norms of the rows of a [rows, 64] matrix.
template <typename T>
std::vector<double> row_norms(const T* data, std::int64_t rows) {
    std::vector<double> norms(index(rows));
    for (std::int64_t row = 0; row < rows; ++row) {
        double sum = 0;
        for (int c = 0; c < datasets::head_width; ++c) {
            const double x{data[row * datasets::head_width + c]};
            sum += x * x;
        }
        norms[index(row)] = std::sqrt(sum);
    }
    return norms;
}

}  // namespace

void Bounds::product(Op op, Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    std::vector<float>& magnitude = scratches_.local().narrow;
    magnitude.resize(into.value.size());
    reference_.rows(op, rows, into.value, magnitude);
    const double unit = store_unit(arithmetic);
    const auto terms = static_cast<double>(datasets::info(op).reduction(shape_));
    const double tiles = tile_sum_error(arithmetic, terms);
    const double flushed = underflow(arithmetic, std::ceil(terms / 8));
    // fp32 magnitudes may be short by their own rounding.
    const double spread =
        (product_error(arithmetic, terms) * (1 + unit + tiles) + tiles) * (1 + gamma(2 * terms));
    into.store_unit = unit;
    for (std::size_t i = 0; i < into.value.size(); ++i) {
        into.bound[i] =
            unit * std::abs(into.value[i]) + (spread * static_cast<double>(magnitude[i]) + flushed);
    }
}

void Bounds::activation(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    reference_.rows(Op::gelu, rows, into.value, {});
    const double unit = store_unit(arithmetic);
    into.store_unit = unit;
    for (std::size_t i = 0; i < into.value.size(); ++i) {
        const double magnitude = std::abs(into.value[i]);
        const double before = arithmetic.function_error * std::max(magnitude, arithmetic.function_floor);
        into.bound[i] = unit * magnitude + (1 + unit) * before;
    }
}

void Bounds::norm(Op op, Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    reference_.rows(op, rows, into.value, {});
    const datasets::Norm& weights = reference_.norm(op);
    const double unit = store_unit(arithmetic);
    std::vector<float> x(into.value.size());
    operands_.rows(datasets::info(op).inputs.front(), rows, x);
    into.store_unit = unit;
    std::vector<double> before(index(into.columns));
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const std::size_t first = index(row * into.columns);
        norm_errors(std::span(x).subspan(first, before.size()), weights, arithmetic, before);
        for (std::size_t j = 0; j < before.size(); ++j) {
            into.bound[first + j] = unit * std::abs(into.value[first + j]) + (1 + unit) * before[j];
        }
    }
}

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
        later_growths(scores, arithmetic_.key_tile, 2 * error.score_error, growths_);
        error.top = *std::ranges::max_element(scores);
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

void Bounds::probabilities(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    std::vector<float>& narrow = scratches_.local().narrow;
    narrow.resize(into.value.size());
    operands_.rows(Op::scores, rows, narrow);
    std::ranges::copy(narrow, into.value.begin());
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
        double total = 0;
        double total_error = 0;
        for (std::int64_t tile = 0; tile < keys.tiles(); ++tile) {
            const double rescaled = keys.rescaled(tile);
            const auto [first, count] = keys.extent(tile);
            for (std::size_t j = first; j < first + count; ++j) {
                total += keys.weight[j];
                total_error += keys.weight[j] * ((1 + keys.relative[j]) * rescaled - 1);
            }
        }
        const double loss = total_error / total + summing;
        const double shared = (1 + split_reciprocal) * (1 + unit) / std::max(0.0, 1 - loss);
        const double share = 1 / total;
        for (std::size_t j = 0; j < p.size(); ++j) {
            p[j] = keys.weight[j] * share;
            bound[j] = p[j] * ((1 + keys.relative[j]) * shared - 1) + flushed;
        }
    }
    into.store_unit = 0;
}

// Per row of a fused block: probabilities, and probabilities times their relative error, dense [rows, keys].
struct Bounds::FusedWeights {
    std::vector<double>& probabilities;
    std::vector<float>& errors;
    std::vector<double> loss;  // [rows]: sum of the errors
};

Bounds::FusedWeights Bounds::fused_weights(Rows rows, const Arithmetic& arithmetic) const {
    const std::int64_t keys = shape_.context;
    Scratch& scratch = scratches_.local();
    FusedWeights out{scratch.wide, scratch.narrow, std::vector<double>(index(rows.count))};
    out.probabilities.resize(index(rows.count * keys));
    out.errors.resize(out.probabilities.size());
    reference_.rows(Op::scores, rows, out.probabilities, {});
    std::vector<float> query(index(rows.count * datasets::head_width));
    operands_.rows(Op::query, rows, query);
    const std::vector<double> query_norms = row_norms(query.data(), rows.count);
    const std::vector<double>& norms = key_norms(rows.head);
    const double longest_key = *std::ranges::max_element(norms);
    ScoreRow row_keys(arithmetic, keys);
    const double accumulation = running_context_error(arithmetic, double(keys), double(row_keys.tiles()));
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
            row_keys.relative[j] = row_keys.weight[j] * (relative + accumulation * (1 + relative));
            total += row_keys.weight[j];
            loss += row_keys.relative[j];
        }
        out.loss[index(row)] = loss / total;
        const double share = 1 / total;
        for (std::size_t j = 0; j < p.size(); ++j) {
            p[j] = row_keys.weight[j] * share;
            errors[j] = static_cast<float>(row_keys.relative[j] * share);
        }
    }
    return out;
}

void Bounds::fused_context(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    const FusedWeights weights = fused_weights(rows, arithmetic);
    const std::int64_t keys = shape_.context;
    constexpr std::int64_t width = datasets::head_width;
    reference::gemm(reference::Transpose::no, reference::Transpose::no, 1.0,
                    {weights.probabilities.data(), rows.count, keys, keys},
                    {reference_.value_matrix(rows.head), keys, width, width}, 0.0,
                    {into.value.data(), rows.count, width, width});
    std::vector<float> spread(into.value.size());
    reference::gemm(reference::Transpose::no, reference::Transpose::no, 1.0F,
                    {weights.errors.data(), rows.count, keys, keys},
                    {reference_.value_magnitudes(rows.head), keys, width, width}, 0.0F,
                    {spread.data(), rows.count, width, width});
    const double unit = store_unit(arithmetic) + finish_error(arithmetic);
    const double flushed = underflow(arithmetic, std::ceil(double(keys) / 8));
    // The spread itself is summed in fp32.
    const double widen = 1 + gamma(2 * double(keys));
    for (std::size_t i = 0; i < into.value.size(); ++i) {
        const double loss = weights.loss[i / index(width)];
        const double magnitude = std::abs(into.value[i]);
        const double weighted =
            widen * (static_cast<double>(spread[i]) + magnitude * loss) / std::max(0.0, 1 - loss);
        into.bound[i] = weighted * (1 + unit) + unit * magnitude + flushed;
    }
    into.store_unit = 0;
}

const std::vector<double>& Bounds::key_norms(int head) const {
    KeyNorms& slot = key_norms_[index(head)];
    std::call_once(slot.once, [&] { slot.norms = row_norms(reference_.key_matrix(head), shape_.context); });
    return slot.norms;
}

double gamma(double roundings) {
    const double product = roundings * 0x1p-24;
    return product / (1 - product);
}

double store_unit(const Arithmetic& arithmetic) {
    return arithmetic.store == datasets::DType::f32 ? 0.0 : datasets::bf16_unit(arithmetic.store_rounding);
}

AttentionTerms attention_terms(const Arithmetic& arithmetic, double keys) {
    const double tiles = arithmetic.key_tile > 0 ? std::ceil(keys / arithmetic.key_tile) : 1.0;
    // A lone tile that is stored and loaded again is rounded once.
    const double once = arithmetic.tile_sum == datasets::TileSum::rounded
                            ? tile_sum_error(arithmetic, 2.0 * arithmetic.k_tile)
                            : tile_sum_error(arithmetic, keys);
    return {product_error(arithmetic, keys),
            tile_sum_error(arithmetic, keys),
            once,
            running_sum_error(arithmetic, keys, tiles),
            running_context_error(arithmetic, keys, tiles),
            split_reciprocal,
            finish_error(arithmetic)};
}

Bounds::Bounds(const datasets::LayerCase& layer, const datasets::Source& operands)
    : shape_(layer.shape),
      operands_(operands),
      reference_(layer, operands),
      key_norms_(std::make_unique<KeyNorms[]>(index(layer.shape.heads))) {}

Bounds::Bounds(const datasets::EndCase& end, const datasets::Source& operands)
    : shape_(end.shape), operands_(operands), reference_(end, operands) {}

void Bounds::of(Op op, Rows rows, const Arithmetic& arithmetic, bool fused, Bounded& into) const {
    into.rows = rows.count;
    into.columns = datasets::row_width(op, shape_);
    const std::size_t elements = index(into.rows * into.columns);
    into.value.resize(elements);
    into.bound.resize(elements);
    if (fused) {
        return fused_context(rows, arithmetic, into);
    }
    switch (op) {
        case Op::probabilities:
            return probabilities(rows, arithmetic, into);
        case Op::gelu:
            return activation(rows, arithmetic, into);
        case Op::attention_norm:
        case Op::mlp_norm:
        case Op::encoder:
            return norm(op, rows, arithmetic, into);
        default:
            return product(op, rows, arithmetic, into);
    }
}

}  // namespace harness
