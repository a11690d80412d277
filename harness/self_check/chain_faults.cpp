// Faults that only a whole shows: the headline, the chain of trust below the judge, the encoder, and a CPU
// that stands in for the device. And the list of all faults.
#include <algorithm>
#include <memory>

#include "harness/self_check/decorated_path.hpp"
#include "harness/self_check/faults.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::LayerCase;
using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

const std::vector<OpRange> whole_attention{datasets::attention_ops};

bool headline_says_something(const Setting& scene) {
    return scene.ground.layer.shape.context >= datasets::block_rows;
}

Fault output_fault(std::string name, std::string says, Quantity own,
                   std::function<void(Rows, std::span<float>, std::int64_t columns)> edit) {
    Fault fault{std::move(name), std::move(says), Seam::sink, own, whole_attention, {}};
    fault.input = Input::chained;
    fault.needs = "T >= 64";
    fault.visible = headline_says_something;
    fault.plant.path = [edit = std::move(edit)](datasets::Path& path, const Ground&) {
        PathEdits edits;
        edits.sink = [edit](datasets::Sink& sink) {
            return std::make_unique<EditingSink>(
                sink, [edit](Op op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
                    if (op == Op::output) {
                        edit(rows, values, columns);
                    }
                });
        };
        return std::make_unique<DecoratedPath>(path, std::move(edits));
    };
    return fault;
}

std::vector<Fault> headline_faults() {
    std::vector<Fault> out;
    out.push_back(output_fault("output_tenth_too_small", "the attention's output is 10% too small",
                               Quantity::match, [](Rows, std::span<float> values, std::int64_t) {
                                   std::ranges::for_each(values, [](float& value) { value *= 0.9F; });
                               }));
    out.push_back(
        output_fault("output_row_lost", "one row of the attention's output is zero", Quantity::worst_row,
                     [](Rows rows, std::span<float> values, std::int64_t columns) {
                         if (rows.begin == 0) {
                             std::ranges::fill(values.first(static_cast<std::size_t>(columns)), 0.0F);
                         }
                     }));
    out.push_back(output_fault(
        "output_tile_lost", "one 64x64 tile of the attention's output is zero", Quantity::worst_tile,
        [](Rows rows, std::span<float> values, std::int64_t columns) {
            for (std::int64_t row = 0; rows.begin == 0 && row < rows.count; ++row) {
                std::ranges::fill(values.subspan(static_cast<std::size_t>(row * columns), 64), 0.0F);
            }
        }));
    Fault cpu{"cpu_stands_in", "the CPU computes what the device was asked for, and nobody says so",
              Seam::path,      Quantity::launches,
              whole_attention, {}};
    cpu.plant.path = [](datasets::Path&, const Ground&) { return std::make_unique<reference::GoldenPath>(); };
    out.push_back(std::move(cpu));
    return out;
}

Fault golden_fault(std::string name, std::string says, std::function<void(LayerCase&)> edit) {
    Fault fault{std::move(name), std::move(says), Seam::golden, Quantity::golden_error, whole_attention, {}};
    fault.court = Court::golden;
    fault.plant.golden = std::move(edit);
    return fault;
}

Fault recording_fault(std::string name, std::string says, Quantity own,
                      std::function<void(LayerCase&)> edit) {
    Fault fault{std::move(name), std::move(says), Seam::golden, own, whole_attention, {}};
    fault.plant.judged = std::move(edit);
    fault.needs = "a recording that holds query and key";
    fault.visible = [](const Setting& scene) {
        const auto& recorded = scene.ground.attention.recorded;
        return recorded.contains(Op::query) && recorded.contains(Op::key);
    };
    return fault;
}

std::vector<Fault> trust_faults() {
    std::vector<Fault> out;
    out.push_back(
        golden_fault("golden_without_bias", "the golden itself leaves out the bias of v",
                     [](LayerCase& layer) { std::ranges::fill(layer.weights.attention.value.bias, 0.0F); }));
    out.push_back(golden_fault("golden_in_bf16", "the golden itself computes with weights rounded to bf16",
                               [](LayerCase& layer) {
                                   for (float& w : layer.weights.attention.query.weight) {
                                       w = datasets::round_to_bf16(w, datasets::Rounding::nearest_even);
                                   }
                               }));
    out.push_back(recording_fault("recording_of_another_tensor", "the recorded k is not this layer's k",
                                  Quantity::recording_error, [](LayerCase& layer) {
                                      layer.stored = datasets::DType::f32;
                                      layer.recorded[Op::key] = layer.recorded[Op::query];
                                  }));
    out.push_back(recording_fault("bf16_recording_of_another_tensor",
                                  "the k recorded as bf16 is not this layer's k",
                                  Quantity::rounded_recording_error, [](LayerCase& layer) {
                                      layer.stored = datasets::DType::bf16;
                                      layer.recorded[Op::key] = layer.recorded[Op::query];
                                  }));
    out.push_back(recording_fault("recorded_clip_one_row_late", "what was recorded is one row late",
                                  Quantity::recording_error, [](LayerCase& layer) {
                                      layer.stored = datasets::DType::f32;
                                      auto& query = layer.recorded[Op::query];
                                      std::ranges::rotate(query, query.begin() + layer.shape.width());
                                  }));
    return out;
}

