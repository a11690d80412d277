#include "harness/error_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "harness/error_passes.hpp"
#include "harness/error_propagation.hpp"
#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

// What is smaller has no square in fp32: probabilities of e^-33 and below, of which exp's table drops some.
constexpr float least_sigma = 0x1p-56F;

}  // namespace

ErrorModel::ErrorModel(const datasets::LayerCase& layer, const datasets::Source& golden, Declared declared,
                       datasets::OpRange range, int only_head)
    : propagation_(std::make_unique<ErrorPropagation>(datasets::LayerOrEnd{.layer = &layer}, golden,
                                                      std::move(declared), range, only_head)) {}

ErrorModel::ErrorModel(const datasets::EndCase& end, const datasets::Source& golden, Declared declared)
    : propagation_(std::make_unique<ErrorPropagation>(datasets::LayerOrEnd{.end = &end}, golden,
                                                      std::move(declared), datasets::end_ops, -1)) {}

ErrorModel::~ErrorModel() = default;
ErrorModel::ErrorModel(ErrorModel&&) noexcept = default;
ErrorModel& ErrorModel::operator=(ErrorModel&&) noexcept = default;

void ErrorModel::prepare(Op op, Input input) const {
    propagation_->prepare(op, input);
}

void ErrorModel::of(Op op, Rows rows, Input input, Predicted& into) const {
    if (propagation_->declared().step_of(op).last != op) {
        throw std::invalid_argument(
            fmt::format("{} never leaves its fused step: nothing is predicted of it", datasets::name(op)));
    }
    const std::int64_t columns = datasets::row_width(op, propagation_->shape());
    Moments square;
    const Moments* moments = &square;
    std::int64_t stride = columns;
    std::int64_t first = 0;
    if (is_square(op)) {
        square = propagation_->square_block(op, rows, input);
    } else {
        moments = &propagation_->rows_of(op, rows, input).moments;
        stride = propagation_->columns_of(op);
        first = rows.begin * stride + std::int64_t{std::max(rows.head, 0)} * datasets::head_width;
    }
    const std::int64_t width = rows.head < 0 ? stride : columns;
    into.mean.assign(index(rows.count * width), 0.0F);
    into.sigma.resize(into.mean.size());
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const auto part = [&](auto& tensor, std::int64_t at) {
            return std::span(tensor).subspan(index(at), index(width));
        };
        deviations(part(moments->variance, first + row * stride), least_sigma, part(into.sigma, row * width));
        if (!moments->mean.empty()) {
            std::ranges::copy(part(moments->mean, first + row * stride),
                              part(into.mean, row * width).begin());
        }
    }
}

PredictedError ErrorModel::total(Op op, Input input) const {
    const Moments& moments = propagation_->whole_of(op, input).moments;
    const std::int64_t columns = propagation_->columns_of(op);
    std::vector<float> values(moments.variance.size());
    propagation_->golden().rows(op, {-1, 0, propagation_->shape().context}, values);
    std::vector<double> sums(index(columns));
    double variance = 0;
    double mean = 0;
    double energy = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double value{values[i]};
        variance += double{moments.variance[i]};
        mean += moments.mean.empty() ? 0.0 : double{moments.mean[i]} * double{moments.mean[i]};
        energy += value * value;
        sums[i % index(columns)] += value;
    }
    double centred = energy;
    for (const double sum : sums) {
        centred -= sum * sum / double(propagation_->shape().context);
    }
    const double error = variance + mean;
    return {std::sqrt(error / energy), std::sqrt(mean / energy), 100 * (1 - error / centred)};
}

}  // namespace harness
