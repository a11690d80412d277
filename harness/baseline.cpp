#include "harness/baseline.hpp"

#include <fmt/format.h>

#include <numeric>

#include "harness/note_figures.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;

constexpr datasets::LayerShape canonical{1500, 8};

// Mean over the layers of what the golden spends on `ops`.
Duration per_layer(const EncoderRow& row, OpRange ops) {
    Duration sum{0, datasets::Clock::host_wall, {}};
    for (const StageTime& step : row.stages) {
        if (step.stage.piece == Piece::layer && ops.contains(step.ops.last)) {
            sum.seconds += step.cpu.seconds / row.layers;
        }
    }
    return sum;
}

double attention_flop(const datasets::LayerShape& of) {
    const auto ops = datasets::ops_in(datasets::attention_ops);
    return std::accumulate(ops.begin(), ops.end(), 0.0,
                           [&](double sum, const datasets::OpInfo& op) { return sum + op.flop(of); });
}

}  // namespace

PublishedBaseline design_note(const EncoderRow& row) {
    using namespace note;
    PublishedBaseline out;
    out.title = fmt::format(
        "the design note ({} heads, {} layers, T = {}, Ryzen 9 8945HS); here {} heads, {} layers, T = {}",
        shape.heads, layers, shape.context, row.heads, row.layers, row.context);
    const Duration whole{row.mel.seconds + row.warm.seconds, datasets::Clock::host_wall, {}};
    out.lines = {
        {"query, key, value; per layer", projections, per_layer(row, {Op::query, Op::value})},
        {"scores and softmax; per layer", scores_and_softmax,
         per_layer(row, {Op::scores, Op::probabilities})},
        {"context; per layer", context, per_layer(row, {Op::context, Op::context})},
        {"output; per layer", output, per_layer(row, {Op::output, Op::output})},
        {"attention; per layer", attention, per_layer(row, datasets::attention_ops)},
        {"layer", layer, per_layer(row, datasets::layer_ops)},
        {"encoder", encoder, row.warm},
        {"audio to encoder output", total, whole},
    };
    if (row.heads != shape.heads || row.layers != layers) {
        for (BaselineLine& line : out.lines) {
            line.here.reset();  // another encoder's times say nothing beside these
        }
    }
    const double in_layers = layers * layer;
    const double after = total - layers * (attention - attention_target);
    out.corrections = {
        fmt::format("its projections of equal size are given {:.0f} ms and {:.0f} ms: the split is estimated",
                    projections / 3 * 1e3, output * 1e3),
        fmt::format("{} layers x {:.0f} ms are {:.0f} ms: {:.0f} ms of its encoder lie outside the layers",
                    layers, layer * 1e3, in_layers * 1e3, (encoder - in_layers) * 1e3),
        fmt::format(
            "its \"RTF {:.2f}x\" is an RTFx, {:.2f} s / {:.2f} s; of the {:.0f} s window that it computed"
            " it is {:.2f}",
            audio / total, audio, total, window, window / total),
        fmt::format("{:.0f} ms per attention give {:.2f} s, RTFx {:.2f}; not its {:.2f} s and {:.2f}",
                    attention_target * 1e3, after, audio / after, target_total, audio / target_total),
        fmt::format("its T = {} costs {:.2f} x the attention of Whisper's own {}: no stride in its stem",
                    shape.context, attention_flop(shape) / attention_flop(canonical), canonical.context),
        fmt::format("its {:.0f} ms per attention are {:.0f} GFLOP/s", attention * 1e3,
                    attention_flop(shape) / attention / 1e9),
    };
    return out;
}

}  // namespace harness
