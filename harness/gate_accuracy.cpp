#include "harness/gate_accuracy.hpp"

#include <fmt/format.h>

#include <cmath>

namespace harness {
namespace {

using datasets::Op;

// Below this a prediction is one of fp32 sums, which level 1 bounds.
constexpr double least_predicted = 0x1p-16;

// Rows whose errors are independent enough that z has unit variance: products, GELU and norms, on what is
// exact or nearly so. Behind a softmax errors are coherent.
bool is_plain(AccuracyRow row) {
    switch (row.op) {
        case Op::probabilities:
        case Op::context:
            return false;
        case Op::scores:
        case Op::output:
            return row.input == Input::isolated;
        default:
            return true;
    }
}

// A single head has so few roundings, those of 64 columns of weights, that their variance is chance.
bool all_heads(Op op, const datasets::LayerShape& shape, std::int64_t elements) {
    return !datasets::has_heads(op) ||
           elements == shape.context * datasets::row_width(op, shape) * shape.heads;
}

std::string words_of(Quantity quantity, const ZStatistics& z, double value) {
    const double allowed = limit(quantity).limit;
    const auto head = [](int of) { return of >= 0 ? fmt::format("head {}, ", of) : std::string(); };
    switch (quantity) {
        case Quantity::plain_variance:
            return fmt::format("errors have {:.3g} times the predicted variance, further than {} from 1",
                               z.rms * z.rms, allowed);
        case Quantity::plain_gain:
            return fmt::format("errors hold an undeclared gain of {:.2e}, over {:.0e}", z.gain, allowed);
        case Quantity::plain_largest:
        case Quantity::context_largest:
            return fmt::format("{}element ({}, {}) errs by {:.1f} predicted deviations, over {}",
                               head(z.largest_head), z.largest_row, z.largest_column, value, allowed);
        case Quantity::plain_row:
        case Quantity::probability_row:
        case Quantity::context_row:
        case Quantity::output_row:
        case Quantity::rerounded_row:
            return fmt::format("{}row {} errs by {:.2f} times what is predicted, over {}",
                               head(z.worst_row_head), z.worst_row_index, value, allowed);
        case Quantity::plain_tile:
        case Quantity::probability_tile:
        case Quantity::context_tile:
        case Quantity::output_tile:
            return fmt::format("{}64x64 tile ({}, {}) errs by {:.2f} times what is predicted, over {}",
                               head(z.worst_tile_head), z.worst_tile_row, z.worst_tile_column, value,
                               allowed);
        default:
            return fmt::format("errors are {:.2f} times as large as predicted, over {}", value, allowed);
    }
}

struct GatedFigure {
    Quantity quantity;
    double value;
};

std::vector<GatedFigure> context_figures(AccuracyRow row, const ZStatistics& z) {
    const Quantity rms = row.input == Input::isolated ? Quantity::fused_rms : Quantity::context_rms;
    if (row.input == Input::isolated && !row.coherent) {
        // Peaked rows repeat the errors of one value: every row is a sample, but a tile no larger one.
        return {{Quantity::fused_rms, z.rms},
                {Quantity::plain_largest, z.largest},
                {Quantity::plain_row, z.worst_row}};
    }
    return {{rms, z.rms},
            {Quantity::context_largest, z.largest},
            {Quantity::context_row, z.worst_row},
            {Quantity::context_tile, z.worst_tile}};
}

std::vector<GatedFigure> figures_of(AccuracyRow row, const datasets::LayerShape& shape,
                                    const OpStatistics& statistics) {
    const ZStatistics& z = *statistics.z;
    if (is_plain(row)) {
        std::vector<GatedFigure> out{{Quantity::plain_largest, z.largest},
                                     {Quantity::plain_row, z.worst_row},
                                     {Quantity::plain_tile, z.worst_tile}};
        if (all_heads(row.op, shape, statistics.elements)) {
            out.push_back({Quantity::plain_variance, std::abs(z.rms * z.rms - 1)});
            out.push_back({Quantity::plain_gain, std::abs(z.gain)});
        }
        return out;
    }
    if (row.op == Op::context) {
        return context_figures(row, z);
    }
    if (row.op == Op::output) {
        return {{Quantity::output_rms, z.rms},
                {row.coherent ? Quantity::rerounded_row : Quantity::output_row, z.worst_row},
                {Quantity::output_tile, z.worst_tile}};
    }
    if (row.input == Input::chained) {
        return {{Quantity::square_rms, z.rms}};
    }
    return {{Quantity::probability_rms, z.rms},
            {Quantity::probability_row, z.worst_row},
            {Quantity::probability_tile, z.worst_tile}};
}

}  // namespace

AccuracyRow accuracy_row(datasets::OpRange step, Input input,
                         const std::function<datasets::Arithmetic(Op)>& declared) {
    const auto rerounds = [&](Op op) { return declared(op).tile_sum == datasets::TileSum::rounded; };
    const bool inherits = step.last == Op::output && input == Input::chained && rerounds(Op::context);
    return {step.last, input, step.first != step.last || rerounds(step.last) || inherits};
}

std::vector<Headroom> accuracy_of(AccuracyRow row, const datasets::LayerShape& shape,
                                  const OpStatistics& statistics) {
    std::vector<Headroom> out;
    if (!statistics.z || shape.context < datasets::block_rows ||
        !(statistics.z->predicted_error >= least_predicted)) {
        return out;
    }
    for (const GatedFigure& figure : figures_of(row, shape, statistics)) {
        out.push_back(beside_limit(figure.quantity, figure.value));
    }
    return out;
}

std::vector<Finding> accuracy_findings(std::span<const Headroom> headrooms,
                                       const std::optional<ZStatistics>& z) {
    std::vector<Finding> out;
    for (const Headroom& headroom : headrooms) {
        const Limit& allowed = limit(headroom.quantity);
        if (allowed.gated && !(headroom.value <= allowed.limit)) {
            out.push_back({headroom.quantity, words_of(headroom.quantity, *z, headroom.value)});
        }
    }
    return out;
}

}  // namespace harness
