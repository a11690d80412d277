#include "harness/bisect.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>

#include "harness/exact_source.hpp"
#include "harness/judge.hpp"
#include "harness/operands.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

bool is_square(Op op) {
    return datasets::info(op).form == datasets::Form::square;
}

std::vector<OpRange> attention_steps(const datasets::Path& candidate) {
    std::vector<OpRange> out;
    for (const OpRange step : candidate.steps()) {
        if (datasets::attention_ops.contains(step.first) && datasets::attention_ops.contains(step.last)) {
            out.push_back(step);
        }
    }
    if (out.empty() || out.front().first != Op::query || out.back().last != Op::output) {
        throw std::invalid_argument("the path has no steps that make up the attention");
    }
    return out;
}

// Keeps the whole tensors of a run, and, behind every square op, the context that exact ops make of it.
// Passes everything on to a judge.
class HybridSink final : public datasets::Sink {
public:
    HybridSink(const datasets::LayerCase& layer, std::span<const float> input, Judge& judge)
        : layer_(layer), input_(input), judge_(judge) {
        for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
            tensors_[info.op].resize(index(layer.shape.context * layer.shape.width()));
        }
    }

    bool wants(Op) const override { return true; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        judge_.accept(op, rows, values);
        if (!is_square(op)) {
            keep(op, rows, values);
            return;
        }
        // The values are whole by now: they are made before any score.
        const ExactSource exact(layer_, {{Op::attention_norm, input_}, {Op::value, tensors_.at(Op::value)}},
                                ExactSource::GivenBlock{op, values});
        const reference::WideReference reference(layer_, exact);
        std::vector<double> context(index(rows.count * datasets::head_width));
        reference.rows(Op::context, rows, context, {});
        const std::vector<float> narrow(context.begin(), context.end());
        keep(op, rows, {narrow.data(), rows.count, datasets::head_width, datasets::head_width});
    }

    // Of a square op: the exact context behind it.
    [[nodiscard]] const std::vector<float>& tensor(Op op) const { return tensors_.at(op); }

private:
    void keep(Op op, Rows rows, const datasets::TensorView& values) {
        const std::int64_t width = layer_.shape.width();
        const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
        for (std::int64_t row = 0; row < rows.count; ++row) {
            std::ranges::copy(values.row(row), tensors_.at(op).begin() + (rows.begin + row) * width + offset);
        }
    }

    const datasets::LayerCase& layer_;
    std::span<const float> input_;
    Judge& judge_;
    std::map<Op, std::vector<float>> tensors_;
};

// Keeps the output alone.
class OutputSink final : public datasets::Sink {
public:
    explicit OutputSink(const datasets::LayerShape& shape) : output_(index(shape.context * shape.width())) {}

    bool wants(Op op) const override { return op == Op::output; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        for (std::int64_t row = 0; op == Op::output && row < rows.count; ++row) {
            std::ranges::copy(values.row(row), output_.begin() + (rows.begin + row) * values.columns);
        }
    }

    [[nodiscard]] const std::vector<float>& output() const { return output_; }

private:
    std::vector<float> output_;
};

double norm(std::span<const double> values) {
    double sum = 0;
    for (const double value : values) {
        sum += value * value;
    }
    return std::sqrt(sum);
}

std::vector<double> difference(const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<double> out(a.size());
    std::ranges::transform(a, b, out.begin(), [](float x, float y) { return double{x} - double{y}; });
    return out;
}

// What the candidate's first `count` steps made, as whole tensors.
ExactSource::Given given(const HybridSink& made, std::span<const OpRange> steps, std::size_t count,
                         std::span<const float> input) {
    ExactSource::Given out{{Op::attention_norm, input}};
    for (const OpRange step : steps.first(count)) {
        out[is_square(step.last) ? Op::context : step.last] = made.tensor(step.last);
    }
    return out;
}

void add_shares(LayerBisection& out, const std::vector<std::vector<float>>& outputs) {
    const std::vector<double> error = difference(outputs.back(), outputs.front());
    const std::vector<double> exact(outputs.front().begin(), outputs.front().end());
    const double size = norm(exact);
    const double energy = norm(error) * norm(error);
    out.relative_error = norm(error) / size;
    for (std::size_t i = 0; i < out.steps.size(); ++i) {
        const std::vector<double> own = difference(outputs[i + 1], outputs[i]);
        double product = 0;
        for (std::size_t j = 0; j < own.size(); ++j) {
            product += error[j] * own[j];
        }
        out.steps[i].share = energy > 0 ? product / energy : 0;
        out.steps[i].relative_error = norm(own) / size;
    }
}

// |e| / |out(0)| where step `index` alone is exact.
double error_without(const datasets::LayerCase& layer, datasets::PreparedLayer& prepared,
                     const HybridSink& made, std::span<const OpRange> steps, std::size_t step,
                     std::span<const float> input, const std::vector<float>& exact_output) {
    const ExactSource source(layer, given(made, steps, step, input));
    std::vector<float> output;
    if (step + 1 == steps.size()) {
        output = source.tensor(Op::output);
    } else {
        OutputSink rest(layer.shape);
        prepared.compute({{steps[step + 1].first, Op::output}, -1}, source, rest);
        output = rest.output();
    }
    const std::vector<double> exact(exact_output.begin(), exact_output.end());
    return norm(difference(output, exact_output)) / norm(exact);
}

}  // namespace

LayerBisection bisect(const datasets::LayerCase& layer, const datasets::Source& golden,
                      datasets::Path& candidate) {
    const std::vector<OpRange> steps = attention_steps(candidate);
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    std::vector<float> input(index(layer.shape.context * layer.shape.width()));
    golden.rows(Op::attention_norm, {-1, 0, layer.shape.context}, input);
    const auto prepared = candidate.prepare(layer);
    Judge judge(rounded, datasets::attention_ops, candidate, golden, Input::chained, -1);
    HybridSink made(layer, input, judge);
    DeviceCheck device;
    try {
        prepared->compute({datasets::attention_ops, -1}, golden, made);
    } catch (const npu_impl::IntegrityError& error) {
        device.guard_violation = error.what();
    }
    LayerBisection out{layer.clip, layer.layer, {}, 0, {}, {}, 0};
    for (const OpRange step : steps) {
        const OpStatistics statistics = judge.statistics(step.last);
        out.steps.push_back(
            {step, judge_op(statistics, candidate.arithmetic(step.last), device), statistics.rho, 0, 0});
        if (!out.first && out.steps.back().judgement.verdict != Verdict::passed) {
            out.first = out.steps.size() - 1;
        }
    }
    if (!device.guard_violation.empty()) {
        // The run ended there: there is no output to attribute.
        const double nothing = std::numeric_limits<double>::quiet_NaN();
        out.relative_error = out.relative_error_without = nothing;
        out.headline = judged({{Quantity::guards, device.guard_violation}});
        return out;
    }
    out.headline = judge_headline(judge.statistics(Op::output), layer.shape);
    std::vector<std::vector<float>> outputs;
    for (std::size_t count = 0; count <= steps.size(); ++count) {
        outputs.push_back(ExactSource(layer, given(made, steps, count, input)).tensor(Op::output));
    }
    add_shares(out, outputs);
    if (out.first) {
        out.relative_error_without =
            error_without(layer, *prepared, made, steps, *out.first, input, outputs.front());
    }
    return out;
}

}  // namespace harness
