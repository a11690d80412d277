#include "harness/npu_plans.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "harness/note_figures.hpp"
#include "harness/placement.hpp"
#include "harness/time_notes.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using npu_impl::Contexts;
using npu_impl::Cost;
using npu_impl::CostModel;
using npu_impl::Dispatch;

double flop_of(OpRange ops, std::int64_t context) {
    const datasets::LayerShape shape{context, planned_heads};
    const auto infos = datasets::ops_in(ops);
    return std::accumulate(infos.begin(), infos.end(), 0.0,
                           [&](double sum, const datasets::OpInfo& op) { return sum + op.flop(shape); });
}

// The ranges of a placement that the device takes without the host in between.
std::vector<OpRange> ranges_of(const Placement& placement) {
    std::vector<OpRange> ranges = placement.layer;
    if (placement.end) {
        ranges.push_back(datasets::end_ops);
    }
    return ranges;
}

// One design of each that the catalogue's classes compose to, without those that differ in rounding alone:
// their plans take the same time.
std::vector<std::string> designs_by_time() {
    std::vector<std::string> names;
    std::vector<double> seconds;
    const CostModel model;
    for (const npu_impl::Design& design : npu_impl::designs()) {
        double sum = 0;
        for (const npu_impl::StepCost& step : npu_impl::step_costs(design, {250, planned_heads}, model)) {
            sum += step.seconds.total();
        }
        if (std::ranges::find(seconds, sum) == seconds.end()) {
            names.push_back(design.name);
            seconds.push_back(sum);
        }
    }
    return names;
}

double audio_over(const PlanQuestion& question, double seconds) {
    return question.audio_seconds / seconds;
}

// The plans behind every way to use one design in one placement. `design` stays where the plans point.
struct PreparedPlans {
    std::unique_ptr<const npu_impl::Design> design;
    std::vector<std::pair<OpRange, npu_impl::LayerPlan>> plans;
};

PreparedPlans prepare(const std::string& design, const std::string& placement, std::int64_t context) {
    PreparedPlans out{std::make_unique<const npu_impl::Design>(npu_impl::compose(design)), {}};
    for (const OpRange range : ranges_of(parse_placement(placement))) {
        out.plans.emplace_back(
            range, npu_impl::plan_layer(*out.design, {context, planned_heads}, {0, planned_heads}, range));
    }
    return out;
}

double cpu_left(const PlanQuestion& question, const std::string& placement) {
    if (!question.cpu) {
        return remaining_cpu(placement, question.context);
    }
    const auto found = question.cpu->seconds.find(placement);
    if (found == question.cpu->seconds.end()) {
        throw std::invalid_argument(
            fmt::format("{} has no time of placement {}", question.cpu->file, placement));
    }
    return found->second;
}

PlannedWay plan_with(const PreparedPlans& prepared, const PlanQuestion& question, const WayToRun& way) {
    const CostModel model{question.spec, way.kernel, way.dispatch, way.contexts};
    PlannedWay out;
    out.way = way;
    for (const auto& [range, plan] : prepared.plans) {
        for (const npu_impl::StepCost& step : npu_impl::layer_costs(plan, range, model)) {
            const int times = datasets::end_ops.contains(step.ops.last) ? 1 : planned_layers;
            for (int i = 0; i < times; ++i) {
                out.npu += step.seconds;
            }
            out.steps.push_back(step);
        }
    }
    out.cpu_seconds = question.scope == TimeScope::attention ? 0 : cpu_left(question, way.placement);
    out.rtfx = audio_over(question, out.seconds());
    out.meets_target = out.rtfx >= question.target_rtfx;
    return out;
}

}  // namespace

double remaining_cpu(const std::string& placement, std::int64_t context) {
    const double rows = double(context) / double(note::shape.context);
    const double rate = flop_of(datasets::attention_ops, note::shape.context) / note::attention;
    const double mlp = flop_of(datasets::mlp_ops, note::shape.context) / rate;
    const double rest = note::layer - note::attention;
    const double outside = note::encoder - note::layers * note::layer;
    const double mel = note::total - note::encoder;
    double layer = rest;
    if (placement == "cpu") {
        layer += note::attention * flop_of(datasets::attention_ops, context) /
                 flop_of(datasets::attention_ops, note::shape.context) / rows;
    } else if (placement != "attention") {
        layer -= mlp;
    }
    return mel + rows * (outside + note::layers * layer);
}

PlannedWay plan_way(const PlanQuestion& question, const WayToRun& way) {
    return plan_with(prepare(way.design, way.placement, question.context), question, way);
}

std::vector<npu_impl::LayerEvent> planned_timeline(const PlanQuestion& question, const WayToRun& way) {
    return placement_timeline(npu_impl::compose(way.design), {question.context, planned_heads},
                              parse_placement(way.placement),
                              {question.spec, way.kernel, way.dispatch, way.contexts});
}

