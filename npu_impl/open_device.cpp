#include <fmt/format.h>

#include <array>

#include "kernels/kernel_module.hpp"
#include "npu_impl/emulated_device.hpp"

namespace npu_impl {
std::span<const DeviceOption> device_options() {
    static const std::array options{
        DeviceOption{"emulated", "16 cores of XDNA1, computed by the AIE kernels on this CPU; no clock",
                     true},
        DeviceOption{"xrt",
                     built_with_xrt() ? "an NPU through XRT, with the compiled designs of --artefacts"
                                      : "an NPU through XRT; not part of this build",
                     built_with_xrt()},
    };
    return options;
}

DeviceKernels emulated_kernels(datasets::Emulation emulation) {
    try {
        return {kernels::aie2_module().table(), kernels::tile_kernels(), emulation};
    } catch (const kernels::ModuleError& error) {
        throw DeviceError(fmt::format("device emulated: {}", error.what()));
    }
}

std::unique_ptr<Device> open_device(std::string_view name, datasets::Emulation emulation,
                                    const XrtSettings& xrt) {
    if (name == "emulated") {
        return std::make_unique<EmulatedDevice>(emulated_kernels(emulation));
    }
    if (name == "xrt") {
        return open_xrt_device(xrt);
    }
    throw DeviceError(fmt::format("device {}: unknown; devices are: emulated, xrt", name));
}

}  // namespace npu_impl
