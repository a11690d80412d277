// The devices of this build, and what is looked up in one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "npu_impl/device_spec.hpp"

namespace npu_impl {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return out;
}

}  // namespace

bool DeviceSpec::has_kernel(std::string_view kernel) const {
    return std::ranges::find(kernels, kernel, &KernelRate::kernel) != kernels.end();
}

const KernelRate& DeviceSpec::rate_of(std::string_view kernel) const {
    const auto found = std::ranges::find(kernels, kernel, &KernelRate::kernel);
    if (found == kernels.end()) {
        std::vector<std::string> names;
        std::ranges::transform(kernels, std::back_inserter(names), &KernelRate::kernel);
        throw std::invalid_argument(fmt::format("device {}: no rate of a {} kernel; valid: {}", name, kernel,
                                                fmt::join(names, ", ")));
    }
    return *found;
}

std::span<const DeviceSpec> device_specs() {
    static const std::vector<DeviceSpec> specs = [] {
        std::vector<DeviceSpec> all;
        for (const EmbeddedSpec& embedded : embedded_device_specs()) {
            all.push_back(parse_device_spec(embedded.text, std::string(embedded.file)));
        }
        return all;
    }();
    return specs;
}

const DeviceSpec* find_device_spec(std::string_view name) {
    for (const DeviceSpec& spec : device_specs()) {
        const auto same = [&](const std::string& other) { return lower(other) == lower(name); };
        if (same(spec.name) || std::ranges::any_of(spec.aliases, same)) {
            return &spec;
        }
    }
    return nullptr;
}

}  // namespace npu_impl
