// Warnings as XRT itself gives them, for tests.
#pragma once

#include <string>

namespace npu_impl::xrt_emulation {

void warn(const std::string& text);

}  // namespace npu_impl::xrt_emulation
