// A design: a set of compiled kernels for the array and everything its author declares about them. Plans,
// launches, judgement and modelled time follow from this value; it comes from kernels/manifest.json.
//
// The manifest holds designs of one class of ops each. A path runs a composition: one design per class.
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

enum class KernelFunction : std::uint8_t { matmul, softmax, attention, norm, gelu };

struct KernelDesign {
    std::string name;
    std::string summary;
    KernelFunction function = KernelFunction::matmul;
    KernelSource source = KernelSource::aie2;
    std::vector<CoreBuffer> core_memory;  // without the stack
};

// A separately launched piece of the layer.
struct StepDesign {
    datasets::OpRange ops{};
    KernelDesign kernel;
    int cores = 16;
    std::int64_t tiles_per_launch = 0;  // most jobs (cores' output buffers) in one launch; 0: all there are
};

struct TileShape {
    int m = kernels::tile;
    int k = kernels::tile;
    int n = kernels::tile;

    bool operator==(const TileShape&) const = default;
};

// The ops that one design of the manifest covers.
enum class OpClass : std::uint8_t {
    gemm,       // query, key, value, scores, context, output, fc1, fc2
    softmax,    // probabilities
    attention,  // scores, probabilities and context in one step
    gelu,       // gelu
    norm,       // attention_norm, mlp_norm, encoder
};
inline constexpr std::size_t op_class_count = 5;
std::string_view name(OpClass op_class);
std::vector<datasets::Op> ops_of(OpClass op_class);

// By op; meaningful for the ops that a design covers.
using Arithmetics = std::array<datasets::Arithmetic, datasets::op_count>;

constexpr std::size_t index_of(datasets::Op op) {
    return static_cast<std::size_t>(op);
}

// How weights reach the device: always as bf16. Those of a norm too, whose other operand is fp32.
constexpr datasets::Rounding weight_rounding(const datasets::Arithmetic& arithmetic) {
    return arithmetic.operand_rounding;
}

// Everything that the device can take over. Residual additions, which lie between, are the CPU's.
inline constexpr datasets::OpRange device_ops{datasets::Op::attention_norm, datasets::Op::encoder};

struct ClassDesign {
    std::string name;
    std::string summary;
    OpClass op_class = OpClass::gemm;
    TileShape tile;
    std::vector<StepDesign> steps;  // in dataflow order
    Arithmetics arithmetic;
    std::string declaration;  // all that the manifest says of it, its kernels and arithmetic: canonical JSON
};

// A name for a composition.
struct Combination {
    std::string name;
    std::string summary;
    std::vector<std::string> designs;
};

// What the manifest holds.
struct Catalogue {
    std::int64_t l1_bytes = 65536;
    std::int64_t stack_bytes = 0xD00;
    std::vector<ClassDesign> designs;
    std::vector<Combination> combinations;
    std::string default_gemm;
    std::string default_softmax;
    std::string default_gelu;
    std::string default_norm;
};

// Designs of the manifest, composed to cover all that the device can take over.
struct Design {
    std::string name;
    std::string summary;
    TileShape tile;
    std::int64_t l1_bytes = 65536;
    std::int64_t stack_bytes = 0xD00;
    std::vector<StepDesign> steps;  // in dataflow order
    Arithmetics arithmetic;
    std::string declaration_sha256;  // of the declarations of its designs

    // The most that any step uses.
    [[nodiscard]] int cores() const;

    [[nodiscard]] bool covers(datasets::Op op) const;

    // Some step covers more than one op: the ops before its last never leave the core.
    [[nodiscard]] bool fused() const;
    [[nodiscard]] bool emits(datasets::Op op) const;

    // Both throw std::invalid_argument for an op that no step covers.
    [[nodiscard]] const datasets::Arithmetic& arithmetic_of(datasets::Op op) const;
    [[nodiscard]] const StepDesign& step_of(datasets::Op op) const;

    // Data memory of one core that a kernel needs, stack included.
    [[nodiscard]] std::int64_t core_bytes(const KernelDesign& kernel) const;
};

// What a kernel that computes as declared puts out: finished tiles, or the product of each k tile by itself,
// which the host adds up.
struct TileOutput {
    kernels::Store store = kernels::Store::f32;
    bool partial = false;
};
TileOutput tile_output(const datasets::Arithmetic& arithmetic);

// Bytes of one element in device memory.
std::int64_t bytes_of(datasets::DType type);
std::int64_t bytes_of(kernels::Store store);

// The manifest that this build was made with.
const Catalogue& catalogue();

// One design per class. All classes but attention have defaults, softmax where no attention replaces it. A
// combination stands for its designs. The name of the result does not depend on the order: that of a
// combination, or its designs' names joined by a comma, without a default GELU or norm. Throws
// std::invalid_argument, one line, for unknown names (listing the valid ones), two designs of a class, and a
// softmax beside an attention.
Design compose(const Catalogue& catalogue, std::span<const std::string_view> names);

// The same, from this build's manifest and a list like "tile64,softmax_rows".
Design compose(std::string_view list);

// Every composition of this build's manifest, combinations first.
std::span<const Design> designs();

// One of designs(), by a list as for `compose`; null where that throws.
const Design* find_design(std::string_view list);

}  // namespace npu_impl
