// What the host computes for designs whose k tiles come back one by one: it adds them up in fp32.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "npu_impl/layer_plan.hpp"
#include "npu_impl/packing.hpp"

namespace npu_impl {

// The products of the k tiles behind one output tile are dense tiles [64, 64] of `tiles`, one below the
// other.
//
// into[i, j] = scale * ((((0 + tile 0) + tile 1) + ...) + bias[j]), one fp32 rounding per addition; the bias
// is left out where it is empty. `scale` must be a power of two, so that it is exact unless the result is a
// denormal. `into` is an fp32 matrix, of which the first rows x columns (<= 64 each) are written.
void sum_tiles(const HostMatrix& tiles, std::int64_t k_tiles, std::span<const float> bias, float scale,
               std::int64_t rows, std::int64_t columns, const HostMatrix& into);

// fp32 tensors of the ops whose k tiles the host adds up, dense [rows, LayerPlan::row_elements], and the
// biases that it adds, rounded as operands. Scores hold one wave.
struct HostTensors {
    std::array<std::vector<float>, tensor_count> tensor;
    std::array<std::vector<float>, tensor_count> bias;
};

// The tensor of a step of the plan whose k tiles the host adds up: NaN until something is computed.
std::vector<float> host_tensor(const LayerPlan& plan, datasets::Op op);

}  // namespace npu_impl
