#include "reference/encoder_block.hpp"

#include <tbb/cache_aligned_allocator.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <utility>

#include "reference/golden_source.hpp"
#include "reference/projection.hpp"
#include "reference/softmax.hpp"

namespace reference {
namespace {

using datasets::LayerCase;
using datasets::Op;
using Buffer = std::vector<float, tbb::cache_aligned_allocator<float>>;

constexpr double norm_epsilon = 1e-5;

// Rows that go through the MLP together: their hidden activations, 4 x wider, stay in cache.
constexpr std::int64_t mlp_rows = 128;

void require(bool fits, const char* what) {
    if (!fits) {
        throw std::invalid_argument(std::string("encoder block: ") + what +
                                    " does not have the size of its shape");
    }
}

void check(const datasets::Norm& norm, std::size_t width) {
    require(norm.gain.size() == width && norm.bias.size() == width, "a norm");
}

void normalise_row(const datasets::Norm& norm, std::span<const float> x, std::span<float> result) {
    const auto count = static_cast<double>(x.size());
    double sum = 0;
    for (const float value : x) {
        sum += double{value};
    }
    const double mean = sum / count;
    double squares = 0;
    for (const float value : x) {
        const double centred = double{value} - mean;
        squares += centred * centred;
    }
    const double factor = 1 / std::sqrt(squares / count + norm_epsilon);
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double normal = (double{x[j]} - mean) * factor;
        result[j] = static_cast<float>(normal * double{norm.gain[j]} + double{norm.bias[j]});
    }
}

void add(std::span<float> to, std::span<const float> what) {
    std::ranges::transform(to, what, to.begin(), std::plus<float>());
}

// What one thread reuses from row block to row block.
struct MlpScratch {
    Buffer rows;    // [mlp_rows, width]: the norm, then fc2
    Buffer hidden;  // [mlp_rows, 4 width]
};

void mlp_block(const datasets::BlockWeights& weights, Matrix<float> residual, MlpScratch& scratch) {
    const auto hidden_width = static_cast<std::int64_t>(weights.fc1.bias.size());
    scratch.rows.resize(static_cast<std::size_t>(mlp_rows * residual.columns));
    scratch.hidden.resize(static_cast<std::size_t>(mlp_rows * hidden_width));
    const Matrix<float> rows = dense(scratch.rows.data(), residual.rows, residual.columns);
    const Matrix<float> hidden = dense(scratch.hidden.data(), residual.rows, hidden_width);
    for (std::int64_t i = 0; i < residual.rows; ++i) {
        normalise_row(weights.mlp_norm, residual.row(i), rows.row(i));
    }
    apply_rows(weights.fc1, 0, rows, hidden);
    gelu({hidden.data, static_cast<std::size_t>(hidden.rows * hidden.columns)});
    apply_rows(weights.fc2, 0, hidden, rows);
    for (std::int64_t i = 0; i < residual.rows; ++i) {
        add(residual.row(i), rows.row(i));
    }
}

}  // namespace

void layer_norm(const datasets::Norm& norm, ConstMatrix<float> x, Matrix<float> result) {
    check(norm, static_cast<std::size_t>(x.columns));
    require(result.rows == x.rows && result.columns == x.columns, "the result of a norm");
    tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, x.rows, datasets::block_rows),
                      [&](const tbb::blocked_range<std::int64_t>& range) {
                          for (std::int64_t i = range.begin(); i < range.end(); ++i) {
                              normalise_row(norm, x.row(i), result.row(i));
                          }
                      });
}

void gelu(std::span<float> x) {
    // erfc, not 1 + erf: the latter loses every digit of the left tail.
    std::ranges::transform(x, x.begin(), [](float value) {
        const double wide{value};
        return static_cast<float>(0.5 * wide * std::erfc(-wide * (std::numbers::sqrt2 / 2)));
    });
}

LayerCase make_case(const datasets::BlockWeights& weights, datasets::LayerShape shape,
                    const std::vector<float>& residual, std::string clip, int layer) {
    require(residual.size() == static_cast<std::size_t>(shape.context * shape.width()), "the residual");
    LayerCase made;
    made.clip = std::move(clip);
    made.layer = layer;
    made.shape = shape;
    made.weights = weights;
    made.input.resize(residual.size());
    layer_norm(weights.attention_norm, dense(residual.data(), shape.context, shape.width()),
               dense(made.input.data(), shape.context, shape.width()));
    GoldenSource golden(made);
    for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
        const std::span<const float> tensor = golden.tensor(op);
        made.recorded[op].assign(tensor.begin(), tensor.end());
    }
    made.row_max = golden.row_statistics().max;
    made.row_log_sum_exp = golden.row_statistics().log_sum_exp;
    return made;
}

void advance(const datasets::BlockWeights& weights, const LayerCase& layer, std::vector<float>& residual) {
    const std::int64_t width = layer.shape.width();
    const std::int64_t context = layer.shape.context;
    const auto output = layer.recorded.find(Op::output);
    require(residual.size() == static_cast<std::size_t>(context * width), "the residual");
    require(output != layer.recorded.end() && output->second.size() == residual.size(),
            "the recorded output");
    const auto hidden = static_cast<std::size_t>(layer.shape.mlp_width());
    const auto size = hidden * static_cast<std::size_t>(width);
    check(weights.mlp_norm, static_cast<std::size_t>(width));
    require(weights.fc1.weight.size() == size && weights.fc1.bias.size() == hidden, "fc1");
    require(weights.fc2.weight.size() == size && weights.fc2.bias.size() == static_cast<std::size_t>(width),
            "fc2");
    const Matrix<float> stream = dense(residual.data(), context, width);
    const ConstMatrix<float> attended = dense(output->second.data(), context, width);
    tbb::enumerable_thread_specific<MlpScratch> scratches;
    tbb::parallel_for(std::int64_t{0}, (context + mlp_rows - 1) / mlp_rows, [&](std::int64_t block) {
        const std::int64_t begin = block * mlp_rows;
        const Matrix<float> rows = stream.block(begin, std::min(mlp_rows, context - begin));
        for (std::int64_t i = 0; i < rows.rows; ++i) {
            add(rows.row(i), attended.row(begin + i));
        }
        mlp_block(weights, rows, scratches.local());
    });
}

}  // namespace reference
