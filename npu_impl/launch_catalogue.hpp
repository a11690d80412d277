// The programs that a design runs for a layer of a shape: what has to be compiled before an NPU can run it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "npu_impl/design.hpp"
#include "npu_impl/layer_plan.hpp"

namespace npu_impl {

// Every launch of the steps in `ops`, in the order of the plan; buffers are numbered, not allocated. Throws
// std::invalid_argument for an empty shape, and for rows that a norm's kernel has no room for.
std::vector<Launch> planned_launches(const Design& design, datasets::LayerShape shape,
                                     datasets::OpRange ops = datasets::attention_ops);

struct PlannedProgram {
    datasets::OpRange step{};  // whose launches first need it
    std::string kernel;
    std::string program;        // its identity
    std::int64_t launches = 0;  // of one layer
    Launch example;             // the first of them
};

// The different programs among them, in order.
std::vector<PlannedProgram> planned_programs(const Design& design, datasets::LayerShape shape,
                                             datasets::OpRange ops = datasets::attention_ops);

}  // namespace npu_impl
