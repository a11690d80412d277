#include "npu_impl/xrt_emulation/warning.hpp"

#if __has_include(<xrt/experimental/xrt_message.h>)
#include <xrt/experimental/xrt_message.h>
#else
#include <experimental/xrt_message.h>
#endif

namespace npu_impl::xrt_emulation {

void warn(const std::string& text) {
    xrt::message::log(xrt::message::level::warning, "emulation", text);
}

}  // namespace npu_impl::xrt_emulation
