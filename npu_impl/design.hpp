// A design: a set of compiled kernels for the array and everything its author declares about them. Plans,
// launches, judgement and modelled time follow from this value; it comes from kernels/manifest.json.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/op.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

enum class KernelFunction : std::uint8_t { matmul, softmax, attention };

struct KernelDesign {
    std::string name;
    std::string summary;
    KernelFunction function = KernelFunction::matmul;
    std::vector<CoreBuffer> core_memory;  // without the stack
};

// A separately launched piece of the layer.
struct StepDesign {
    datasets::OpRange ops{};
    KernelDesign kernel;
};

struct TileShape {
    int m = kernels::tile;
    int k = kernels::tile;
    int n = kernels::tile;

    bool operator==(const TileShape&) const = default;
};

struct Design {
    std::string name;
    std::string summary;
    int cores = 16;
    TileShape tile;
    std::int64_t tiles_per_launch = 0;  // most jobs (cores' output buffers) in one launch; 0: all there are
    std::int64_t l1_bytes = 65536;
    std::int64_t stack_bytes = 0xD00;
    std::vector<StepDesign> steps;  // in dataflow order, together exactly query..output
    std::array<datasets::Arithmetic, datasets::attention_op_count> arithmetic;  // query..output

    // Some step covers more than one op: the ops before its last never leave the core.
    [[nodiscard]] bool fused() const;
    [[nodiscard]] bool emits(datasets::Op op) const;

    // Both throw std::invalid_argument for an op outside the attention.
    [[nodiscard]] const datasets::Arithmetic& arithmetic_of(datasets::Op op) const;
    [[nodiscard]] const StepDesign& step_of(datasets::Op op) const;

    // Data memory of one core that a kernel needs, stack included.
    [[nodiscard]] std::int64_t core_bytes(const KernelDesign& kernel) const;
};

// How the kernels are told to store what `arithmetic` declares.
kernels::Store store_of(const datasets::Arithmetic& arithmetic);

// Bytes of one element in device memory.
std::int64_t bytes_of(datasets::DType type);
std::int64_t bytes_of(kernels::Store store);

// The designs of the manifest that this build was made with, in its order.
std::span<const Design> designs();
const Design* find_design(std::string_view name);

}  // namespace npu_impl
