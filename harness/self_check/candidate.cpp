#include "harness/self_check/candidate.hpp"

#include <algorithm>

#include "harness/placement.hpp"
#include "npu_impl/emulated_device.hpp"
#include "reference/golden.hpp"
#include "reference/golden_end_source.hpp"

namespace harness {

using datasets::OpRange;

Candidate::Candidate(const Plant& plant, const Ground& ground, const npu_impl::Design& design,
                     datasets::Emulation emulation) {
    if (plant.kernels) {
        npu_impl::DeviceKernels kernels = npu_impl::emulated_kernels(emulation);
        plant.kernels(kernels.exact);
        plant.kernels(kernels.fast);
        device_ = std::make_unique<npu_impl::EmulatedDevice>(std::move(kernels));
    } else {
        device_ = npu_impl::open_device("emulated", emulation);
    }
    if (plant.device) {
        decorated_device_ = plant.device(*device_);
    }
    npu_ = std::make_unique<npu_impl::NpuPath>(decorated_device_ ? *decorated_device_ : *device_, design);
    if (plant.path) {
        decorated_path_ = plant.path(*npu_, ground);
    }
}

OpRange steps_of(const npu_impl::Design& design, OpRange place) {
    return {design.step_of(place.first).ops.first, design.step_of(place.last).ops.last};
}

bool within_reach(const npu_impl::Design& design, const Ground& ground, OpRange place) {
    if (!design.covers(place.first) || !design.covers(place.last) || !design.emits(place.last)) {
        return false;
    }
    if (place == datasets::end_ops) {
        return ground.end.has_value() && !ground.block.empty();
    }
    return missing_for({"self-check", {steps_of(design, place)}, false}, ground.case_for(place)).empty();
}

CaseResult run_trial(const datasets::LayerCase& layer, const Ground& ground, const npu_impl::Design& design,
                     datasets::Path& path, const PlaceTrial& trial) {
    reference::GoldenPath golden;
    Selection selection;
    selection.inputs = trial.inputs;
    selection.ops = trial.judged;
    selection.timing = {1, 1};
    selection.row_seed = trial.row_seed;
    const auto quiet = [](std::string_view) {};
    if (trial.place == datasets::end_ops) {
        selection.placement = parse_placement("all");
        const reference::GoldenEndSource source(*ground.end, ground.block);
        return run_end(*ground.end, layer.clip, source, golden, path, selection, "harness", quiet);
    }
    selection.placement = {"self-check", {steps_of(design, trial.place)}, false};
    return run_case(layer, golden, path, selection, "harness", quiet);
}

}  // namespace harness
