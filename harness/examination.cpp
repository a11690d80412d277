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

void run_ragged(RunRecord& record, datasets::Path& candidate, const std::string& reproduce,
                const Progress& progress) {
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

void examine_run(RunRecord& record, datasets::Path& candidate, const Selection& selection,
                 const std::string& reproduce, const Progress& progress) {
    if (!selection.whole_attention()) {
        return;
    }
    if (selection.probes && probes_apply(candidate)) {
        run_ragged(record, candidate, reproduce, progress);
    }
    std::vector<LayerStatistics> data;
    std::vector<ProbeRow> probes;
    for (const LayerRow& layer : record.layers) {
        if (layer.data) {
            data.push_back(*layer.data);
        }
        probes.insert(probes.end(), layer.probes.begin(), layer.probes.end());
    }
    if (!data.empty()) {
        const Op softmax = candidate.emits(Op::probabilities) ? Op::probabilities : Op::context;
        record.trust = judge_trust(data, candidate.arithmetic(softmax), {probes, record.ragged_probes});
    }
}

int stages_of_run(const Selection& selection) {
    return selection.whole_attention() && selection.probes ? int(std::size(ragged_contexts)) : 0;
}

}  // namespace harness
