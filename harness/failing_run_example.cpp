// A run that really fails, for tests of what is drawn of failures: one tile of every op comes back as zeros.
#include <algorithm>
#include <stdexcept>

#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "harness/run_record_example.hpp"
#include "harness/self_check/faults.hpp"
#include "harness/summary.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"

namespace harness {

RunRecord failing_run() {
    datasets::SyntheticModel model;
    model.shape.context = 130;
    const auto residual = datasets::synthetic_embedding(model);
    const auto layer =
        reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
    const auto faults = planted_faults();
    const auto fault = std::ranges::find(faults, "zero_tile", &Fault::name);
    if (fault == faults.end() || !fault->plant.device) {
        throw std::logic_error("no fault leaves a tile of zeros");
    }
    const auto healthy = npu_impl::open_device("emulated");
    const auto device = fault->plant.device(*healthy);
    RunRecord record = example_record();
    record.design = "unfused";
    record.recording.context = model.shape.context;
    npu_impl::NpuPath candidate(*device, *npu_impl::find_design(record.design));
    reference::GoldenPath golden;
    CaseResult result =
        run_case(layer, golden, candidate, Selection{}, record.command, [](std::string_view) {});
    record.rows = std::move(result.rows);
    record.layers = {std::move(result.layer)};
    record.ragged_probes.clear();
    sum_up(record);
    return record;
}

}  // namespace harness