std::vector<PlannedWay> plan_ways(const PlanQuestion& question) {
    std::vector<std::string> placements = placement_names();
    if (question.scope == TimeScope::attention) {
        placements = {"attention"};
    }
    std::vector<PlannedWay> ways;
    for (const std::string& design : designs_by_time()) {
        for (const std::string& placement : placements) {
            const PreparedPlans plans = prepare(design, placement, question.context);
            for (const npu_impl::KernelRate& rate : question.spec.kernels) {
                if (rate.kernel != "peano" && rate.kernel != "chess") {
                    continue;
                }
                for (const Dispatch dispatch : {Dispatch::calls, Dispatch::run_lists}) {
                    for (const Contexts contexts : {Contexts::per_kernel, Contexts::shared}) {
                        ways.push_back(
                            plan_with(plans, question, {design, placement, dispatch, contexts, rate.kernel}));
                    }
                }
            }
        }
    }
    std::ranges::stable_sort(ways, {}, &PlannedWay::seconds);
    return ways;
}

double least_seconds(const PlanQuestion& question) {
    double flop = flop_of(datasets::attention_ops, question.context);
    if (question.scope == TimeScope::encoder) {
        flop += flop_of(datasets::mlp_ops, question.context);
    }
    return planned_layers * flop /
           (2 * double(question.spec.cores()) * question.spec.peak_mac_per_cycle * question.spec.clock_hz);
}

std::string what_would_have_to_change(const PlanQuestion& question, const PlannedWay& way) {
    if (way.meets_target) {
        return {};
    }
    const double allowed = question.audio_seconds / question.target_rtfx;
    if (const double least = least_seconds(question); least > allowed) {
        return fmt::format(
            "out of reach: {:.1f} ms are allowed, and the products alone take {:.1f} ms on all {} cores at "
            "their "
            "peak of {} MAC a cycle and {:.2f} GHz (RTFx at most {:.1f})",
            allowed * 1e3, least * 1e3, question.spec.cores(), question.spec.peak_mac_per_cycle,
            question.spec.clock_hz / 1e9, question.audio_seconds / least);
    }
    if (way.cpu_seconds >= allowed) {
        return fmt::format(
            "the CPU's part alone takes {:.0f} of {:.1f} ms: it must become {:.1f} x as fast, or move",
            way.cpu_seconds * 1e3, allowed * 1e3, way.cpu_seconds / allowed);
    }
    const double left = allowed - way.cpu_seconds;
    const npu_impl::TimeBounds& bounds = way.npu.bounds;
    if (bounds.launch_floor > left) {
        return fmt::format(
            "launches and context switches alone take {:.1f} of {:.1f} ms: at most {:.0f} of {} calls",
            bounds.launch_floor * 1e3, left * 1e3, std::floor(left / question.spec.call_seconds),
            way.npu.launches);
    }
    return fmt::format("the NPU's {:.1f} ms must become {:.1f}: {:.1f} x less, most of all of {}",
                       way.npu.total() * 1e3, left * 1e3, way.npu.total() / left, bounds.limiting());
}

std::vector<RoadMapPhase> note_road_map(PlanQuestion question, const WayToRun& fastest) {
    question.scope = TimeScope::encoder;
    question.audio_seconds = note::audio;
    question.cpu.reset();
    const auto phase = [&](std::string name, double claim, std::string taken_as, const WayToRun& way) {
        RoadMapPhase out{std::move(name), claim, std::move(taken_as), plan_way(question, way), 0};
        out.rtfx = out.way->rtfx;
        return out;
    };
    const auto calls = [](std::string design, std::string placement, std::string kernel) {
        return WayToRun{std::move(design), std::move(placement), Dispatch::calls, Contexts::per_kernel,
                        std::move(kernel)};
    };
    std::vector<RoadMapPhase> out;
    out.push_back(
        {"v2, CPU", 0.75, "the CPU alone", {}, audio_over(question, remaining_cpu("cpu", question.context))});
    out.push_back(phase("2, attention", 1.1, "its scalar kernel, one tile and core per launch",
                        calls("legacy_tile64", "attention", "peano")));
    out.push_back(phase("2, attention", 1.1, "vectorised, one tile and core per launch",
                        calls("tile64", "attention", "peano")));
    out.push_back(phase("2, attention", 1.1, "vectorised, 8 tiles per launch",
                        calls("tile64_batch", "attention", "peano")));
    out.push_back(phase("3, + FFN", 1.4, "vectorised, 8 tiles per launch",
                        calls("tile64_batch", "attention,mlp", "peano")));
    out.push_back(phase("4, 16 cores", 22, "whole array, scalar kernels", calls("unfused", "all", "scalar")));
    out.push_back(phase("5, vectorised", 220, "whole array, vectorised", calls("unfused", "all", "peano")));
    out.push_back(phase("220x", 220, "the fastest way this build knows", fastest));
    return out;
}

}  // namespace harness
