#include "harness/bound_terms.hpp"

#include <cmath>

#include "harness/bounds.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;

// Half the spacing of bf16 denormals, and the smallest that leaves a VMAC.
constexpr double bf16_underflow = 0x1p-134;
constexpr double vmac_underflow = 0x1p-126;
// One VMAC, relative to the sum of the magnitudes that it and those before it have added.
constexpr double vmac_error = 5 * 0x1p-23;

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

// Of a store between k tiles.
double tile_unit(const Arithmetic& arithmetic) {
    return arithmetic.tile_store == datasets::DType::f32 ? 0.0
                                                         : datasets::bf16_unit(arithmetic.tile_rounding);
}

}  // namespace

double product_error(const Arithmetic& arithmetic, double terms) {
    return summed(arithmetic, vmac_gamma(std::ceil(terms / 8)), terms + 1);
}

double running_sum_error(const Arithmetic& arithmetic, double keys, double tiles) {
    return summed(arithmetic, gamma(2 * (keys + tiles)) + vmac_gamma(3 * tiles), keys + 2 * tiles);
}

double running_context_error(const Arithmetic& arithmetic, double keys, double tiles) {
    const double sum = running_sum_error(arithmetic, keys, tiles);
    return summed(arithmetic, sum + vmac_gamma(std::ceil(keys / 8) + 4 * tiles), keys + 4 * tiles);
}

double finish_error(const Arithmetic& arithmetic) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? split_reciprocal : 0x1p-22;
}

double underflow(const Arithmetic& arithmetic, double vmacs) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? (1 + vmacs) * vmac_underflow
                                                                       : bf16_underflow;
}

SumError sum_error(const Arithmetic& arithmetic, double terms) {
    if (arithmetic.tile_sum == datasets::TileSum::on_core) {
        return {product_error(arithmetic, terms), 0};
    }
    const double tiles = std::ceil(terms / arithmetic.k_tile);
    const double tile = product_error(arithmetic, arithmetic.k_tile);
    const double unit = tile_unit(arithmetic);
    if (arithmetic.tile_sum == datasets::TileSum::rounded) {
        const double growth = std::pow((1 + unit) * (1 + tile), tiles - 1);
        return {growth * (1 + unit) * tile, growth * ((1 + unit) * tile + unit)};
    }
    const double additions = gamma(tiles);
    return {(1 + unit) * tile * (1 + additions) + additions, unit + additions * (1 + unit)};
}

double tile_sum_error(const Arithmetic& arithmetic, double terms) {
    const double tiles = std::ceil(terms / arithmetic.k_tile);
    const double unit = tile_unit(arithmetic);
    switch (arithmetic.tile_sum) {
        case datasets::TileSum::on_core:
            return 0;
        case datasets::TileSum::rounded:
            return std::pow(1 + unit, tiles - 1) - 1;
        case datasets::TileSum::on_host:
            return unit + gamma(tiles) * (1 + unit);
    }
    return 0;
}

double addition_error(const Arithmetic& arithmetic) {
    return arithmetic.accumulation == datasets::Accumulation::vmac_f32 ? 0x1p-23 : 0.0;
}

double exp_argument_unit(const Arithmetic& arithmetic) {
    const double fp32_difference = 0x1p-24;
    return arithmetic.exp_argument == datasets::DType::f32
               ? fp32_difference
               : fp32_difference + datasets::bf16_unit(arithmetic.exp_argument_rounding);
}

}  // namespace harness
