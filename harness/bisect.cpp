#include "harness/bisect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>

#include "harness/declared.hpp"
#include "harness/exact_source.hpp"
#include "harness/gate_accuracy.hpp"
#include "harness/index.hpp"
#include "harness/judge.hpp"
#include "harness/operands.hpp"
#include "harness/shard.hpp"
#include "npu_impl/device.hpp"
#include "reference/wide.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

std::vector<OpRange> steps_of(const datasets::Path& candidate, OpRange range) {
    std::vector<OpRange> out;
    for (const OpRange step : candidate.steps()) {
        if (range.contains(step.first) && range.contains(step.last)) {
            out.push_back(step);
        }
    }
    if (out.empty() || out.front().first != range.first || out.back().last != range.last) {
        throw std::invalid_argument(fmt::format("the path has no steps that make up {}..{}",
                                                datasets::name(range.first), datasets::name(range.last)));
    }
    return out;
}

// Keeps the whole tensors of a run, and, behind every square op, the context that exact ops make of it.
// Passes everything on to a judge.
class HybridSink final : public datasets::Sink {
public:
    HybridSink(const datasets::LayerCase& layer, OpRange range, std::span<const float> input, Judge& judge)
        : layer_(layer), range_(range), input_(input), judge_(judge) {
        for (const datasets::OpInfo& info : datasets::ops_in(range)) {
            tensors_[info.op].resize(index(layer.shape.context * whole_columns(info.op, layer.shape)));
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
        const ExactSource exact(layer_, {{entry_of(range_), input_}, {Op::value, tensors_.at(Op::value)}},
                                ExactSource::GivenBlock{op, values}, range_);
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
        const std::int64_t width = whole_columns(op, layer_.shape);
        const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
        for (std::int64_t row = 0; row < rows.count; ++row) {
            std::ranges::copy(values.row(row), tensors_.at(op).begin() + (rows.begin + row) * width + offset);
        }
    }

    const datasets::LayerCase& layer_;
    OpRange range_;
    std::span<const float> input_;
    Judge& judge_;
    std::map<Op, std::vector<float>> tensors_;
};

// Keeps one op alone.
class LastSink final : public datasets::Sink {
public:
    LastSink(Op last, const datasets::LayerShape& shape)
        : last_(last), values_(index(shape.context * whole_columns(last, shape))) {}

    bool wants(Op op) const override { return op == last_; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        for (std::int64_t row = 0; op == last_ && row < rows.count; ++row) {
            std::ranges::copy(values.row(row), values_.begin() + (rows.begin + row) * values.columns);
        }
    }

    [[nodiscard]] const std::vector<float>& values() const { return values_; }

private:
    Op last_;
    std::vector<float> values_;
};

// Keeps the last op, and passes everything on to a judge.
class JudgedSink final : public datasets::Sink {
public:
    JudgedSink(LastSink& kept, Judge& judge) : kept_(kept), judge_(judge) {}

    bool wants(Op) const override { return true; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        judge_.accept(op, rows, values);
        kept_.accept(op, rows, values);
    }

private:
    LastSink& kept_;
    Judge& judge_;
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

// One layer under bisection.
struct Bench {
    const datasets::LayerCase& layer;
    OpRange range;
    std::vector<OpRange> steps;
    std::span<const float> input;  // what enters the range

