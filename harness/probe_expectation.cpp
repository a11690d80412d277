#include "harness/probe_expectation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "harness/index.hpp"
#include "harness/interrupt.hpp"
#include "harness/judge.hpp"
#include "harness/operands.hpp"
#include "harness/probe_bound.hpp"
#include "harness/probe_filling.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Path;
using datasets::Rows;
using datasets::Source;
using datasets::TensorView;

using datasets::head_width;
// What flushes at the lower end of fp32, far below any expectation.
constexpr double flushed = 1e-30;

// V = 1 gives 1, and rows of probabilities sum up to 1.
class Ones final : public Expectation {
public:
    Ones(const Path& path, std::int64_t keys) : bound_(path, keys) {}

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (op == Op::scores) {
            std::vector<double> sums;
            for (std::int64_t row = 0; row < got.rows; ++row) {
                sums.push_back(bound_.row_sum(got.row(row)));
            }
            const std::scoped_lock lock(mutex_);
            sums_[{rows.head, rows.begin}] = std::move(sums);
            return false;
        }
        if (op != Op::context) {
            return false;
        }
        std::vector<double> sums(index(rows.count), 0.0);
        if (!bound_.fused()) {
            expect_row_sums(rows, sums);
        }
        std::ranges::transform(sums, sums.begin(), [&](double row_sum) {
            return bound_.context(Weights::any, row_sum).bound(1, 1);
        });
        fill(into, got, [&](std::int64_t row, std::int64_t) -> Due { return {1.0, sums[index(row)]}; });
        return true;
    }

    bool expect_row_sums(Rows rows, std::span<double> bounds) override {
        const std::scoped_lock lock(mutex_);
        const auto found = sums_.find({rows.head, rows.begin});
        if (found != sums_.end()) {  // else the block is not where it belongs, and no bound saves it
            std::ranges::copy(found->second, bounds.begin());
        }
        return true;
    }

private:
    ProbeBound bound_;
    std::mutex mutex_;
    std::map<std::pair<int, std::int64_t>, std::vector<double>> sums_;
};

// K = 0: all weights are the same number, and context is the mean of V.
class Mean final : public Expectation {
public:
    Mean(const Path& path, datasets::LayerShape shape, const Source& source, int head)
        : keys_(shape.context), bound_(path, shape.context), columns_(index(shape.heads)) {
        const RoundedSource rounded(source, path.arithmetic(Op::context));
        std::vector<float> value(index(shape.context * head_width));
        for (int h = std::max(head, 0); h < (head < 0 ? shape.heads : head + 1); ++h) {
            rounded.rows(Op::value, {h, 0, shape.context}, value);
            std::array<Column, std::size_t(head_width)>& columns = columns_[index(h)];
            for (std::size_t i = 0; i < value.size(); ++i) {
                Column& column = columns[i % index(head_width)];
                column.mean += double{value[i]} / double(keys_);
                column.magnitude += std::abs(double{value[i]}) / double(keys_);
            }
        }
    }

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        const double weight = 1 / double(keys_);
        const double weight_bound = weight * bound_.row_sum();
        const MeanError error = bound_.context(Weights::equal, bound_.row_sum());
        fill(into, got, [&](std::int64_t, std::int64_t c) -> Due {
            if (op == Op::scores) {
                return {0, 0};
            }
            if (op == Op::probabilities) {
                return {weight, weight_bound};
            }
            const Column& column = columns_[index(rows.head)][index(c)];
            return {column.mean, error.bound(std::abs(column.mean), column.magnitude) + flushed};
        });
        return true;
    }

private:
    struct Column {
        double mean = 0;
        double magnitude = 0;
    };
    std::int64_t keys_;
    ProbeBound bound_;
    std::vector<std::array<Column, std::size_t(head_width)>> columns_;  // [head]
};

// The fp64 result of what the source supplies; sampled, on the first, the last and one block in between of
// each head.
class Bounded64 final : public Expectation {
public:
    Bounded64(const Path& path, const ProbeOperands& operands)
        : blocks_(operands.blocks), emitted_(operands.shape, {Op::scores, Op::context}, operands.source) {
        layer_.shape = operands.shape;
        for (const datasets::OpRange step : path.steps()) {
            if (step.first >= Op::scores && step.last <= Op::context) {
                courts_[step.last] = std::make_unique<Court>(layer_, step, emitted_, path);
            }
        }
    }

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (blocks_ == Blocks::sampled && !is_sampled(rows)) {
            return false;
        }
        emitted_.keep(op, rows, got);
        const Court& court = *courts_.at(op);
        court.bounds.of(op, rows, court.arithmetic, court.fused, into);
        for (const Op upstream : datasets::info(op).inputs) {
            emitted_.drop(upstream, rows);
        }
        return true;
    }

private:
    [[nodiscard]] bool is_sampled(Rows rows) const {
        const std::int64_t last = layer_.shape.blocks() - 1;
        const std::int64_t between =
            static_cast<std::int64_t>(mixed(4, 0, std::uint64_t(rows.head)) >> 1U) % (last + 1);
        return rows.block() == 0 || rows.block() == last || rows.block() == between;
    }

    struct Court {
        Court(const datasets::LayerCase& layer, datasets::OpRange step, const Source& upstream,
              const Path& path)
            : arithmetic(path.arithmetic(step.last)),
              fused(step.first != step.last),
              operands(upstream, arithmetic),
              bounds(layer, operands) {}

        datasets::Arithmetic arithmetic;
        bool fused;
        RoundedSource operands;
        Bounds bounds;
    };
    Blocks blocks_;
    datasets::LayerCase layer_;
    EmittedSource emitted_;
    std::map<Op, std::unique_ptr<Court>> courts_;
};