Fault encoder_fault(std::string name, std::string says, Quantity own, OpRange place, PathEdits edits) {
    Fault fault{std::move(name), std::move(says), Seam::layer, own, {place}, {}};
    fault.court = Court::encoder;
    fault.plant.path = [edits = std::move(edits)](datasets::Path& path, const Ground&) {
        return std::make_unique<DecoratedPath>(path, edits);
    };
    return fault;
}

std::vector<Fault> encoder_faults() {
    std::vector<Fault> out;
    PathEdits upside_down;
    upside_down.layer = [](LayerCase& layer) {
        std::ranges::for_each(layer.weights.attention.output.weight, [](float& w) { w = -w; });
    };
    out.push_back(encoder_fault("attention_upside_down", "the attention is subtracted from the stream",
                                Quantity::encoder_match, datasets::attention_ops, std::move(upside_down)));
    PathEdits lost_row;
    lost_row.sink = [](datasets::Sink& sink) {
        return std::make_unique<EditingSink>(
            sink, [](Op op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
                if (op == Op::output && rows.begin == 0) {
                    for (std::int64_t column = 0; column < columns; ++column) {
                        values[static_cast<std::size_t>(column)] += column % 2 == 0 ? 100.0F : -100.0F;
                    }
                }
            });
    };
    out.push_back(encoder_fault("encoder_row_wrong", "one row of every layer's attention is garbage",
                                Quantity::encoder_worst_row, datasets::attention_ops, std::move(lost_row)));
    PathEdits no_mlp;
    no_mlp.layer = [](LayerCase& layer) {
        std::ranges::fill(layer.weights.fc2.weight, 0.0F);
        std::ranges::fill(layer.weights.attention.output.weight, 0.0F);
    };
    out.push_back(encoder_fault("pieces_add_nothing", "attention and MLP of every layer add their bias only",
                                Quantity::piece_match, datasets::layer_ops, std::move(no_mlp)));
    return out;
}

}  // namespace

std::string_view name(Seam seam) {
    constexpr std::array<std::string_view, 9> names{"layer",  "source", "launch", "kernels", "device",
                                                    "output", "sink",   "path",   "golden"};
    return names[static_cast<std::size_t>(seam)];
}

std::vector<OpRange> each_of(std::initializer_list<Op> ops) {
    std::vector<OpRange> out;
    for (const Op op : ops) {
        out.push_back({op, op});
    }
    return out;
}

const std::vector<OpRange>& products() {
    static const std::vector<OpRange> places =
        each_of({Op::query, Op::key, Op::value, Op::scores, Op::context, Op::output, Op::fc1, Op::fc2});
    return places;
}

const std::vector<OpRange>& every_op() {
    static const std::vector<OpRange> places =
        each_of({Op::attention_norm, Op::query, Op::key, Op::value, Op::scores, Op::probabilities,
                 Op::context, Op::output, Op::mlp_norm, Op::fc1, Op::gelu, Op::fc2});
    return places;
}

void restrict(Fault& fault, std::string needs, std::function<bool(const Setting&)> visible) {
    fault.needs = std::move(needs);
    fault.visible = std::move(visible);
}

std::vector<Fault> chain_faults() {
    std::vector<Fault> out = headline_faults();
    for (auto* group : {&trust_faults, &encoder_faults}) {
        std::ranges::move(group(), std::back_inserter(out));
    }
    return out;
}

std::vector<Fault> planted_faults() {
    std::vector<Fault> out;
    for (auto* seam : {&weight_faults, &stream_faults, &launch_faults, &kernel_faults, &device_faults,
                       &output_faults, &chain_faults}) {
        std::ranges::move(seam(), std::back_inserter(out));
    }
    return out;
}

}  // namespace harness
