// Whether a kernel can compute what a design declares of it.
#pragma once

#include <string_view>

#include "npu_impl/design.hpp"

namespace npu_impl {

// Which function the kernels of a class compute.
KernelFunction function_of(OpClass op_class);

// What is wrong with the declared arithmetic of a step's last op, in view of what its kernel, and the layout
// of the layer's buffers, rely on; empty: nothing.
std::string_view declaration_fault(const StepDesign& step, const datasets::Arithmetic& arithmetic);

}  // namespace npu_impl
