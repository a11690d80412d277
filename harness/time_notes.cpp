#include "harness/time_notes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "npu_impl/model_validation.hpp"

namespace harness {
namespace {

void add_steps(TimeModelNotes& notes, const std::vector<npu_impl::StepCost>& costs) {
    for (const npu_impl::StepCost& step : costs) {
        const npu_impl::Cost& cost = step.seconds;
        notes.steps.push_back({step.ops, step.launches, step.switches, cost.total(), cost.launch,
                               cost.transfer, cost.compute, cost.idle, std::string(cost.bounds.limiting()),
                               cost.share_of_peak()});
    }
}

std::string assumptions_of(const npu_impl::CostModel& model) {
    return fmt::format(
        "{} kernels, {}, {}", model.kernel,
        model.dispatch == npu_impl::Dispatch::calls ? "one call per launch" : "run lists",
        model.contexts == npu_impl::Contexts::per_kernel ? "a context per kernel" : "one context");
}

}  // namespace

std::string words_of(const npu_impl::CostModel& model) {
    // Specifications of one name may hold other numbers, and then compare to nothing.
    constexpr std::size_t digits = 12;
    const std::string& hash = model.spec.file_sha256;
    return fmt::format("modelled for {}{}: {}", model.spec.name,
                       hash.empty() ? "" : fmt::format(" of the file {}", hash.substr(0, digits)),
                       assumptions_of(model));
}

TimeModelNotes time_notes(const npu_impl::Design& design, datasets::LayerShape shape,
                          const Placement& placement, const npu_impl::CostModel& model) {
    TimeModelNotes notes;
    notes.device = model.spec.name;
    notes.assumptions = assumptions_of(model);
    notes.interval_factor = npu_impl::published_validation().interval_factor();
    std::vector<datasets::OpRange> ranges = placement.layer;
    if (placement.end) {
        ranges.push_back(datasets::end_ops);
    }
    for (const datasets::OpRange range : ranges) {
        const npu_impl::LayerPlan plan = npu_impl::plan_layer(design, shape, {0, shape.heads}, range);
        add_steps(notes, npu_impl::layer_costs(plan, range, model));
    }
    return notes;
}

std::vector<npu_impl::LayerEvent> placement_timeline(const npu_impl::Design& design,
                                                     datasets::LayerShape shape, const Placement& placement,
                                                     const npu_impl::CostModel& model) {
    std::vector<npu_impl::LayerEvent> out;
    double begin = 0;
    for (const datasets::OpRange range : placement.layer) {
        const npu_impl::LayerPlan plan = npu_impl::plan_layer(design, shape, {0, shape.heads}, range);
        double end = begin;
        for (npu_impl::LayerEvent event : npu_impl::layer_timeline(plan, range, model)) {
            event.event.begin += begin;
            event.event.end += begin;
            end = std::max(end, event.event.end);
            out.push_back(event);
        }
        begin = end;
    }
    return out;
}

void add_amdahl(TimeModelNotes& notes, const std::vector<LayerRow>& layers) {
    std::vector<MovedStep> steps;
    double whole = 0;
    for (const LayerRow& layer : layers) {
        for (const StepTime& step : layer.steps) {
            if (layer.layer < 0) {
                continue;  // the end is no part of a layer
            }
            auto found = std::ranges::find(steps, step.ops, &MovedStep::ops);
            if (found == steps.end()) {
                found = steps.insert(steps.end(), {step.ops, 0, 0});
            }
            found->cpu_seconds += step.cpu.seconds;
            found->npu_seconds += step.npu.seconds;
            whole += step.cpu.seconds;
        }
    }
    if (whole > 0) {
        notes.whole = "the steps that were timed, all layers";
        notes.amdahl = amdahl(steps, whole);
    }
}

void add_amdahl(TimeModelNotes& notes, const EncoderRow& row, const Placement& placement) {
    std::vector<MovedStep> steps;
    for (const OpTime& op : row.ops) {
        if (op.npu && placement.contains(op.ops.last)) {
            steps.push_back({op.ops, op.cpu.seconds, op.npu->seconds});
        }
    }
    notes.whole = fmt::format("mel and encoder of {}", row.clip);
    notes.amdahl = amdahl(steps, row.mel.seconds + row.warm.seconds);
}

}  // namespace harness
