#include "npu_impl/launch_catalogue.hpp"

#include <algorithm>
#include <map>

#include "npu_impl/launch_program.hpp"

namespace npu_impl {
namespace {

LayerBuffers numbered_buffers() {
    LayerBuffers buffers;
    int next = 0;
    for (auto* list : {&buffers.tensor, &buffers.weight, &buffers.bias}) {
        for (std::optional<Buffer>& buffer : *list) {
            buffer = Buffer{next++};
        }
    }
    buffers.partial = Buffer{next};
    return buffers;
}

// Calls use(step, launch) for every launch.
template <typename Use>
void for_planned(const Design& design, datasets::LayerShape shape, datasets::OpRange ops, Use use) {
    const LayerPlan plan = plan_layer(design, shape, {0, shape.heads}, ops);
    require_fit(plan, ops);
    const LayerBuffers all = numbered_buffers();
    for (const StepPlan& step : plan.steps) {
        LayerBuffers buffers = all;
        // Whisper's key has no bias; where the host adds up the k tiles, it adds the bias too.
        if (step.ops.last == datasets::Op::key || step.tiles.partial) {
            buffers.bias[tensor_index(step.ops.last)].reset();
        }
        for (std::int64_t wave = 0; wave < step.tiles.waves(); ++wave) {
            for (Launch& launch : bind(plan, step, wave, buffers)) {
                use(step, std::move(launch));
            }
        }
    }
}

}  // namespace

std::vector<Launch> planned_launches(const Design& design, datasets::LayerShape shape,
                                     datasets::OpRange ops) {
    std::vector<Launch> launches;
    for_planned(design, shape, ops,
                [&](const StepPlan&, Launch launch) { launches.push_back(std::move(launch)); });
    return launches;
}

std::vector<PlannedProgram> planned_programs(const Design& design, datasets::LayerShape shape,
                                             datasets::OpRange ops) {
    std::vector<PlannedProgram> programs;
    std::map<LaunchProgram, std::size_t> known;
    for_planned(design, shape, ops, [&](const StepPlan& step, Launch launch) {
        const BoundLaunch bound = bind_program(launch);
        const auto [found, is_new] = known.emplace(bound.program, programs.size());
        if (is_new) {
            programs.push_back({step.ops, launch.kernel, identity(bound.program), 0, std::move(launch)});
        }
        ++programs[found->second].launches;
    });
    return programs;
}

}  // namespace npu_impl
