#include "harness/declared.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "npu_impl/design.hpp"

namespace harness {

datasets::OpRange Declared::step_of(datasets::Op op) const {
    const auto found =
        std::ranges::find_if(steps, [op](const datasets::OpRange& step) { return step.contains(op); });
    if (found == steps.end()) {
        throw std::invalid_argument(fmt::format("no step computes {}", datasets::name(op)));
    }
    return *found;
}

bool Declared::has(datasets::Op op) const {
    return std::ranges::any_of(steps, [op](const datasets::OpRange& step) { return step.contains(op); });
}

bool Declared::fused(datasets::Op op) const {
    const datasets::OpRange step = step_of(op);
    return step.first != step.last;
}

Declared declared_by(const datasets::Path& path) {
    Declared out;
    out.steps.assign(path.steps().begin(), path.steps().end());
    for (const datasets::OpRange step : out.steps) {
        for (const datasets::OpInfo& info : datasets::ops_in(step)) {
            out.of(info.op) = path.arithmetic(info.op);
        }
    }
    return out;
}

Declared declared_by(const npu_impl::Design& design) {
    Declared out;
    out.arithmetic = design.arithmetic;
    std::ranges::transform(design.steps, std::back_inserter(out.steps), &npu_impl::StepDesign::ops);
    return out;
}

}  // namespace harness
