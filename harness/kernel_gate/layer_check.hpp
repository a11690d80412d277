// The gate of a whole attention layer with a user's kernel in the place of one of ours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "harness/kernel_gate/sandbox.hpp"
#include "npu_impl/design.hpp"

namespace harness::kernel_gate {

// Two full blocks of rows and two rows more: the last key tile has two keys.
inline constexpr std::int64_t layer_context = 130;

// Runs layer 0 of the synthetic hard recording on an emulated device of exact arithmetic, isolated and
// chained, and judges every op as `--compare` does. Sends a check per stage, a table, and a finding per
// failed row. The headline, a criterion of the users and no property of a kernel, is only mentioned. On one
// thread: cores do not share their static variables, threads do. Throws npu_impl::DeviceError where our own
// kernels are missing.
void check_layer(const npu_impl::Design& design, std::string_view role, const std::string& module,
                 const std::string& symbol, const Reporter& reporter);

}  // namespace harness::kernel_gate
