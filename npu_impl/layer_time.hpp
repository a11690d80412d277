// Modelled time of the steps of a layer, as the path runs them one after the other: launches, changes of the
// array's configuration between kernels, and what the host writes and reads.
#pragma once

#include <cstdint>
#include <vector>

#include "datasets/op.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/layer_plan.hpp"

namespace npu_impl {

// What one step counts and costs, before anything is built.
struct StepCost {
    datasets::OpRange ops{};
    std::int64_t launches = 0;
    std::int64_t tiles = 0;
    std::int64_t idle_slots = 0;
    std::int64_t switches = 0;  // of context, to this step's kernel
    Traffic traffic;
    Cost seconds;
};

// Of the steps in `ops`, which must begin and end at borders of the plan's steps. Switches are those of
// layers that follow each other, so that the first step may follow the last; steps of the square part take
// turns wave by wave. A run list ends at a switch, and where the host adds up what came back. Throws
// std::invalid_argument for other ranges.
std::vector<StepCost> layer_costs(const LayerPlan& plan, datasets::OpRange ops, const CostModel& model);

// One thing that one lane does, while a step's launches run.
struct LayerEvent {
    datasets::OpRange ops{};
    std::int64_t wave = 0;
    TimelineEvent event;      // seconds from the start of the range
    bool configures = false;  // the host's context switches and buffer syncs, before its calls
};

// Everything that happens in one run of `ops`, as `layer_costs` adds it up. Buffer syncs come with the first
// wave of their step, but for those of every wave.
std::vector<LayerEvent> layer_timeline(const LayerPlan& plan, datasets::OpRange ops, const CostModel& model);

// Of every step of the design.
std::vector<StepCost> step_costs(const Design& design, datasets::LayerShape shape, const CostModel& model);

}  // namespace npu_impl
