// `harness list`: the ops, designs and devices that the other commands take.
#include <fmt/format.h>

#include "harness/commands/commands.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"

namespace harness {
namespace {

std::string stored(const datasets::Arithmetic& arithmetic) {
    return arithmetic.store == datasets::DType::f32
               ? "f32"
               : fmt::format("bf16 {}", datasets::name(arithmetic.store_rounding));
}

std::string steps_of(const npu_impl::Design& design) {
    std::string out;
    for (const npu_impl::StepDesign& step : design.steps) {
        const bool single = step.ops.first == step.ops.last;
        const std::string range =
            single ? std::string(datasets::name(step.ops.last))
                   : fmt::format("{}..{}", datasets::name(step.ops.first), datasets::name(step.ops.last));
        out += fmt::format("    {:<20} {:<24} stores {:<18} {:>5} bytes of L1\n", range, step.kernel.name,
                           stored(design.arithmetic_of(step.ops.last)), design.core_bytes(step.kernel));
    }
    return out;
}

}  // namespace

ExitCode run(const ListOptions& options, const std::string&) {
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    fmt::print("ops\n");
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        fmt::print("  {}\n", info.name);
    }
    fmt::print("\ndesigns\n");
    for (const npu_impl::Design& design : npu_impl::designs()) {
        fmt::print("  {}: {}\n    {} cores, {}\n{}", design.name, design.summary, design.cores,
                   design.tiles_per_launch > 0
                       ? fmt::format("at most {} jobs a launch", design.tiles_per_launch)
                       : std::string("whole step or wave a launch"),
                   steps_of(design));
    }
    fmt::print("\ndevices\n");
    for (const npu_impl::DeviceOption& device : npu_impl::device_options()) {
        fmt::print("  {:<10} {}{}\n", device.name, device.summary,
                   device.available ? "" : " (not in this build)");
    }
    fmt::print("\ndevice specifications of the cost model\n");
    for (const npu_impl::DeviceSpec& spec : npu_impl::device_specs()) {
        fmt::print("  {:<12} {}: {} cores at {:.1f} GHz\n", spec.name, spec.product, spec.cores,
                   spec.clock_hz / 1e9);
    }
    return ExitCode::passed;
}

}  // namespace harness
