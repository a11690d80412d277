// One run over a range of steps of a prepared layer: pull what lies upstream, launch, fetch, add up what
// comes back as partial tiles, push.
#pragma once

#include <cstdint>
#include <vector>

#include "datasets/path.hpp"
#include "npu_impl/guarded_output.hpp"
#include "npu_impl/host_sum.hpp"
#include "npu_impl/layer_plan.hpp"

namespace npu_impl {

// What a run of `ops` does beside its launches, step by step. Pure.
struct StepMoves {
    const StepPlan* step = nullptr;
    std::vector<datasets::Op> uploads;  // upstream tensors on the host that this step is the first to need
    std::int64_t bytes = 0;             // both directions, guard zones and poison included
};

// Throws std::invalid_argument if `ops` does not begin and end at step borders of the plan.
std::vector<StepMoves> plan_moves(const LayerPlan& plan, datasets::OpRange ops);

// Runs `ops`. What an op of the range needs from another op of the range stays in device memory, bit for bit,
// or, where the host adds up its k tiles, is packed from the host's fp32 tensor, rounded as the reader
// declares. Throws DeviceError and IntegrityError. The parts are as counted by the device.
//
// On a fast emulation the sample of mark_sample is computed exactly in every run that somebody observes: one
// whose sink wants any op, and looks at it. So what is seen of an op does not depend on which others are
// seen, and a run for timing, of which nothing is seen, costs what fast emulation costs.
std::vector<datasets::Part> run_layer(Device& device, const LayerPlan& plan, const LayerBuffers& buffers,
                                      HostTensors& host, datasets::OpRange ops,
                                      const datasets::Source& source, datasets::Sink& sink);

}  // namespace npu_impl
