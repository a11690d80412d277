#include "harness/bounds.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "harness/bound_terms.hpp"
#include "harness/index.hpp"
#include "harness/norm_bound.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::Op;
using datasets::Rows;

std::optional<datasets::Rounding> bf16_store(const Arithmetic& arithmetic) {
    return arithmetic.store == datasets::DType::bf16 ? std::optional(arithmetic.store_rounding)
                                                     : std::nullopt;
}

// A running sum errs by its partial sums, what the host adds up by its parts.
reference::KTiles::Of tiles_that_err(const Arithmetic& arithmetic) {
    return arithmetic.tile_sum == datasets::TileSum::rounded ? reference::KTiles::Of::partial_sums
                                                             : reference::KTiles::Of::products;
}

// To the 8 significant bits of bf16, at any exponent.
double to_bf16_bits(double value, datasets::Rounding rounding) {
    constexpr std::uint64_t below = (std::uint64_t{1} << 45U) - 1;
    auto bits = std::bit_cast<std::uint64_t>(value);
    switch (rounding) {
        case datasets::Rounding::nearest_even:
            bits += (below >> 1U) + ((bits >> 45U) & 1U);
            break;
        case datasets::Rounding::toward_zero:
            break;
        case datasets::Rounding::floor:
            bits += std::signbit(value) ? below : 0;
            break;
    }
    return std::bit_cast<double>(bits & ~below);
}

}  // namespace

StoreRange store_range(double value, double bound, datasets::Rounding rounding) {
    // Not quite all of the rounding is taken off, so that the difference keeps its own.
    const double before = bound - datasets::bf16_unit(rounding) * (1 - 0x1p-40) * std::abs(value);
    return stores_between(value - before, value + before, rounding);
}

StoreRange stores_between(double low, double high, datasets::Rounding rounding) {
    return {to_bf16_bits(low, rounding), to_bf16_bits(high, rounding)};
}

void Bounds::product(Op op, Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    Scratch& scratch = scratches_.local();
    std::vector<float>& magnitude = scratch.narrow;
    magnitude.resize(into.value.size());
    const bool leaves = arithmetic.tile_sum != datasets::TileSum::on_core;
    std::vector<double>& of_tiles = scratch.wide;
    of_tiles.resize(leaves ? into.value.size() : 0);
    reference_.rows(op, rows, into.value, magnitude,
                    leaves ? reference::KTiles{arithmetic.k_tile, tiles_that_err(arithmetic), of_tiles}
                           : reference::KTiles{});
    const double unit = store_unit(arithmetic);
    const auto terms = static_cast<double>(datasets::info(op).reduction(shape_));
    const SumError sum = sum_error(arithmetic, terms);
    const double flushed = underflow(arithmetic, std::ceil(terms / 8));
    // fp32 magnitudes may be short by their own rounding.
    const double spread = (1 + unit) * sum.of_magnitudes * (1 + gamma(2 * terms));
    into.store = bf16_store(arithmetic);
    for (std::size_t i = 0; i < into.value.size(); ++i) {
        const double tiles = leaves ? (1 + unit) * sum.of_tiles * of_tiles[i] : 0.0;
        into.bound[i] = unit * std::abs(into.value[i]) + (spread * double{magnitude[i]} + tiles + flushed);
    }
}

void Bounds::activation(Rows rows, const Arithmetic& arithmetic, Bounded& into) const {
    reference_.rows(Op::gelu, rows, into.value, {});
    const double unit = store_unit(arithmetic);
    into.store = bf16_store(arithmetic);
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
    into.store = bf16_store(arithmetic);
    std::vector<double> before(index(into.columns));
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const std::size_t first = index(row * into.columns);
        norm_errors(std::span(x).subspan(first, before.size()), weights, arithmetic, before);
        for (std::size_t j = 0; j < before.size(); ++j) {
            into.bound[first + j] = unit * std::abs(into.value[first + j]) + (1 + unit) * before[j];
        }
    }
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
      heads_(std::make_unique<Head[]>(index(layer.shape.heads))) {}

Bounds::Bounds(const datasets::EndCase& end, const datasets::Source& operands)
    : shape_(end.shape), operands_(operands), reference_(end, operands) {}

void Bounds::of(Op op, Rows rows, const Arithmetic& arithmetic, bool fused, Bounded& into) const {
    into.rows = rows.count;
    into.columns = datasets::row_width(op, shape_);
    const std::size_t elements = index(into.rows * into.columns);
    into.value.resize(elements);
    into.bound.resize(elements);
    into.row_sum.clear();
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