    // The first `count` steps as the candidate made them, the rest exact.
    [[nodiscard]] ExactSource carried_on(const HybridSink& made, std::size_t count) const {
        ExactSource::Given given{{entry_of(range), input}};
        for (const OpRange step : std::span(steps).first(count)) {
            given[is_square(step.last) ? Op::context : step.last] = made.tensor(step.last);
        }
        return ExactSource(layer, std::move(given), {}, range);
    }
};

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

// |e| / |out(0)| where step `step` alone is exact.
double error_without(const Bench& bench, datasets::PreparedLayer& prepared, const HybridSink& made,
                     std::size_t step, const std::vector<float>& exact_output) {
    const ExactSource source = bench.carried_on(made, step);
    std::vector<float> output;
    if (step + 1 == bench.steps.size()) {
        output = source.tensor(bench.range.last);
    } else {
        LastSink rest(bench.range.last, bench.layer.shape);
        prepared.compute({{bench.steps[step + 1].first, bench.range.last}, -1}, source, rest);
        output = rest.values();
    }
    const std::vector<double> exact(exact_output.begin(), exact_output.end());
    return norm(difference(output, exact_output)) / norm(exact);
}

StepShare judged_step(const datasets::LayerShape& shape, OpRange step, const datasets::Path& candidate,
                      const Judge& judge, const DeviceCheck& device) {
    const OpStatistics statistics = judge.statistics(step.last);
    const datasets::Arithmetic arithmetic = candidate.arithmetic(step.last);
    const std::vector<Headroom> accuracy =
        accuracy_of(accuracy_row(step, Input::chained, [&](Op op) { return candidate.arithmetic(op); }),
                    shape, statistics);
    StepShare out;
    out.step = step;
    out.judgement = judge_op(statistics, arithmetic, device, accuracy_findings(accuracy, statistics.z));
    out.rho = statistics.rho;
    out.z_rms = accuracy.empty() ? std::numeric_limits<double>::quiet_NaN() : statistics.z->rms;
    for (const Headroom& headroom : accuracy) {
        const bool nearer = !out.nearest || headroom.decibel < out.nearest->decibel;
        if (limit(headroom.quantity).gated && nearer) {
            out.nearest = headroom;
        }
    }
    return out;
}

LayerBisection nothing_of(const std::string& clip, int layer, OpRange range) {
    LayerBisection out;
    out.clip = clip;
    out.layer = layer;
    out.range = range;
    return out;
}

// Runs the candidate; a guard that it broke is returned, and ends the run.
DeviceCheck run_on_device(datasets::PreparedLayer& prepared, OpRange range, const datasets::Source& golden,
                          datasets::Sink& sink) {
    DeviceCheck device;
    try {
        prepared.compute({range, -1}, golden, sink);
    } catch (const npu_impl::IntegrityError& error) {
        device.guard_violation = error.what();
    }
    return device;
}

// There is no result to attribute.
void leave_without_result(LayerBisection& out, const DeviceCheck& device) {
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    out.relative_error = out.relative_error_without = nothing;
    out.headline = judged({{Quantity::guards, device.guard_violation}});
}

LayerBisection bisect_on_device(const datasets::LayerCase& layer, const datasets::Source& golden,
                                datasets::Path& candidate, OpRange range) {
    std::vector<float> input(index(layer.shape.context * whole_columns(entry_of(range), layer.shape)));
    golden.rows(entry_of(range), {-1, 0, layer.shape.context}, input);
    const Bench bench{layer, range, steps_of(candidate, range), input};
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    const auto prepared = candidate.prepare(layer);
    Judge judge(rounded, range, candidate, golden, Input::chained, -1,
                std::make_shared<const ErrorModel>(layer, golden, declared_by(candidate), range));
    judge.prepare(range);
    HybridSink made(layer, range, input, judge);
    const DeviceCheck device = run_on_device(*prepared, range, golden, made);
    LayerBisection out = nothing_of(layer.clip, layer.layer, range);
    for (const OpRange step : bench.steps) {
        out.steps.push_back(judged_step(layer.shape, step, candidate, judge, device));
        if (!out.first && out.steps.back().judgement.verdict != Verdict::passed) {
            out.first = out.steps.size() - 1;
        }
    }
    if (!device.guard_violation.empty()) {
        leave_without_result(out, device);
        return out;
    }
    if (range.last == Op::output) {
        out.headline = judge_headline(judge.statistics(Op::output), layer.shape);
    }
    std::vector<std::vector<float>> outputs;
    for (std::size_t count = 0; count <= bench.steps.size(); ++count) {
        outputs.push_back(bench.carried_on(made, count).tensor(range.last));
    }
    add_shares(out, outputs);
    if (out.first) {
        out.relative_error_without = error_without(bench, *prepared, made, *out.first, outputs.front());
    }
    return out;
}

LayerBisection bisect_end_on_device(const datasets::EndCase& end, const std::string& clip,
                                    const datasets::Source& golden, datasets::Path& candidate) {
    const OpRange range = datasets::end_ops;
    const datasets::EndCase rounded = rounded_weights(end, candidate);
    const auto prepared = candidate.prepare(end);
    Judge judge(rounded, candidate, golden, Input::chained,
                std::make_shared<const ErrorModel>(end, golden, declared_by(candidate)));
    LastSink made(range.last, end.shape);
    JudgedSink sink(made, judge);
    const DeviceCheck device = run_on_device(*prepared, range, golden, sink);
    LayerBisection out = nothing_of(clip, end_layer, range);
    out.steps.push_back(judged_step(end.shape, range, candidate, judge, device));
    if (out.steps.back().judgement.verdict != Verdict::passed) {
        out.first = 0;
    }
    if (!device.guard_violation.empty()) {
        leave_without_result(out, device);
        return out;
    }
    std::vector<double> wide(made.values().size());
    reference::WideReference(end, golden).rows(range.last, {-1, 0, end.shape.context}, wide, {});
    add_shares(out, {{wide.begin(), wide.end()}, made.values()});
    return out;
}

// A device that fails leaves its reason.
template <typename Run>
LayerBisection bisected(const std::string& clip, int layer, OpRange range, const Run& run) {
    try {
        return run();
    } catch (const npu_impl::DeviceError& error) {
        LayerBisection out = nothing_of(clip, layer, range);
        out.not_run = error.what();
        return out;
    }
}

}  // namespace

LayerBisection bisect(const datasets::LayerCase& layer, const datasets::Source& golden,
                      datasets::Path& candidate, OpRange range) {
    return bisected(layer.clip, layer.layer, range,
                    [&] { return bisect_on_device(layer, golden, candidate, range); });
}

LayerBisection bisect_end(const datasets::EndCase& end, const std::string& clip,
                          const datasets::Source& golden, datasets::Path& candidate) {
    return bisected(clip, end_layer, datasets::end_ops,
                    [&] { return bisect_end_on_device(end, clip, golden, candidate); });
}

}  // namespace harness
