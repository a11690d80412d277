#include "harness/error_attention.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "harness/error_passes.hpp"
#include "harness/index.hpp"
#include "reference/softmax.hpp"

namespace harness {
namespace {

using datasets::Arithmetic;
using datasets::head_width;
using reference::dense;
using reference::Transpose;

// fp32 logits, exp and quotient.
constexpr float fp32_softmax = 0x1p-44F;

// [rows, keys] = alpha left right^T + beta into.
void by_keys(float alpha, reference::ConstMatrix<float> left, reference::ConstMatrix<float> right, float beta,
             std::vector<float>& into) {
    reference::gemm(Transpose::no, Transpose::yes, alpha, left, right, beta,
                    dense(into.data(), left.rows, right.rows));
}

// Variance of the logits of each row about their own mean error.
std::vector<float> centred_variance(const HeadOperands& operands, std::span<const float> probability) {
    const std::int64_t rows = operands.query.value.rows;
    const std::int64_t keys = operands.key.value.rows;
    std::vector<float> mean_key(index(rows * head_width));
    reference::gemm(Transpose::no, Transpose::no, 1.0F, dense(probability.data(), rows, keys),
                    operands.key.value, 0.0F, dense(mean_key.data(), rows, std::int64_t{head_width}));
    std::vector<float> spread(mean_key.size());
    std::vector<float> crossed(mean_key.size());
    std::vector<float> constant(index(rows), 0.0F);
    const float sums = sum_variance(head_width);
    for (std::int64_t row = 0; row < rows; ++row) {
        for (int c = 0; c < head_width; ++c) {
            const std::size_t i = index(row * head_width + c);
            const float variance = operands.query.variance.row(row)[index(c)];
            spread[i] = variance + sums * operands.query.square.row(row)[index(c)];
            crossed[i] = variance * mean_key[i];
            constant[index(row)] += crossed[i] * mean_key[i];
            // What all keys err by together moves every logit of the row alike.
            if (!operands.key_shared.empty()) {
                constant[index(row)] -=
                    operands.query.square.row(row)[index(c)] * operands.key_shared[index(c)];
            }
        }
    }
    constexpr float scale_squared = 1.0F / head_width;
    std::vector<float> out(probability.size());
    by_keys(scale_squared, dense(std::as_const(spread).data(), rows, std::int64_t{head_width}),
            operands.key.square, 0, out);
    by_keys(-2 * scale_squared, dense(std::as_const(crossed).data(), rows, std::int64_t{head_width}),
            operands.key.value, 1, out);
    by_keys(scale_squared, operands.query.square, operands.key.variance, 1, out);
    for (std::int64_t row = 0; row < rows; ++row) {
        const float shift = scale_squared * constant[index(row)];
        for (std::int64_t j = 0; j < keys; ++j) {
            float& variance = out[index(row * keys + j)];
            variance = std::max(variance + shift, 0.0F);
        }
    }
    return out;
}

// exp's argument and exp itself, relative to the weight. The table holds e^0.
ExpVariance exp_variance(const Arithmetic& softmax) {
    const auto rms = static_cast<float>(softmax.exp_error / 3);
    return {rms * rms, fp32_softmax, softmax.exp_argument == datasets::DType::bf16 ? 1.0F / 12 : 0.0F};
}

// One row: variance of the logits -> weight, mean of the logits -> mean of the probabilities.
class SoftmaxRow {
public:
    SoftmaxRow(const Arithmetic& softmax, bool fused)
        : key_tile_(softmax.key_tile), variance_(exp_variance(softmax)), fused_(fused) {}

