#include "harness/npu_environment.hpp"

#include <fmt/format.h>

namespace harness {

std::optional<NpuEnvironment> npu_environment(const npu_impl::Device& device) {
    const std::optional<npu_impl::NpuIdentity> npu = device.npu();
    if (!npu) {
        return std::nullopt;
    }
    return NpuEnvironment{npu->name, npu->hardware, npu->power_mode,
                          npu->xrt,  npu->firmware, npu->most_launches_at_once};
}

void note_power_mode(Environment& environment, const npu_impl::Device& device) {
    if (!environment.npu) {
        return;
    }
    std::string now;
    try {
        now = npu_environment(device)->power_mode;
    } catch (const npu_impl::DeviceError& error) {
        now = fmt::format("unknown: {}", error.what());
    }
    if (now != environment.npu->power_mode) {
        environment.npu->power_mode += ", then " + now;
    }
}

std::string measured_speedup_label(const Environment& environment) {
    return fmt::format(
        "measured on one machine: {} tasks of its CPU against the calls of its {}, power mode {}",
        environment.threads, environment.npu->name, environment.npu->power_mode);
}

}  // namespace harness
