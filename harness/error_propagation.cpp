#include "harness/error_propagation.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "datasets/op_weights.hpp"
#include "harness/index.hpp"
#include "harness/norm_bound.hpp"
#include "harness/rounding_error.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::block_rows;
using datasets::DType;
using datasets::Op;
using datasets::Rows;
using reference::Transpose;

// fp32 sums of a norm and of GELU, relative.
constexpr float fp32_function = 0x1p-42F;
// Variance of one rounding to nearest, at most, over the square of what is rounded: uniform in a spacing.
constexpr double fp32_rounding = 0x1p-48 / 3;

bool directed(const Arithmetic& a) {
    const auto biases = [](DType type, datasets::Rounding rounding) {
        return type == DType::bf16 && rounding != datasets::Rounding::nearest_even;
    };
    return biases(a.operand, a.operand_rounding) || biases(a.store, a.store_rounding) ||
           (a.tile_sum == datasets::TileSum::on_host && biases(a.tile_store, a.tile_rounding)) ||
           (a.tile_sum == datasets::TileSum::rounded && a.tile_store == DType::bf16);
}

bool rounds_norm_weights(const Declared& declared, datasets::OpRange range) {
    return std::ranges::any_of(std::array{Op::attention_norm, Op::mlp_norm, Op::encoder}, [&](Op op) {
        return range.contains(op) && declared.of(op).store == DType::bf16;
    });
}

// What all rows of a product share: the rounded weights on the mean row of its input, and the bias.
std::vector<float> shared_variance(std::span<const float> mean_row, const Factor& weight,
                                   std::span<const float> bias) {
    std::vector<float> out(bias.begin(), bias.end());
    for (std::int64_t c = 0; c < weight.variance.rows; ++c) {
        const auto variance = weight.variance.row(c);
        for (std::size_t k = 0; k < mean_row.size(); ++k) {
            out[index(c)] += mean_row[k] * mean_row[k] * variance[k];
        }
    }
    return out;
}

}  // namespace

ErrorPropagation::ErrorPropagation(datasets::LayerOrEnd piece, const datasets::Source& golden,
                                   Declared declared, datasets::OpRange range, int only_head)
    : shape_(piece.layer != nullptr ? piece.layer->shape : piece.end->shape),
      piece_(piece),
      golden_(golden),
      declared_(std::move(declared)),
      range_(range),
      only_head_(only_head),
      biased_(std::ranges::any_of(declared_.arithmetic, directed) || rounds_norm_weights(declared_, range)) {}

std::int64_t ErrorPropagation::columns_of(Op op) const {
    return datasets::has_heads(op) ? shape_.width() : datasets::row_width(op, shape_);
}

const datasets::Linear& ErrorPropagation::linear(Op op) const {
    return *datasets::linear_of(piece_.layer->weights, op);
}

const datasets::Norm& ErrorPropagation::norm(Op op) const {
    return *datasets::norm_of(piece_, op);
}

// Whether `op` errs before a consumer of it reads it.
bool ErrorPropagation::emitted(Op op, Input input) const {
    return input == Input::chained && range_.contains(op) && declared_.has(op);
}

// Where nothing upstream errs, a chained op is an isolated one.
Input ErrorPropagation::source_of(Op op, Input input) const {
    const Op first = declared_.step_of(op).first;
    const bool depends =
        std::ranges::any_of(datasets::ops_in({first, op}), [&](const datasets::OpInfo& step) {
            return std::ranges::any_of(step.inputs, [&](Op in) { return in < first && emitted(in, input); });
        });
    return depends ? Input::chained : Input::isolated;
}

// Rows of an upstream tensor, of one head or of all columns, as `consumer` reads them.
Erring ErrorPropagation::incoming(Op op, const Arithmetic& consumer, Input input, Rows rows) {
    const std::int64_t stride = columns_of(op);
    const std::int64_t columns = rows.head < 0 ? stride : std::int64_t{datasets::head_width};
    Erring out(rows.count, columns, biased_);
    golden_.rows(op, rows, out.value);
    const bool errs = emitted(op, input);
    if (errs) {
        const Moments& upstream = whole_of(op, input).moments;
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t from = (rows.begin + row) * stride + std::max(rows.head, 0) * columns;
            std::copy_n(upstream.variance.begin() + from, columns,
                        out.moments.variance.begin() + row * columns);
            if (biased_) {
                std::copy_n(upstream.mean.begin() + from, columns, out.moments.mean.begin() + row * columns);
            }
        }
    }
    if (!errs || declared_.of(op).store == DType::f32) {
        out.round(consumer, errs);
    }
    out.square_values();
    return out;
}

