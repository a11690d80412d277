// Faults of the host's packing: weights and biases that are not those of the layer.
#include <algorithm>
#include <cmath>

#include "datasets/op_weights.hpp"
#include "harness/self_check/decorated_path.hpp"
#include "harness/self_check/faults.hpp"

namespace harness {
namespace {

using datasets::LayerCase;
using datasets::Linear;
using datasets::Op;

using EditLinear = std::function<void(Linear& linear, LayerCase& layer)>;

// Edits the weights of each of `ops`. All at once: only the op that is judged shows its own.
std::function<void(LayerCase&)> each_linear(const std::vector<datasets::OpRange>& places, EditLinear edit) {
    return [places, edit](LayerCase& layer) {
        for (const datasets::OpRange place : places) {
            Linear& linear = *datasets::linear_of(layer.weights, place.last);
            if (!linear.weight.empty()) {
                edit(linear, layer);
            }
        }
    };
}

Plant plant(std::function<void(LayerCase&)> edit) {
    Plant out;
    out.path = [edit = std::move(edit)](datasets::Path& path, const Ground&) {
        return std::make_unique<DecoratedPath>(path, PathEdits{edit, {}, {}, {}});
    };
    return out;
}

Fault linear_fault(std::string name, std::string says, std::vector<datasets::OpRange> places,
                   EditLinear edit) {
    auto edits = each_linear(places, std::move(edit));
    return {std::move(name), std::move(says),   Seam::layer,
            Quantity::bound, std::move(places), plant(std::move(edits))};
}

void transpose_square(Linear& linear) {
    const std::size_t width = linear.bias.empty() ? 0 : linear.bias.size();
    for (std::size_t i = 0; i < width; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            std::swap(linear.weight[i * width + j], linear.weight[j * width + i]);
        }
    }
}

void swap_first_heads(Linear& linear, const LayerCase& layer) {
    const auto width = layer.shape.width();
    std::swap_ranges(linear.weight.begin(), linear.weight.begin() + datasets::head_width * width,
                     linear.weight.begin() + datasets::head_width * width);
}

const auto with_bias = each_of({Op::query, Op::value, Op::output, Op::fc1, Op::fc2});
const auto linear_ops = each_of({Op::query, Op::key, Op::value, Op::output, Op::fc1, Op::fc2});

// A bias on k adds q.b to every score of a row alike, and a softmax does not change by that.
Fault key_bias(std::string name, std::string says, std::vector<datasets::OpRange> places,
               std::string equivalent) {
    Fault fault;
    fault.name = std::move(name);
    fault.says = std::move(says);
    fault.seam = Seam::layer;
    fault.own = Quantity::bound;
    fault.places = std::move(places);
    fault.equivalent = std::move(equivalent);
    fault.plant = plant([](LayerCase& layer) {
        layer.weights.attention.key.bias.assign(static_cast<std::size_t>(layer.shape.width()), 0.125F);
    });
    return fault;
}

std::vector<Fault> bias_faults() {
    std::vector<Fault> out;
    out.push_back(linear_fault("bias_missing_on_host", "the host packs zeros in the place of the bias",
                               with_bias,
                               [](Linear& linear, LayerCase&) { std::ranges::fill(linear.bias, 0.0F); }));
    out.push_back(linear_fault(
        "bias_doubled", "the bias is added twice", with_bias,
        [](Linear& linear, LayerCase&) { std::ranges::for_each(linear.bias, [](float& b) { b *= 2; }); }));
    out.push_back(linear_fault(
        "bias_of_next_channel", "the bias is one channel off", with_bias,
        [](Linear& linear, LayerCase&) { std::ranges::rotate(linear.bias, linear.bias.begin() + 1); }));
    out.push_back(key_bias("key_bias_added", "a bias is added to k, which has none in Whisper",
                           each_of({Op::key}), ""));
    out.push_back(
        key_bias("key_bias_at_the_output", "a bias is added to k, and only the output is looked at",
                 {datasets::attention_ops},
                 "q.b is added to all scores of a row alike, and a softmax does not change by that"));
    out.back().input = Input::chained;
    out.back().judged = {Op::output};
    out.back().needs = "a design whose own rounding leaves the match over 99.9%";
    out.back().visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(Op::output).tile_sum == datasets::TileSum::on_core;
    };
    return out;
}

