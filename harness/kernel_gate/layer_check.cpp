#include "harness/kernel_gate/layer_check.hpp"

#include <fmt/format.h>
#include <tbb/global_control.h>

#include <cmath>
#include <optional>

#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "npu_impl/kernel_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"

namespace harness::kernel_gate {
namespace {

datasets::LayerCase hard_layer() {
    datasets::SyntheticModel model;
    model.shape.context = layer_context;
    return reference::make_case(datasets::synthetic_block(model, 0), model.shape,
                                datasets::synthetic_embedding(model), "hard", 0);
}

const OpRow* row_of(const CaseResult& result, datasets::Op op, Input input) {
    for (const OpRow& row : result.rows) {
        if (row.op == op && row.input == input) {
            return &row;
        }
    }
    return nullptr;
}

std::string cell(const OpRow* row) {
    if (row == nullptr) {
        return fmt::format("  {:<10} {:>8}", "-", "");
    }
    const double rho = row->statistics ? row->statistics->rho : 0;
    return fmt::format("  {:<10} {:>8}", name(row->judgement.verdict),
                       !row->statistics      ? ""
                       : !std::isfinite(rho) ? "inf"
                       : rho < 1000          ? fmt::format("{:.3f}", rho)
                                             : fmt::format("{:.0e}", rho));
}

std::string table(const CaseResult& result) {
    std::string out =
        fmt::format("  {:<14}  {:<10} {:>8}  {:<10} {:>8}\n", "op", "isolated", "rho", "chained", "rho");
    for (const datasets::OpInfo& op : datasets::ops_in(datasets::attention_ops)) {
        out += fmt::format("  {:<14}{}{}\n", op.name, cell(row_of(result, op.op, Input::isolated)),
                           cell(row_of(result, op.op, Input::chained)));
    }
    if (result.layer.headline.verdict == Verdict::failed) {
        out += fmt::format("  note: {}\n", result.layer.headline.reason);
    }
    return out;
}

// Reason and place of the damage.
std::string finding(const OpRow& row) {
    std::string out =
        fmt::format("{} ({}): {}", datasets::name(row.op), name(row.input), row.judgement.reason);
    if (!row.statistics || !row.statistics->damage) {
        return out;
    }
    const Damage& damage = *row.statistics->damage;
    out += fmt::format(
        "; worst: {}element ({}, {}): got {:.6g}, expected {:.6g} +- {:.2g}; rows {}-{}, {} of {} blocks",
        damage.worst.head >= 0 ? fmt::format("head {}, ", damage.worst.head) : "", damage.worst.row,
        damage.worst.column, damage.worst.got, damage.worst.expected, damage.worst.bound, damage.row_begin,
        damage.row_end, damage.blocks, row.statistics->blocks_expected);
    return row.site ? fmt::format("{}; tile {} of core {}", out, row.site->tile, row.site->core) : out;
}

void send(const CaseResult& result, const Reporter& reporter) {
    reporter.text(table(result));
    for (const OpRow& row : result.rows) {
        if (row.judgement.verdict != Verdict::passed && row.judgement.verdict != Verdict::covered) {
            reporter.finding(finding(row));
        }
    }
    for (const ProbeRow& row : result.layer.probes) {
        if (row.judgement.verdict == Verdict::failed) {
            reporter.finding(row.judgement.reason);
        }
    }
    if (result.layer.differing_elements > 0) {
        reporter.finding(fmt::format("{} of {} elements lie in blocks that differ after A, B, A",
                                     result.layer.differing_elements, result.layer.repeated_elements));
    }
}

}  // namespace

void check_layer(const npu_impl::Design& design, std::string_view role, const std::string& module,
                 const std::string& symbol, const Reporter& reporter) {
    const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
    reporter.check("layer: data");
    const datasets::LayerCase layer = hard_layer();
    std::optional<npu_impl::KernelDevice> device;
    try {
        device.emplace(role, module, symbol);
    } catch (const npu_impl::KernelError& error) {
        reporter.finding(error.what());
        return;
    }
    npu_impl::NpuPath candidate(device->device(), design);
    reference::GoldenPath golden;
    Selection selection;
    selection.timing = {1, 1};
    try {
        const CaseResult result =
            run_case(layer, golden, candidate, selection, "",
                     [&](std::string_view stage) { reporter.check(fmt::format("layer: {}", stage)); });
        reporter.check("layer");
        send(result, reporter);
    } catch (const std::exception& error) {
        reporter.finding(fmt::format("ended by an exception: {}", error.what()));
    } catch (...) {
        reporter.finding("ended by an exception");
    }
}

}  // namespace harness::kernel_gate