// Row i of context is the index-valued row hot_key(i).
class HotRows final : public Expectation {
public:
    HotRows(const Path& path, std::int64_t keys)
        : keys_(keys),
          relative_(ProbeBound(path, keys).context(Weights::single, ProbeBound(path, keys).row_sum())) {}

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (op != Op::context) {
            return false;
        }
        constexpr double largest_value = 128;
        const double others = 4 * largest_value * double(keys_) * std::exp(-code_margin(keys_));
        fill(into, got, [&](std::int64_t row, std::int64_t c) -> Due {
            const double due{index_value(rows.head, hot_key(rows.begin + row, keys_), int(c))};
            return {due, relative_.bound(due, due) + others};
        });
        return true;
    }

private:
    std::int64_t keys_;
    MeanError relative_;
};

// |deviation| / bound; where the very number is due, 0 or infinity.
double ratio(double got, double due, double bound) {
    const double deviation = std::abs(got - due);
    if (!std::isfinite(got) || (bound == 0 && deviation > 0)) {
        return std::numeric_limits<double>::infinity();
    }
    return deviation > 0 ? deviation / bound : 0.0;
}

// Whether an element of such a ratio comes before the worst so far: worse, or as bad and earlier.
bool before(double rho, Op op, const Element& element, double worst_rho, Op worst_op, const Element& worst) {
    const auto place = [](Op o, const Element& e) { return std::tuple(o, e.head, e.row, e.column); };
    return rho > worst_rho || (rho == worst_rho && rho > 0 && place(op, element) < place(worst_op, worst));
}

}  // namespace

std::unique_ptr<Expectation> expectation_of(Probe probe, const Path& path, const ProbeOperands& operands) {
    switch (probe) {
        case Probe::ones:
            return std::make_unique<Ones>(path, operands.shape.context);
        case Probe::zero_keys:
            return std::make_unique<Mean>(path, operands.shape, operands.source, operands.head);
        case Probe::one_hot:
            return std::make_unique<HotRows>(path, operands.shape.context);
        case Probe::raised_keys:
        case Probe::deep_keys:
            return std::make_unique<Bounded64>(path, operands);
        case Probe::integers:
            break;
    }
    throw std::invalid_argument("integers are due exactly, op by op");
}

void ProbeSink::accept(Op op, Rows rows, const TensorView& values) {
    throw_if_interrupted();
    {
        const std::scoped_lock lock(mutex_);
        if (!arrived_.emplace(op, rows.head, rows.begin).second) {
            return;  // what it reads may be gone; level 0 speaks of blocks that come twice
        }
    }
    Figures block;
    Bounded due;
    const bool judged = expectation_.expect(op, rows, values, due);
    std::vector<double> sum_bounds(index(rows.count));
    const bool sums = op == Op::probabilities && expectation_.expect_row_sums(rows, sum_bounds);
    for (std::int64_t row = 0; row < values.rows; ++row) {
        const std::span<const float> got = values.row(row);
        double sum = 0;
        for (std::int64_t c = 0; c < values.columns; ++c) {
            const double value{got[index(c)]};
            block.nonfinite += std::isfinite(value) ? 0 : 1;
            sum += value;
            const std::size_t at = index(row * values.columns + c);
            const double rho = judged ? ratio(value, due.value[at], due.bound[at]) : 0;
            if (rho > block.rho) {
                block.rho = rho;
                block.worst = {rows.head, rows.begin + row, c, value, due.value[at], due.bound[at]};
                const std::int64_t first = std::min(c / 4 * 4, std::max<std::int64_t>(values.columns - 4, 0));
                for (std::int64_t i = 0; i < std::min<std::int64_t>(4, values.columns); ++i) {
                    block.group[index(i)] = got[index(first + i)];
                }
            }
        }
        const double rho = sums ? ratio(sum, 1, sum_bounds[index(row)]) : 0;
        if (rho > block.row_sum_rho) {
            block.row_sum_rho = rho;
            block.worst_row_sum = {rows.head, rows.begin + row, 0, sum, 1, sum_bounds[index(row)]};
        }
    }
    const std::scoped_lock lock(mutex_);
    Figures& all = figures_;
    all.elements += values.rows * values.columns;
    all.judged += judged ? values.rows * values.columns : 0;
    all.nonfinite += block.nonfinite;
    if (before(block.rho, op, block.worst, all.rho, all.op, all.worst)) {
        all.rho = block.rho;
        all.op = op;
        all.worst = block.worst;
        all.group = block.group;
    }
    if (before(block.row_sum_rho, op, block.worst_row_sum, all.row_sum_rho, op, all.worst_row_sum)) {
        all.row_sum_rho = block.row_sum_rho;
        all.worst_row_sum = block.worst_row_sum;
    }
}

}  // namespace harness
