#include "harness/probe_recording.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/synthetic.hpp"
#include "harness/candidate_path.hpp"
#include "harness/interrupt.hpp"
#include "harness/probes.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"

namespace harness {
namespace {

using datasets::LayerCase;
using datasets::Op;

constexpr int recipe_version = 1;
constexpr std::string_view recipe_name = "probes";
constexpr std::string_view clip = "probes";

bool same(const datasets::Linear& a, const datasets::Linear& b) {
    return a.weight == b.weight && a.bias == b.bias;
}

bool same_operands(const LayerCase& a, const LayerCase& b) {
    const datasets::AttentionWeights& wa = a.weights.attention;
    const datasets::AttentionWeights& wb = b.weights.attention;
    return a.input == b.input && a.recorded == b.recorded && same(wa.query, wb.query) &&
           same(wa.key, wb.key) && same(wa.value, wb.value) && same(wa.output, wb.output);
}

// FNV-1a over what the layers read and yield.
std::string identity(datasets::LayerShape shape) {
    std::uint64_t hash = datasets::fingerprint({});
    for (int layer = 0; layer < probe_count; ++layer) {
        const KnownLayer known = probe_layer(static_cast<Probe>(layer), shape);
        hash = datasets::fingerprint(known.layer().input, hash);
        for (const auto& [op, tensor] : known.layer().recorded) {
            hash = datasets::fingerprint(tensor, hash);
        }
    }
    return fmt::format("fnv1a:{:016x}", hash);
}

// The layer that the recording should hold, and does.
KnownLayer known_layer(const datasets::Recording& recording, int layer) {
    KnownLayer known = probe_layer(static_cast<Probe>(layer), recording.info().shape());
    if (!same_operands(recording.layer(std::string(clip), layer), known.layer())) {
        throw datasets::ReadError(recording.file(), fmt::format("layer {}", layer),
                                  fmt::format("is not the probe {} of this version: make it anew with "
                                              "`harness record --probes-for`, and the candidate from it",
                                              name(static_cast<Probe>(layer))));
    }
    return known;
}

// The ops that the probe needs, of those that leave the core in this design, and that are not in the file.
std::vector<std::string_view> lacking(const CandidatePath& path, const npu_impl::Design& design,
                                      Probe probe) {
    std::vector<std::string_view> out;
    for (const Op op : {Op::scores, Op::probabilities, Op::context}) {
        if (probe != Probe::integers && design.emits(op) && !path.emits(op)) {
            out.push_back(datasets::name(op));
        }
    }
    return out;
}

void refuse_isolated(const datasets::Candidate& candidate, const npu_impl::Design& design) {
    if (candidate.info().feed == datasets::Feed::isolated && design.emits(Op::scores)) {
        throw datasets::ReadError(candidate.file(), "/",
                                  "attribute input: isolated: probes of a design that emits scores need "
                                  "chained steps, for no recording holds scores");
    }
}

void refuse_foreign(const datasets::RecordingInfo& info, const std::string& file) {
    const bool whole = info.layers == probe_count && info.heads >= 2 && info.clips.size() == 1 &&
                       info.clips.front().id == clip;
    if (!whole) {
        throw datasets::ReadError(file, "/",
                                  "says that it holds probes, and does not: make it anew with `harness "
                                  "record --probes-for`");
    }
}

}  // namespace

void record_probes(datasets::LayerShape shape, datasets::DType store, const std::string& file,
                   bool show_progress) {
    datasets::RecordingInfo info = own_recording("synthetic", shape);
    info.model_id = fmt::format("probes-{}", size_name(shape.heads));
    info.recipe = fmt::format("{} v{}", recipe_name, recipe_version);
    info.model_sha256 = identity(shape);
    info.layers = probe_count;
    info.clips.push_back({std::string(clip), audio_seconds_of(shape.context), shape.context});
    ProgressBar bar("recording " + info.model_id, probe_count, show_progress);
    datasets::RecordingWriter writer(file, info, {.store = store});
    for (int layer = 0; layer < probe_count; ++layer) {
        throw_if_interrupted();
        const auto probe = static_cast<Probe>(layer);
        bar.step(std::string(name(probe)));
        writer.write(probe_layer(probe, shape).layer());
    }
    writer.finish();
}

bool is_probe_recording(const datasets::RecordingInfo& recording) {
    return recording.recipe.starts_with(fmt::format("{} v", recipe_name));
}

std::vector<ProbeRow> judge_recorded_probes(const datasets::Recording& recording,
                                            const datasets::Candidate& candidate,
                                            const npu_impl::Design& design, const ProbeSelection& selection,
                                            const std::string& command, const Progress& progress) {
    refuse_foreign(recording.info(), recording.file());
    refuse_isolated(candidate, design);
    std::vector<ProbeRow> out;
    for (const int layer : selection.layers) {
        const auto probe = static_cast<Probe>(layer);
        progress(fmt::format("probe {}", name(probe)));
        const KnownLayer known = known_layer(recording, layer);
        CandidatePath path(candidate, std::string(clip), layer, design);
        const auto prepared = path.prepare(known.layer());
        std::vector<ProbeRow> rows = run_known_probe(*prepared, path, known, probe, selection.head);
        if (const auto ops = lacking(path, design, probe); !ops.empty()) {
            ProbeRow row;
            row.probe = probe;
            row.shape = known.layer().shape;
            row.head = selection.head;
            row.judgement = {
                Verdict::not_run,
                fmt::format("{} of layer {}: not in the file; dump it, for it leaves the core in "
                            "design {}",
                            fmt::join(ops, ", "), layer, design.name),
                {}};
            rows.push_back(std::move(row));
        }
        for (ProbeRow& row : rows) {
            if (row.judgement.verdict == Verdict::failed) {
                row.reproduce = fmt::format("{} --layer {}", command, layer);
            }
            out.push_back(std::move(row));
        }
    }
    return out;
}

}  // namespace harness
