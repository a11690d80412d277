#include "harness/examination.hpp"

#include <fmt/format.h>

#include <iterator>

#include "harness/data_trust.hpp"
#include "harness/probes.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;

// The probes of a shape that the device could not run: a compiled design for it is missing, or it failed.
std::vector<ProbeRow> lost_probes(std::int64_t context, const std::string& reason) {
    std::vector<ProbeRow> rows(probe_count);
    for (int i = 0; i < probe_count; ++i) {
        rows[std::size_t(i)].probe = Probe(i);
        rows[std::size_t(i)].shape.context = context;
        rows[std::size_t(i)].op = Op::context;
        rows[std::size_t(i)].judgement = {Verdict::not_run, reason, {}};
    }
    return rows;
}

std::vector<ProbeRow> ragged_or_lost(datasets::Path& candidate, std::int64_t context) {
    try {
        return run_ragged_probes(candidate, context);
    } catch (const npu_impl::DeviceError& error) {
        return lost_probes(context, fmt::format("{}; --no-probes leaves these shapes out", error.what()));
    }
}

}  // namespace

void examine(LayerRow& row, datasets::PreparedLayer& prepared, const datasets::Path& candidate,
             const datasets::LayerCase& layer, const reference::GoldenSource& golden,
             const Selection& selection, const std::string& reproduce, const Progress& progress) {
    if (selection.probed() && probes_apply(candidate)) {
        progress("probes");
        row.probes = run_layer_probes(prepared, candidate, golden, layer.shape, selection.head, reproduce);
    }
    if (selection.whole_attention()) {
        row.data = statistics_of(layer, golden);
    }
}

bool asks_design_probes(const datasets::Path& candidate, const Selection& selection) {
    return selection.whole_attention() && selection.probes && probes_apply(candidate);
}

void examine_design(RunRecord& record, datasets::Path& candidate, const Selection& selection,
                    const std::string& reproduce, const Progress& progress) {
    if (!asks_design_probes(candidate, selection)) {
        return;
    }
    for (const std::int64_t context : ragged_contexts) {
        progress(fmt::format("probes at T = {}", context));
        for (ProbeRow& row : ragged_or_lost(candidate, context)) {
            if (row.judgement.verdict == Verdict::failed) {
                row.reproduce = reproduce;
            }
            record.ragged_probes.push_back(std::move(row));
        }
    }
}

std::vector<ProbeRow> lost_design_probes(const std::string& reason) {
    std::vector<ProbeRow> out;
    for (const std::int64_t context : ragged_contexts) {
        const std::vector<ProbeRow> rows = lost_probes(context, reason);
        out.insert(out.end(), rows.begin(), rows.end());
    }
    return out;
}

Op softmax_op(bool emits_probabilities) {
    return emits_probabilities ? Op::probabilities : Op::context;
}

void examine_data(RunRecord& record, const datasets::Arithmetic& softmax) {
    std::vector<LayerStatistics> data;
    std::vector<ProbeRow> probes;
    for (const LayerRow& layer : record.layers) {
        if (layer.data) {
            data.push_back(*layer.data);
        }
        probes.insert(probes.end(), layer.probes.begin(), layer.probes.end());
    }
    if (!data.empty()) {
        record.trust = judge_trust(data, softmax, {probes, record.ragged_probes});
    }
}

int design_probe_stages() {
    return int(std::size(ragged_contexts));
}

}  // namespace harness
