#include "npu_impl/design.hpp"

#include <algorithm>
#include <stdexcept>

#include "npu_impl/manifest.hpp"

namespace npu_impl {

using datasets::Op;

bool Design::fused() const {
    return std::ranges::any_of(steps, [](const StepDesign& step) { return step.ops.first != step.ops.last; });
}

bool Design::emits(Op op) const {
    return std::ranges::any_of(steps, [op](const StepDesign& step) { return step.ops.last == op; });
}

const datasets::Arithmetic& Design::arithmetic_of(Op op) const {
    if (!datasets::attention_ops.contains(op)) {
        throw std::invalid_argument("design " + name + " declares no arithmetic of " +
                                    std::string(datasets::name(op)));
    }
    return arithmetic[static_cast<std::size_t>(op) - static_cast<std::size_t>(Op::query)];
}

const StepDesign& Design::step_of(Op op) const {
    const auto found =
        std::ranges::find_if(steps, [op](const StepDesign& step) { return step.ops.contains(op); });
    if (found == steps.end()) {
        throw std::invalid_argument("design " + name + " has no step for " + std::string(datasets::name(op)));
    }
    return *found;
}

std::int64_t Design::core_bytes(const KernelDesign& kernel) const {
    std::int64_t bytes = stack_bytes;
    for (const CoreBuffer& buffer : kernel.core_memory) {
        bytes += buffer.total();
    }
    return bytes;
}

kernels::Store store_of(const datasets::Arithmetic& arithmetic) {
    if (arithmetic.store == datasets::DType::f32) {
        return kernels::Store::f32;
    }
    switch (arithmetic.store_rounding) {
        case datasets::Rounding::nearest_even:
            return kernels::Store::bf16_nearest_even;
        case datasets::Rounding::toward_zero:
            return kernels::Store::bf16_toward_zero;
        case datasets::Rounding::floor:
            break;
    }
    return kernels::Store::bf16_floor;
}

std::int64_t bytes_of(datasets::DType type) {
    return type == datasets::DType::f32 ? 4 : 2;
}

std::int64_t bytes_of(kernels::Store store) {
    return store == kernels::Store::f32 ? 4 : 2;
}

std::span<const Design> designs() {
    static const std::vector<Design> from_manifest = parse_manifest(embedded_manifest());
    return from_manifest;
}

const Design* find_design(std::string_view name) {
    const auto all = designs();
    const auto found = std::ranges::find(all, name, &Design::name);
    return found == all.end() ? nullptr : &*found;
}

}  // namespace npu_impl
