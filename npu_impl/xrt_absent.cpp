// xrt_device.hpp in a build without XRT.
#include "npu_impl/xrt_device.hpp"

namespace npu_impl {

bool built_with_xrt() {
    return false;
}

std::string_view xrt_flow() {
    return "none";
}

std::unique_ptr<Device> open_xrt_device(const XrtSettings&) {
    throw DeviceError(
        "device xrt: this build has no XRT support; install XRT's headers (libxrt-dev, uuid-dev) and build "
        "anew; the device it has is: emulated");
}

}  // namespace npu_impl
