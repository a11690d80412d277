// `harness doctor`: what stands in the way of the device xrt, and what mends it.
#include <fmt/format.h>

#include <algorithm>

#include "harness/commands/commands.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_system.hpp"

namespace harness {
namespace {

using npu_impl::SystemFinding;
using npu_impl::SystemFindingKind;

std::string_view mark(SystemFindingKind kind) {
    switch (kind) {
        case SystemFindingKind::good:
            return "ok     ";
        case SystemFindingKind::unknown:
            return "note   ";
        default:
            return "missing";
    }
}

// Data there and back, through a buffer of the NPU. No kernel takes part.
SystemFinding round_trip(const npu_impl::XrtSettings& settings) {
    constexpr std::int64_t bytes = 1 << 16;
    try {
        const auto device = npu_impl::open_device("xrt", datasets::Emulation::exact, settings);
        const npu_impl::Buffer buffer = device->allocate(bytes);
        const std::span<std::byte> image = device->map(buffer);
        const auto pattern = [](std::size_t i) { return static_cast<std::byte>(i * 7 + 1); };
        for (std::size_t i = 0; i < image.size(); ++i) {
            image[i] = pattern(i);
        }
        device->sync(buffer, npu_impl::Direction::to_device, 0, bytes);
        device->sync(buffer, npu_impl::Direction::from_device, 0, bytes);
        std::size_t different = 0;
        for (std::size_t i = 0; i < image.size(); ++i) {
            different += static_cast<std::size_t>(image[i] != pattern(i));
        }
        device->release(buffer);
        if (different > 0) {
            return {SystemFindingKind::bad, "round trip",
                    fmt::format("{} of {} bytes came back otherwise", different, bytes),
                    "sudo modprobe -r amdxdna && sudo modprobe amdxdna; then boot anew"};
        }
        return {SystemFindingKind::good, "round trip", fmt::format("{} bytes to the NPU and back", bytes),
                ""};
    } catch (const std::exception& error) {
        return {SystemFindingKind::bad, "round trip", error.what(), "see the findings above"};
    }
}

}  // namespace

ExitCode run(const DoctorOptions& options, const std::string&) {
    std::vector<SystemFinding> findings = npu_impl::examine_system(options.root, npu_impl::this_process());
    if (!options.xrt.artefacts.empty()) {
        findings.push_back(round_trip(options.xrt));
    } else {
        findings.push_back({SystemFindingKind::unknown, "round trip", "not made: it takes artefacts",
                            "harness doctor --artefacts DIR"});
    }
    for (const SystemFinding& finding : findings) {
        if (options.common.quiet && finding.kind != SystemFindingKind::bad) {
            continue;
        }
        fmt::print("{}  {:<17} {}\n", mark(finding.kind), finding.subject, finding.found);
        if (!finding.mend.empty()) {
            fmt::print("         {:<17} -> {}\n", "", finding.mend);
        }
    }
    const bool usable = npu_impl::is_usable(findings);
    if (!options.common.quiet) {
        fmt::print("{}\n", usable ? "the device xrt should work" : "the device xrt cannot work");
    }
    return usable ? ExitCode::passed : ExitCode::could_not_run;
}

}  // namespace harness