void ErrorPropagation::prepare(Op op, Input input) {
    if (datasets::is_square(op)) {
        attention_operands(input);
    } else if (op == Op::context) {
        attention_operands(input);
        opened(op, input);
    } else if (op != Op::output || !emitted(Op::context, input)) {
        whole_of(op, input);
    }
}

// A thread that waits for another's must not take up another block, which would wait for this.
ErrorPropagation::Whole& ErrorPropagation::opened(Op op, Input input) {
    const Input source = source_of(op, input);
    Whole& slot = whole_[source == Input::chained ? 1 : 0][index(std::int64_t(op))];
    std::call_once(slot.opened, [&] {
        tbb::this_task_arena::isolate([&] {
            slot.moments.variance.resize(index(shape_.context * columns_of(op)));
            slot.moments.mean.resize(biased_ ? slot.moments.variance.size() : 0);
            if (op == Op::context) {
                slot.blocks =
                    std::make_unique<std::once_flag[]>(index(std::int64_t{shape_.heads} * shape_.blocks()));
            }
            fill_upstream(op, source);
        });
    });
    return slot;
}

const ErrorPropagation::Whole& ErrorPropagation::whole_of(Op op, Input input) {
    Whole& slot = opened(op, input);
    std::call_once(slot.filled,
                   [&] { tbb::this_task_arena::isolate([&] { fill(op, source_of(op, input), slot); }); });
    return slot;
}

const ErrorPropagation::Whole& ErrorPropagation::rows_of(Op op, Rows rows, Input input) {
    if (op != Op::context) {
        return whole_of(op, input);
    }
    Whole& slot = opened(op, input);
    fill_context_block(rows, source_of(op, input), slot, nullptr);
    return slot;
}

// What the step reads, before its blocks are shared out.
void ErrorPropagation::fill_upstream(Op op, Input input) {
    const Op first = declared_.step_of(op).first;
    for (const datasets::OpInfo& step : datasets::ops_in({first, op})) {
        for (const Op in : step.inputs) {
            if (in >= first || !emitted(in, input)) {
                continue;
            }
            if (datasets::is_square(in)) {
                fill_upstream(in, input);
            } else {
                whole_of(in, input);
            }
        }
    }
}

void ErrorPropagation::fill(Op op, Input input, Whole& slot) {
    switch (op) {
        case Op::context:
            return fill_context(input, slot);
        case Op::gelu:
        case Op::attention_norm:
        case Op::mlp_norm:
        case Op::encoder:
            return in_blocks(op, slot, [&](Rows rows, std::span<const float> values) {
                Moments out = op == Op::gelu ? activation(input, rows) : normed(op, rows);
                // What is stored is the golden and the known part of the error.
                std::vector<float> due(values.begin(), values.end());
                for (std::size_t i = 0; i < out.mean.size(); ++i) {
                    due[i] += out.mean[i];
                }
                add_store(due, declared_.of(op).store, declared_.of(op).store_rounding, out);
                return out;
            });
        default:
            return fill_product(op, input, slot);
    }
}

// Rows of all columns, block by block, by errors(rows, golden values).
template <typename Errors>
void ErrorPropagation::in_blocks(Op op, Whole& slot, const Errors& errors) {
    tbb::parallel_for(std::int64_t{0}, shape_.blocks(), [&](std::int64_t block) {
        const std::int64_t begin = block * block_rows;
        const Rows rows{-1, begin, std::min(block_rows, shape_.context - begin)};
        std::vector<float> values(index(rows.count * columns_of(op)));
        golden_.rows(op, rows, values);
        const Moments moments = errors(rows, values);
        std::ranges::copy(moments.variance, slot.moments.variance.begin() + begin * columns_of(op));
        std::ranges::copy(moments.mean, slot.moments.mean.begin() + begin * columns_of(op));
    });
}

