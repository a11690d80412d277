#include "npu_impl/declaration.hpp"

#include <algorithm>

namespace npu_impl {
namespace {

using datasets::DType;
using datasets::Op;
using datasets::TileSum;

// What the device takes as fp32: sums that no product reads, and the fp32 stream of residuals.
DType operand_of(KernelFunction function) {
    const bool product = function == KernelFunction::matmul || function == KernelFunction::attention;
    return product ? DType::bf16 : DType::f32;
}

// Scores and fc1 are read as fp32, output and fc2 added to the stream.
bool stays_f32(Op op) {
    return op == Op::scores || op == Op::output || op == Op::fc1 || op == Op::fc2;
}

}  // namespace

KernelFunction function_of(OpClass op_class) {
    switch (op_class) {
        case OpClass::gemm:
            return KernelFunction::matmul;
        case OpClass::softmax:
            return KernelFunction::softmax;
        case OpClass::gelu:
            return KernelFunction::gelu;
        case OpClass::norm:
            return KernelFunction::norm;
        case OpClass::attention:
            break;
    }
    return KernelFunction::attention;
}

std::string_view declaration_fault(const StepDesign& step, const datasets::Arithmetic& arithmetic) {
    const KernelFunction function = step.kernel.function;
    const bool product = function == KernelFunction::matmul;
    const bool on_host = arithmetic.tile_sum == TileSum::on_host;
    const DType store = on_host || stays_f32(step.ops.last) ? DType::f32 : DType::bf16;
    if (arithmetic.operand != operand_of(function) || arithmetic.store != store) {
        return "has an operand or store type that its kernel lacks";
    }
    const bool exponentiates = function == KernelFunction::softmax || function == KernelFunction::attention;
    if (exponentiates != (arithmetic.key_tile > 0)) {
        return "has a wrong key_tile";
    }
    const bool scalar = step.kernel.source == KernelSource::scalar;
    if (scalar != (arithmetic.accumulation == datasets::Accumulation::chain_f32)) {
        return "has an accumulation that the source of its kernel lacks";
    }
    const bool rounded = arithmetic.tile_sum == TileSum::rounded;
    const bool same_store =
        arithmetic.tile_store == arithmetic.store && arithmetic.tile_rounding == arithmetic.store_rounding;
    const bool accumulates = std::ranges::find(step.kernel.core_memory, "accumulator", &CoreBuffer::name) !=
                             step.kernel.core_memory.end();
    if ((!product && arithmetic.tile_sum != TileSum::on_core) || (product && rounded == accumulates) ||
        (rounded && (store != DType::bf16 || !same_store))) {
        return "has a tile_sum that its kernel lacks";
    }
    return {};
}

}  // namespace npu_impl
