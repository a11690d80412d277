#include "harness/budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::DType;
using datasets::Op;
using datasets::Rounding;
using datasets::TileSum;

bool directed(DType type, Rounding rounding) {
    return type == DType::bf16 && rounding != Rounding::nearest_even;
}

// A change of one op's arithmetic. `apply` returns whether there was anything to change.
struct OpChange {
    std::string_view words;
    bool (*apply)(Arithmetic&);
};

constexpr std::array op_changes{
    OpChange{"stores to nearest even",
             [](Arithmetic& a) {
                 return directed(a.store, std::exchange(a.store_rounding, Rounding::nearest_even));
             }},
    OpChange{"stores fp32", [](Arithmetic& a) { return std::exchange(a.store, DType::f32) == DType::bf16; }},
    OpChange{"keeps its sum on the core",
             [](Arithmetic& a) {
                 return std::exchange(a.tile_sum, TileSum::on_core) != TileSum::on_core &&
                        a.tile_store == DType::bf16;
             }},
    OpChange{"k tiles to nearest even",
             [](Arithmetic& a) {
                 const bool leaves = a.tile_sum != TileSum::on_core;
                 return directed(a.tile_store, std::exchange(a.tile_rounding, Rounding::nearest_even)) &&
                        leaves;
             }},
    OpChange{"operands to nearest even",
             [](Arithmetic& a) {
                 return directed(a.operand, std::exchange(a.operand_rounding, Rounding::nearest_even));
             }},
    OpChange{"operands exact (split into bf16 parts)",
             [](Arithmetic& a) { return std::exchange(a.operand, DType::f32) == DType::bf16; }},
    OpChange{"exact exp", [](Arithmetic& a) { return std::exchange(a.exp_error, 0) > 0; }},
    OpChange{"fp32 argument of exp",
             [](Arithmetic& a) { return std::exchange(a.exp_argument, DType::f32) == DType::bf16; }},
};

bool in_attention(datasets::OpRange step) {
    return datasets::attention_ops.contains(step.last);
}

// Of each op, then of all at once where there are several. A fused step computes as its last op declares.
void add_change(std::vector<Alternative>& out, const Declared& declared, const OpChange& change) {
    Declared everywhere = declared;
    int count = 0;
    for (const datasets::OpRange step : declared.steps) {
        Declared one = declared;
        if (in_attention(step) && change.apply(one.of(step.last))) {
            change.apply(everywhere.of(step.last));
            ++count;
            out.push_back({fmt::format("{}: {}", datasets::name(step.last), change.words), std::move(one)});
        }
    }
    if (count > 1) {
        out.push_back({fmt::format("all ops: {}", change.words), std::move(everywhere)});
    }
}

// Scores, softmax and context in one step: nothing between them is stored.
std::optional<Declared> fused_attention(const Declared& declared) {
    if (declared.fused(Op::context)) {
        return {};
    }
    constexpr int usual_key_tile = 64;
    Declared out = declared;
    const Arithmetic& softmax = declared.of(Op::probabilities);
    Arithmetic& context = out.of(Op::context);
    context.key_tile = softmax.key_tile > 0 ? softmax.key_tile : usual_key_tile;
    context.exp_argument = softmax.exp_argument;
    context.exp_argument_rounding = softmax.exp_argument_rounding;
    context.exp_error = softmax.exp_error;
    context.tile_sum = TileSum::on_core;
    std::erase_if(out.steps, [](const datasets::OpRange& step) {
        return step.first >= Op::scores && step.last <= Op::context;
    });
    out.steps.push_back({Op::scores, Op::context});
    return out;
}

double rms(const std::vector<PredictedError>& errors) {
    double sum = 0;
    for (const PredictedError& error : errors) {
        sum += error.relative_error * error.relative_error;
    }
    return errors.empty() ? 0.0 : std::sqrt(sum / double(errors.size()));
}

double worst_match(const std::vector<PredictedError>& errors) {
    double worst = 100;
    for (const PredictedError& error : errors) {
        worst = std::min(worst, error.match_percent);
    }
    return worst;
}

}  // namespace

std::vector<BudgetLine> attention_budget(const datasets::LayerCase& layer, const datasets::Source& golden,
                                         const Declared& declared) {
    const ErrorModel model(layer, golden, declared, datasets::attention_ops);
    std::vector<BudgetLine> out;
    for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
        out.push_back({op, model.total(op, Input::isolated), model.total(op, Input::chained)});
    }
    return out;
}

PredictedError output_error(const datasets::LayerCase& layer, const datasets::Source& golden,
                            const Declared& declared) {
    return ErrorModel(layer, golden, declared, datasets::attention_ops).total(Op::output, Input::chained);
}

std::vector<Alternative> alternatives(const Declared& declared) {
    std::vector<Alternative> out;
    for (const OpChange& change : op_changes) {
        add_change(out, declared, change);
    }
    if (auto fused = fused_attention(declared)) {
        out.push_back({"scores..context in one fused step", *std::move(fused)});
    }
    return out;
}

std::vector<Gain> ranked(const std::vector<PredictedError>& as_declared,
                         const std::vector<std::string>& changes,
                         const std::vector<std::vector<PredictedError>>& errors) {
    const double before = rms(as_declared);
    std::vector<Gain> out;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const double after = rms(errors[i]);
        out.push_back({changes[i], after, worst_match(errors[i]), 20 * std::log10(before / after)});
    }
    std::ranges::stable_sort(out, [](const Gain& a, const Gain& b) { return a.decibel > b.decibel; });
    return out;
}

}  // namespace harness