std::vector<Fault> packing_faults() {
    std::vector<Fault> out;
    out.push_back(linear_fault("weights_transposed", "[in, out] is taken for [out, in]",
                               each_of({Op::query, Op::value, Op::output}),
                               [](Linear& linear, LayerCase&) { transpose_square(linear); }));
    out.push_back(linear_fault("weights_truncated", "the host truncates weights to bf16 instead of rounding",
                               linear_ops, [](Linear& linear, LayerCase&) {
                                   for (float& w : linear.weight) {
                                       w = datasets::round_to_bf16(w, datasets::Rounding::toward_zero);
                                   }
                               }));
    out.back().needs = "weights that the design rounds to nearest";
    out.back().visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(scene.place.last).operand_rounding ==
               datasets::Rounding::nearest_even;
    };
    out.push_back(linear_fault("weights_rounded_to_nearest",
                               "the host rounds weights to nearest where the design declares truncation",
                               linear_ops, [](Linear& linear, LayerCase&) {
                                   for (float& w : linear.weight) {
                                       w = datasets::round_to_bf16(w, datasets::Rounding::nearest_even);
                                   }
                               }));
    out.back().needs = "weights that the design truncates";
    out.back().visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(scene.place.last).operand_rounding ==
               datasets::Rounding::toward_zero;
    };
    out.push_back(linear_fault("weight_heads_swapped", "the rows of the first two heads are exchanged",
                               each_of({Op::query, Op::key, Op::value}),
                               [](Linear& linear, LayerCase& layer) { swap_first_heads(linear, layer); }));
    out.push_back(linear_fault("weight_row_shifted", "the weights start one output channel late", linear_ops,
                               [](Linear& linear, LayerCase& layer) {
                                   const auto width = layer.shape.width();
                                   std::ranges::rotate(linear.weight, linear.weight.begin() + width);
                               }));
    out.push_back(linear_fault("weights_quantised_to_8_bits", "weights pass through 8-bit integers",
                               linear_ops, [](Linear& linear, LayerCase&) {
                                   float largest = 0;
                                   for (const float w : linear.weight) {
                                       largest = std::max(largest, std::abs(w));
                                   }
                                   for (float& w : linear.weight) {
                                       w = std::round(w / largest * 127) / 127 * largest;
                                   }
                               }));
    out.push_back(linear_fault("one_weight_negated", "one weight of a million has the wrong sign",
                               each_of({Op::output, Op::fc1, Op::fc2}), [](Linear& linear, LayerCase&) {
                                   float& largest = *std::ranges::max_element(
                                       linear.weight, {}, [](float w) { return std::abs(w); });
                                   largest = -largest;
                               }));
    return out;
}

Fault other_weights() {
    Fault fault;
    fault.name = "weights_of_another_layer";
    fault.says = "the weights of another layer are packed";
    fault.seam = Seam::layer;
    fault.own = Quantity::bound;
    fault.places = each_of(
        {Op::attention_norm, Op::query, Op::key, Op::value, Op::output, Op::mlp_norm, Op::fc1, Op::fc2});
    fault.plant.path = [](datasets::Path& path, const Ground& ground) {
        const auto take = [&ground](LayerCase& layer) { layer.weights = ground.other.weights; };
        return std::make_unique<DecoratedPath>(path, PathEdits{take, {}, {}, {}});
    };
    return fault;
}

Fault norm_fault(std::string name, std::string says, std::function<void(datasets::Norm&)> edit) {
    Fault fault;
    fault.name = std::move(name);
    fault.says = std::move(says);
    fault.seam = Seam::layer;
    fault.own = Quantity::bound;
    fault.places = each_of({Op::attention_norm, Op::mlp_norm, Op::encoder});
    const auto both = [edit](LayerCase& layer) {
        edit(layer.weights.attention_norm);
        edit(layer.weights.mlp_norm);
    };
    const auto end = [edit](datasets::EndCase& last) { edit(last.norm); };
    fault.plant.path = [both, end](datasets::Path& path, const Ground&) {
        return std::make_unique<DecoratedPath>(path, PathEdits{both, end, {}, {}});
    };
    return fault;
}

}  // namespace

std::vector<Fault> weight_faults() {
    std::vector<Fault> out = bias_faults();
    std::ranges::move(packing_faults(), std::back_inserter(out));
    out.push_back(other_weights());
    out.push_back(norm_fault("norm_gain_missing", "the norm's gain is taken for 1",
                             [](datasets::Norm& norm) { std::ranges::fill(norm.gain, 1.0F); }));
    out.push_back(norm_fault("norm_bias_missing", "the norm's bias is taken for 0",
                             [](datasets::Norm& norm) { std::ranges::fill(norm.bias, 0.0F); }));
    out.push_back(norm_fault("norm_gain_and_bias_swapped", "gain and bias of the norm are exchanged",
                             [](datasets::Norm& norm) { std::swap(norm.gain, norm.bias); }));
    out.push_back(norm_fault("norm_gain_truncated", "gain and bias are truncated to bf16 instead of rounded",
                             [](datasets::Norm& norm) {
                                 for (auto* values : {&norm.gain, &norm.bias}) {
                                     for (float& value : *values) {
                                         value =
                                             datasets::round_to_bf16(value, datasets::Rounding::toward_zero);
                                     }
                                 }
                             }));
    return out;
}

}  // namespace harness