    void take(std::span<const float> scores, float top, std::span<const float> p, std::span<float> weight,
              std::vector<Growth>& growths) const {
        const auto keys = static_cast<std::int64_t>(scores.size());
        const std::int64_t width = key_tile_ > 0 ? key_tile_ : keys;
        float running = -std::numeric_limits<float>::infinity();
        float share = 0;
        for (std::int64_t begin = 0; begin < keys; begin += width) {
            const auto of_tile = [&](auto row) {
                return row.subspan(index(begin), index(std::min(width, keys - begin)));
            };
            const float highest = std::max(running, largest_of(of_tile(scores)));
            if (begin > 0 && highest > running && share > 0) {
                growths.push_back({begin / width, variance_.at(running - highest), share});
            }
            running = highest;
            share += weigh(of_tile(scores), fused_ ? running : top, of_tile(p), variance_, of_tile(weight));
        }
    }

private:
    std::int64_t key_tile_;
    ExpVariance variance_;
    bool fused_;
};

void centre_means(std::span<float> mean, std::span<const float> p) {
    float shared = 0;
    for (std::size_t j = 0; j < p.size(); ++j) {
        shared += p[j] * mean[j];
    }
    for (std::size_t j = 0; j < p.size(); ++j) {
        mean[j] = p[j] * (mean[j] - shared);
    }
}

}  // namespace

std::vector<float> score_values(const HeadOperands& operands) {
    std::vector<float> scores(index(operands.query.value.rows * operands.key.value.rows));
    by_keys(0.125F, operands.query.value, operands.key.value, 0, scores);
    return scores;
}

Moments score_errors(const HeadOperands& operands, const Arithmetic& arithmetic,
                     std::span<const float> scores, bool biased) {
    const std::size_t elements = index(operands.query.value.rows * operands.key.value.rows);
    Moments out{std::vector<float>(elements), std::vector<float>(biased ? elements : 0)};
    add_product(operands.query, operands.key, Transpose::yes, 0.125F, out);
    add_product_stores(arithmetic, operands.query.value, operands.key.value, Transpose::yes, 0.125F, {},
                       scores, out);
    return out;
}

SoftmaxErrors softmax_errors(const HeadOperands& operands, const Arithmetic* scores,
                             const Arithmetic& softmax, bool fused, bool biased) {
    const std::int64_t rows = operands.query.value.rows;
    const std::int64_t keys = operands.key.value.rows;
    const std::vector<float> s = score_values(operands);
    SoftmaxErrors out{s, std::vector<float>(s.size()), {}, {}};
    out.growths.resize(index(rows));
    std::vector<float> top(index(rows));
    std::vector<float> total(index(rows));
    const auto p = dense(out.probability.data(), rows, keys);
    reference::exponentials(p, top, total);
    reference::divide_rows(p, total);
    Moments logits{std::vector<float>(s.size()), std::vector<float>(biased ? s.size() : 0)};
    if (scores != nullptr) {
        if (biased) {
            logits = score_errors(operands, *scores, s, true);
        }
        logits.variance = centred_variance(operands, out.probability);
        if (!fused) {
            Moments stored{std::move(logits.variance), {}};
            add_product_stores(*scores, operands.query.value, operands.key.value, Transpose::yes, 0.125F, {},
                               s, stored);
            logits.variance = std::move(stored.variance);
        }
    }
    if (!fused && softmax.operand == datasets::DType::bf16 &&
        (scores == nullptr || scores->store == datasets::DType::f32)) {
        add_store(s, softmax.operand, softmax.operand_rounding, logits);
    }
    out.weight = std::move(logits.variance);
    out.mean = std::move(logits.mean);
    const SoftmaxRow softmax_row(softmax, fused);
    for (std::int64_t row = 0; row < rows; ++row) {
        const std::size_t first = index(row * keys);
        const auto probability = std::span<const float>(out.probability).subspan(first, index(keys));
        softmax_row.take(std::span(s).subspan(first, index(keys)), top[index(row)], probability,
                         std::span(out.weight).subspan(first, index(keys)), out.growths[index(row)]);
        if (biased) {
            centre_means(std::span(out.mean).subspan(first, index(keys)), probability);
        }
    }
    return out;
}

Moments probability_errors(const SoftmaxErrors& softmax, std::int64_t keys) {
    Moments out{std::vector<float>(softmax.weight.size()), softmax.mean};
    for (std::size_t row = 0; row < softmax.growths.size(); ++row) {
        const auto of_row = [&](auto& block) {
            return std::span(block).subspan(row * index(keys), index(keys));
        };
        float shared = sum_of(of_row(softmax.weight));
        for (const Growth& growth : softmax.growths[row]) {
            shared += growth.variance * growth.share * growth.share;
        }
        divide_out_sum(of_row(softmax.probability), of_row(softmax.weight), shared, fp32_softmax,
                       of_row(out.variance));
    }
    return out;
}

namespace {

// What the rescaled part of the context, or of the sum alone, errs by.
void add_growths(const HeadOperands& operands, const SoftmaxErrors& softmax, bool fused,
                 std::int64_t key_tile, std::span<const float> context, Moments& into) {
    const std::int64_t rows = operands.query.value.rows;
    const std::int64_t keys = operands.key.value.rows;
    std::vector<float> before(context.size(), 0.0F);
    std::vector<std::size_t> next(index(rows), 0);
    for (std::int64_t begin = 0; begin < keys; begin += key_tile) {
        for (std::int64_t row = 0; row < rows; ++row) {
            const std::vector<Growth>& growths = softmax.growths[index(row)];
            std::size_t& at = next[index(row)];
            if (at == growths.size() || growths[at].tile != begin / key_tile) {
                continue;
            }
            const Growth& growth = growths[at++];
            for (int c = 0; c < head_width; ++c) {
                const std::size_t i = index(row * head_width + c);
                const float rescaled = (fused ? before[i] : 0.0F) - growth.share * context[i];
                into.variance[i] += growth.variance * rescaled * rescaled;
            }
        }
        if (fused) {
            const std::int64_t count = std::min(key_tile, keys - begin);
            reference::gemm(Transpose::no, Transpose::no, 1.0F,
                            dense(softmax.probability.data(), rows, keys).slice(begin, count),
                            operands.value.value.block(begin, count), 1.0F,
                            dense(before.data(), rows, std::int64_t{head_width}));
        }
    }
}

}  // namespace

Moments context_errors(const HeadOperands& operands, const SoftmaxErrors& softmax, const Moments& stored,
                       bool fused, std::int64_t key_tile, std::span<const float> context, bool biased) {
    const std::int64_t rows = operands.query.value.rows;
    const std::int64_t keys = operands.key.value.rows;
    const bool normalised = !softmax.weight.empty();
    Moments out{std::vector<float>(context.size()), std::vector<float>(biased ? context.size() : 0)};
    // The probabilities as a factor: what their sum does not divide out.
    const std::size_t squares = softmax.probability.size();
    std::vector<float> square(squares);
    std::vector<float> variance(squares);
    for (std::size_t i = 0; i < squares; ++i) {
        const float p = softmax.probability[i];
        square[i] = p * p;
        variance[i] =
            (normalised ? softmax.weight[i] : 0.0F) + (stored.variance.empty() ? 0.0F : stored.variance[i]);
    }
    std::vector<float> mean(biased ? squares : 0, 0.0F);
    for (std::size_t i = 0; i < mean.size(); ++i) {
        mean[i] = (normalised ? softmax.mean[i] : 0.0F) + (stored.mean.empty() ? 0.0F : stored.mean[i]);
    }
    const auto view = [&](const std::vector<float>& data) { return dense(data.data(), rows, keys); };
    add_product({view(softmax.probability), view(square), view(variance),
                 biased ? view(mean) : reference::ConstMatrix<float>{}},
                operands.value, Transpose::no, 1.0F, out);
    std::vector<float> crossed(context.size(), 0.0F);
    if (normalised) {
        reference::gemm(Transpose::no, Transpose::no, 1.0F, view(softmax.weight), operands.value.value, 0.0F,
                        dense(crossed.data(), rows, std::int64_t{head_width}));
    }
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto sum_of_row = [&](const std::vector<float>& block) {
            return sum_of(std::span(block).subspan(index(row * keys), index(keys)));
        };
        const float total = normalised ? sum_of_row(softmax.weight) : 0.0F;
        const float squared = sum_of_row(square);
        for (int c = 0; c < head_width; ++c) {
            const std::size_t i = index(row * head_width + c);
            const float shared = operands.value_shared.empty() ? 0.0F : operands.value_shared[index(c)];
            out.variance[i] += context[i] * (total * context[i] - 2 * crossed[i]) + shared * (1 - squared);
            out.variance[i] = std::max(out.variance[i], 0.0F);
        }
    }
    if (normalised && key_tile > 0) {
        add_growths(operands, softmax, fused, key_tile, context, out);
    }
    return out;
}

}  // namespace harness