void ErrorPropagation::fill_product(Op op, Input input, Whole& slot) {
    const datasets::Linear& weights = linear(op);
    const Arithmetic& arithmetic = declared_.of(op);
    const Op from = datasets::info(op).inputs.front();
    const std::int64_t outputs = columns_of(op);
    Erring weight(outputs, columns_of(from), biased_);
    weight.value = weights.weight;
    weight.round(arithmetic, false);
    weight.square_values();
    Erring bias(1, outputs, biased_);
    std::ranges::copy(weights.bias, bias.value.begin());
    bias.round(arithmetic, false);
    in_blocks(op, slot, [&](Rows rows, std::span<const float> values) {
        const Erring left = incoming(from, arithmetic, input, rows);
        Moments out;
        for (std::int64_t row = 0; row < rows.count; ++row) {
            out.variance.insert(out.variance.end(), bias.moments.variance.begin(),
                                bias.moments.variance.end());
            out.mean.insert(out.mean.end(), bias.moments.mean.begin(), bias.moments.mean.end());
        }
        add_product(left.factor(), weight.factor(), Transpose::yes, 1.0F, out);
        add_product_stores(arithmetic, left.factor().value, weight.factor().value, Transpose::yes, 1.0F,
                           bias.value, values, out);
        return out;
    });
    if (op == Op::key || op == Op::value) {
        slot.shared = shared_variance(mean_row(from), weight.factor(), bias.moments.variance);
    }
}

std::vector<float> ErrorPropagation::mean_row(Op op) const {
    const std::int64_t columns = columns_of(op);
    std::vector<double> sum(index(columns));
    for (std::int64_t begin = 0; begin < shape_.context; begin += block_rows) {
        const std::int64_t count = std::min(block_rows, shape_.context - begin);
        std::vector<float> rows(index(count * columns));
        golden_.rows(op, {-1, begin, count}, rows);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            sum[i % sum.size()] += double{rows[i]};
        }
    }
    std::vector<float> row(sum.size());
    for (std::size_t c = 0; c < row.size(); ++c) {
        row[c] = static_cast<float>(sum[c] / double(shape_.context));
    }
    return row;
}

Moments ErrorPropagation::activation(Input input, Rows rows) {
    const Arithmetic& arithmetic = declared_.of(Op::gelu);
    const Erring x = incoming(Op::fc1, arithmetic, input, rows);
    Moments out = x.moments;
    const double third = arithmetic.function_error / 3;
    for (std::size_t i = 0; i < x.value.size(); ++i) {
        const double value{x.value[i]};
        const double below = std::erfc(-value / std::numbers::sqrt2) / 2;
        const double density = std::exp(-value * value / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
        const auto slope = static_cast<float>(below + value * density);
        const double result = value * below;
        const double function = third * std::max(std::abs(result), arithmetic.function_floor);
        const double fp32 = result * result * double{fp32_function};
        out.variance[i] = out.variance[i] * slope * slope + static_cast<float>(function * function + fp32);
        if (biased_) {
            out.mean[i] *= slope;
        }
    }
    return out;
}

// Gain and bias reach the core in the dtype of the store. What their rounding costs is the same in every row:
// a channel that holds much of the energy would turn it into a gain of the whole, so it is no chance, but
// known. A row's sum errs by its magnitudes, which a massive channel may rule; where a value lies near the
// mean, and its bias near zero, that is all of the error.
Moments ErrorPropagation::normed(Op op, Rows rows) const {
    const Arithmetic& weights = declared_.of(op);
    const std::int64_t width = shape_.width();
    const double roundings = roundings_of_mean(weights, double(width));
    std::vector<float> x(index(rows.count * width));
    golden_.rows(datasets::info(op).inputs.front(), rows, x);
    Moments out{std::vector<float>(x.size()), std::vector<float>(biased_ ? x.size() : 0)};
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const auto values = std::span(x).subspan(index(row * width), index(width));
        double mean = 0;
        double magnitude = 0;
        double square = 0;
        for (const float value : values) {
            mean += double{value} / double(width);
            magnitude += std::abs(double{value}) / double(width);
        }
        for (const float value : values) {
            square += (double{value} - mean) * (double{value} - mean) / double(width);
        }
        const double inverse = 1 / std::sqrt(square + 1e-5);
        const double mean_variance = fp32_rounding * roundings * magnitude * magnitude;
        for (std::size_t c = 0; c < values.size(); ++c) {
            const std::size_t i = index(row * width) + c;
            const auto n = static_cast<float>((double{values[c]} - mean) * inverse);
            const float gain = norm(op).gain[c];
            const float bias = norm(op).bias[c];
            const double aligned = std::max(std::abs(double{values[c]}), std::abs(mean));
            const auto shift = static_cast<float>((mean_variance + 2 * fp32_rounding * aligned * aligned) *
                                                  inverse * inverse);
            out.variance[i] = (fp32_function * n * n + shift) * gain * gain + fp32_function * bias * bias;
            if (biased_) {
                out.mean[i] = n * known_error(gain, weights.store, weights.operand_rounding).mean +
                              known_error(bias, weights.store, weights.operand_rounding).mean;
            }
        }
    }
    return out;
}

}  // namespace harness
