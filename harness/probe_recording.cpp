#include "harness/probe_recording.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/synthetic.hpp"
#include "harness/candidate_experiment.hpp"
#include "harness/candidate_path.hpp"
#include "harness/interrupt.hpp"
#include "harness/probes.hpp"
#include "harness/progress.hpp"
#include "harness/recorder.hpp"

namespace harness {
namespace {

using datasets::LayerCase;
using datasets::Op;

constexpr std::string_view recipe_name = "probes v";
constexpr int recipe_version = 3;
constexpr std::string_view clip = "probes";

std::string own_recipe() {
    return fmt::format("{}{}", recipe_name, recipe_version);
}

bool same(const datasets::Linear& a, const datasets::Linear& b) {
    return a.weight == b.weight && a.bias == b.bias;
}

bool same_operands(const LayerCase& a, const LayerCase& b) {
    const datasets::AttentionWeights& wa = a.weights.attention;
    const datasets::AttentionWeights& wb = b.weights.attention;
    return a.input == b.input && a.recorded == b.recorded && same(wa.query, wb.query) &&
           same(wa.key, wb.key) && same(wa.value, wb.value) && same(wa.output, wb.output);
}

// FNV-1a over what the layers read, yield and multiply by.
std::string identity(datasets::LayerShape shape) {
    std::uint64_t hash = datasets::fingerprint({});
    for (int layer = 0; layer < probe_count; ++layer) {
        const KnownLayer known = probe_layer(static_cast<Probe>(layer), shape);
        hash = datasets::fingerprint(known.layer().input, hash);
        for (const auto& [op, tensor] : known.layer().recorded) {
            hash = datasets::fingerprint(tensor, hash);
        }
        hash = datasets::fingerprint(known.layer().weights.attention.output.weight, hash);
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

bool is_core(Op op) {
    return Op::scores <= op && op <= Op::context;
}

// The ops that the probe needs and that are not in the file: those of scores to context that leave the core
// in this design, or of the exact ones those that the file holds of other layers (`held`).
std::vector<std::string_view> lacking(const CandidatePath& path, const npu_impl::Design& design, Probe probe,
                                      const ProbeSelection& selection, const std::vector<Op>& held) {
    std::vector<std::string_view> out;
    for (const Op op : {Op::query, Op::key, Op::value, Op::scores, Op::probabilities, Op::context}) {
        const bool exact = !is_core(op) || op == Op::scores;
        const bool needed = probe == Probe::integers
                                ? exact && selection.judges(op) && std::ranges::find(held, op) != held.end()
                                : is_core(op) && selection.judges_core() && design.emits(op);
        if (needed && !path.emits(op)) {
            out.push_back(datasets::name(op));
        }
    }
    return out;
}

ProbeRow undecided(Probe probe, datasets::LayerShape shape, int head, Verdict verdict, std::string reason) {
    ProbeRow row;
    row.probe = probe;
    row.shape = shape;
    row.head = head;
    row.judgement = {verdict, std::move(reason), {}};
    return row;
}

}  // namespace

void record_probes(datasets::LayerShape shape, datasets::DType store, const std::string& file,
                   bool show_progress) {
    datasets::RecordingInfo info = own_recording("synthetic", shape);
    info.model_id = fmt::format("probes-{}", size_name(shape.heads));
    info.recipe = own_recipe();
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
    return recording.recipe.starts_with(recipe_name);
}

datasets::Recording open_activations(const std::string& file) {
    datasets::Recording recording(file);
    if (is_probe_recording(recording.info())) {
        throw datasets::ReadError(file, "/",
                                  "holds probes, which only `harness judge` can judge: name a recording of "
                                  "activations");
    }
    return recording;
}

void require_probes(const datasets::Recording& recording, const datasets::Candidate& candidate,
                    const npu_impl::Design& design) {
    const datasets::RecordingInfo& info = recording.info();
    if (info.recipe != own_recipe() || info.layers != probe_count || info.heads < 2 ||
        info.clips.size() != 1 || info.clips.front().id != clip) {
        throw datasets::ReadError(
            recording.file(), "/",
            "says that it holds probes, and does not hold those of this version: make it "
            "anew with `harness record --probes-for`");
    }
    if (candidate.info().feed == datasets::Feed::isolated && design.emits(Op::scores)) {
        throw datasets::ReadError(candidate.file(), "/",
                                  "attribute input: isolated: probes of a design that emits scores need "
                                  "chained steps, for no recording holds scores");
    }
}

std::vector<ProbeRow> judge_recorded_probes(const datasets::Recording& recording,
                                            const datasets::Candidate& candidate,
                                            const npu_impl::Design& design, const ProbeSelection& selection,
                                            const std::string& command, const Progress& progress) {
    require_probes(recording, candidate, design);
    const std::vector<Op> held = held_ops(candidate, recording.info());
    std::vector<ProbeRow> out;
    for (const int layer : selection.layers) {
        const auto probe = static_cast<Probe>(layer);
        progress(fmt::format("probe {}", name(probe)));
        const KnownLayer known = known_layer(recording, layer);
        const datasets::LayerShape shape = known.layer().shape;
        if (candidate.ops(std::string(clip), layer).empty()) {
            out.push_back(undecided(probe, shape, selection.head, Verdict::not_run,
                                    fmt::format("layer {} is not in the file: dump it", layer)));
            continue;
        }
        CandidatePath path(candidate, std::string(clip), layer, design);
        const auto prepared = path.prepare(known.layer());
        std::vector<ProbeRow> rows = run_known_probe(*prepared, path, known, probe, selection);
        if (const auto ops = lacking(path, design, probe, selection, held); !ops.empty()) {
            rows.push_back(undecided(
                probe, shape, selection.head, Verdict::not_run,
                fmt::format("{} of layer {}: not in the file; dump what leaves the core in design {}",
                            fmt::join(ops, ", "), layer, design.name)));
        } else if (rows.empty() && selection.ops.empty()) {
            rows.push_back(undecided(probe, shape, selection.head, Verdict::covered,
                                     "the file holds no op that is exact: query, key, value or scores"));
        }
        for (ProbeRow& row : rows) {
            if (row.judgement.verdict == Verdict::failed) {
                row.reproduce =
                    fmt::format("{} --layer {}{}", command, layer,
                                selection.head < 0 ? "" : fmt::format(" --head {}", selection.head));
            }
            out.push_back(std::move(row));
        }
    }
    return out;
}

}  // namespace harness
