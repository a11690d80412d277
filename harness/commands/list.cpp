// `harness list`: the ops, designs and devices that the other commands take.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/commands/commands.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device_spec.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/layer_plan.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::DType;

std::string rounded(DType type, datasets::Rounding rounding) {
    return type == DType::f32 ? "f32" : fmt::format("bf16 {}", datasets::name(rounding));
}

// "bf16 nearest_even x bf16, vmac_f32, 64-deep tiles rounded to bf16 floor, stores bf16 floor"
std::string words_of(const Arithmetic& a) {
    std::string out = fmt::format("reads {}, sums {}", rounded(a.operand, a.operand_rounding),
                                  datasets::name(a.accumulation));
    if (a.tile_sum == datasets::TileSum::rounded) {
        out += fmt::format(", C rounded to {} every {} k", rounded(a.tile_store, a.tile_rounding), a.k_tile);
    }
    if (a.tile_sum == datasets::TileSum::on_host) {
        out += fmt::format(", {}-deep tiles as {} summed on the host", a.k_tile,
                           rounded(a.tile_store, a.tile_rounding));
    }
    if (a.key_tile > 0) {
        out += fmt::format(", running maximum and sum over {} keys, exp of {} arguments within {:.2f}%",
                           a.key_tile, rounded(a.exp_argument, a.exp_argument_rounding), 100 * a.exp_error);
    }
    if (a.function_error > 0) {
        out += fmt::format(", GELU within {:.3f}% of max(|result|, {:.4f})", 100 * a.function_error,
                           a.function_floor);
    }
    return out + ", stores " + rounded(a.store, a.store_rounding);
}

std::int64_t launches_of(const npu_impl::ClassDesign& design, datasets::OpRange ops,
                         datasets::LayerShape shape) {
    std::int64_t launches = 0;
    const npu_impl::Design whole = npu_impl::compose(design.name);
    for (const npu_impl::StepPlan& step : npu_impl::plan_layer(whole, shape, {0, shape.heads}).steps) {
        launches += step.ops == ops ? std::ssize(step.tiles.launches) : 0;
    }
    return launches;
}

void print_design(const npu_impl::ClassDesign& design, std::int64_t context) {
    constexpr int heads = 8;
    fmt::print("  {} ({}): {}\n", design.name, npu_impl::name(design.op_class), design.summary);
    npu_impl::Design core;
    core.stack_bytes = npu_impl::catalogue().stack_bytes;
    for (const npu_impl::StepDesign& step : design.steps) {
        const bool single = step.ops.first == step.ops.last;
        const std::string range =
            single ? std::string(datasets::name(step.ops.last))
                   : fmt::format("{}..{}", datasets::name(step.ops.first), datasets::name(step.ops.last));
        fmt::print("    {:<16} {:<22} {:>2} cores {:>6} launches {:>6} bytes of L1\n      {}\n", range,
                   step.kernel.name, step.cores, launches_of(design, step.ops, {context, heads}),
                   core.core_bytes(step.kernel),
                   words_of(design.arithmetic[npu_impl::index_of(step.ops.last)]));
    }
}

void print_designs(std::int64_t context) {
    fmt::print("designs (launches of one layer of Whisper base at T = {})\n", context);
    for (const npu_impl::ClassDesign& design : npu_impl::catalogue().designs) {
        print_design(design, context);
    }
    fmt::print("\ncombinations\n");
    for (const npu_impl::Combination& combination : npu_impl::catalogue().combinations) {
        fmt::print("  {} = {}: {}\n", combination.name, fmt::join(combination.designs, ","),
                   combination.summary);
    }
}

}  // namespace

ExitCode run(const ListOptions& options, const std::string&) {
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    if (options.designs) {
        print_designs(options.context);
        return ExitCode::passed;
    }
    fmt::print("ops\n");
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
        fmt::print("  {}\n", info.name);
    }
    fmt::print("\n");
    print_designs(options.context);
    fmt::print("\ndevices\n");
    for (const npu_impl::DeviceOption& device : npu_impl::device_options()) {
        fmt::print("  {:<10} {}{}\n", device.name, device.summary,
                   device.available ? "" : " (not in this build)");
    }
    fmt::print("\ndevice specifications of the time model (--device-spec)\n");
    for (const npu_impl::DeviceSpec& spec : npu_impl::device_specs()) {
        fmt::print("  {:<12} {}: {} cores at {:.1f} GHz\n", spec.name, spec.product, spec.cores(),
                   spec.clock_hz / 1e9);
    }
    return ExitCode::passed;
}

}  // namespace harness
