// `harness doctor`: what stands in the way of the device xrt, and what mends it.
#include <fmt/format.h>

#include <algorithm>

#include "harness/commands/commands.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_system.hpp"
#include "npu_impl/pass_through.hpp"

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

constexpr std::string_view reload = "sudo modprobe -r amdxdna && sudo modprobe amdxdna; then boot anew";

// Data there and back, through a buffer of the NPU. No kernel takes part.
SystemFinding data_trip(npu_impl::Device& device) {
    constexpr std::int64_t bytes = 1 << 16;
    const npu_impl::Buffer buffer = device.allocate(bytes);
    const std::span<std::byte> image = device.map(buffer);
    const auto pattern = [](std::size_t i) { return static_cast<std::byte>(i * 7 + 1); };
    for (std::size_t i = 0; i < image.size(); ++i) {
        image[i] = pattern(i);
    }
    device.sync(buffer, npu_impl::Direction::to_device, 0, bytes);
    device.sync(buffer, npu_impl::Direction::from_device, 0, bytes);
    std::size_t different = 0;
    for (std::size_t i = 0; i < image.size(); ++i) {
        different += static_cast<std::size_t>(image[i] != pattern(i));
    }
    device.release(buffer);
    if (different > 0) {
        return {SystemFindingKind::bad, "round trip",
                fmt::format("{} of {} bytes came back otherwise", different, bytes), std::string(reload)};
    }
    return {SystemFindingKind::good, "round trip", fmt::format("{} bytes to the NPU and back", bytes), ""};
}

// A tile through a core, where an artefact serves it.
SystemFinding kernel_trip(npu_impl::Device& device, const std::string& folder) {
    const std::vector<npu_impl::Artefact> artefacts = npu_impl::read_artefacts(folder);
    const std::string program = npu_impl::pass_through_program();
    const auto artefact = std::ranges::find(artefacts, program, &npu_impl::Artefact::program);
    if (artefact == artefacts.end()) {
        return {SystemFindingKind::unknown, "pass-through",
                fmt::format("not run: no artefact of {} serves program {}", folder, program),
                fmt::format("kernels/build_xclbins.sh --artefacts {} --peano DIR --design tile64", folder)};
    }
    const std::int64_t different = npu_impl::pass_through(device);
    if (different > 0) {
        return {
            SystemFindingKind::bad, "pass-through",
            fmt::format("{} of {} numbers came back from a core otherwise (artefact {})", different,
                        npu_impl::pass_through_elements, artefact->name),
            fmt::format("build it anew: kernels/build_xclbins.sh --artefacts {} --peano DIR --design tile64",
                        folder)};
    }
    return {SystemFindingKind::good, "pass-through",
            fmt::format("{} numbers through a core, bit for bit (artefact {})",
                        npu_impl::pass_through_elements, artefact->name),
            ""};
}

void add_trips(const npu_impl::XrtSettings& settings, std::vector<SystemFinding>& findings) {
    std::string_view subject = "round trip";
    try {
        const auto device = npu_impl::open_device("xrt", datasets::Emulation::exact, settings);
        findings.push_back(data_trip(*device));
        subject = "pass-through";
        findings.push_back(kernel_trip(*device, settings.artefacts));
    } catch (const std::exception& error) {
        findings.push_back(
            {SystemFindingKind::bad, std::string(subject), error.what(), "see the findings above"});
    }
}

}  // namespace

ExitCode run(const DoctorOptions& options, const std::string&) {
    std::vector<SystemFinding> findings = npu_impl::examine_system(options.root, npu_impl::this_process());
    if (!options.xrt.artefacts.empty()) {
        add_trips(options.xrt, findings);
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
