// What a path declares about the arithmetic of one op. Declared by its author, never measured: the judge
// derives its bounds from this and fails a kernel that computes otherwise.
#pragma once

#include <cstdint>
#include <string_view>

#include "datasets/bf16.hpp"

namespace datasets {

enum class DType : std::uint8_t { f32, bf16 };

// How the products of a dot product are summed.
enum class Accumulation : std::uint8_t {
    blas_f32,   // any order, fp32
    chain_f32,  // ascending k from the bias (or zero), one fp32 rounding per addition
    vmac_f32,   // AIE2's VMAC: eight products and the accumulator at a time, aligned, rounded and normalised
};

constexpr std::string_view name(Accumulation accumulation) {
    switch (accumulation) {
        case Accumulation::blas_f32:
            return "blas_f32";
        case Accumulation::chain_f32:
            return "chain_f32";
        case Accumulation::vmac_f32:
            break;
    }
    return "vmac_f32";
}

// How an emulated device computes what is declared.
enum class Emulation : std::uint8_t {
    exact,  // bit for bit
    fast,   // sums in chain_f32 order instead, so results err by its rounding errors as well
};

constexpr std::string_view name(Emulation emulation) {
    return emulation == Emulation::exact ? "exact" : "fast";
}

// What becomes of the sum between two k tiles.
enum class TileSum : std::uint8_t {
    on_core,  // it stays in the accumulator
    rounded,  // it is stored and loaded again: one rounding of the running sum per tile
    on_host,  // each tile's product is stored by itself, and the host adds them up in fp32
};

struct Arithmetic {
    DType operand = DType::f32;  // of both factors, the bias included
    Rounding operand_rounding = Rounding::nearest_even;
    DType store = DType::f32;
    Rounding store_rounding = Rounding::nearest_even;
    Accumulation accumulation = Accumulation::blas_f32;
    Emulation emulation = Emulation::exact;
    TileSum tile_sum = TileSum::on_core;
    int k_tile = 0;                 // products in a tile, where its sum leaves the accumulator
    DType tile_store = DType::f32;  // of that sum
    Rounding tile_rounding = Rounding::nearest_even;
    int key_tile = 0;  // > 0: softmax by running max and sum over tiles of so many keys
    DType exp_argument = DType::f32;
    Rounding exp_argument_rounding = Rounding::nearest_even;
    double exp_error = 0;  // largest relative error of exp on its own argument in [-87, 0]
    // GELU: |error| before the store is at most function_error max(|result|, function_floor).
    double function_error = 0;
    double function_floor = 0;
};

}  // namespace datasets
