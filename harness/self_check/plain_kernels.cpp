#include "harness/self_check/plain_kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "datasets/bf16.hpp"

namespace harness {
namespace {

using datasets::Rounding;
using kernels::Store;

constexpr int side = kernels::tile;
constexpr float lowest = -std::numeric_limits<float>::infinity();

float to_float(std::uint16_t bits) {
    return datasets::to_float({bits});
}

std::uint16_t stored(float value, Store store) {
    switch (store) {
        case Store::bf16_nearest_even:
            return datasets::to_bf16(value, Rounding::nearest_even).bits;
        case Store::bf16_toward_zero:
            return datasets::to_bf16(value, Rounding::toward_zero).bits;
        case Store::bf16_floor:
            return datasets::to_bf16(value, Rounding::floor).bits;
        case Store::f32:
            break;
    }
    throw std::invalid_argument("this kernel stores bf16 only");
}

float nearest(float value) {
    return datasets::round_to_bf16(value, Rounding::nearest_even);
}

// The exponential of score - maximum as a bf16.
float exponential(float difference, SoftmaxFlaw flaw) {
    if (flaw == SoftmaxFlaw::exponent_wraps && difference < -16) {
        difference += 16;
    }
    return nearest(flaw == SoftmaxFlaw::base_two ? std::exp2(difference) : std::exp(difference));
}

// Takes the real scores of one row of a tile into its running state and turns them into exponentials. Returns
// the factor by which sums so far are to be scaled.
float update_row(float* scores, int keys, const kernels::SoftmaxState& state, int row, SoftmaxFlaw flaw) {
    if (keys == 0) {
        return 1;
    }
    float& row_max = state.row_max[row];
    float& row_sum = state.row_sum[row];
    const float before = row_max;
    row_max = std::max(before, *std::max_element(scores, scores + keys));
    if (flaw == SoftmaxFlaw::shared_max && row > 0) {
        row_max = std::max(row_max, state.row_max[row - 1]);
    }
    if (flaw == SoftmaxFlaw::no_max) {
        row_max = 0;
    }
    const bool scaled = before != lowest && flaw != SoftmaxFlaw::no_rescale;
    const float factor = scaled ? std::exp(before - row_max) : 1;
    row_sum = flaw == SoftmaxFlaw::sum_per_tile ? 0 : row_sum * factor;
    const int summed = flaw == SoftmaxFlaw::lanes_unsummed ? std::min(keys, side - 16) : keys;
    for (int key = 0; key < keys; ++key) {
        scores[key] = exponential(scores[key] - row_max, flaw);
        if (key < summed) {
            row_sum = flaw == SoftmaxFlaw::bf16_sum ? nearest(row_sum + scores[key]) : row_sum + scores[key];
        }
    }
    return factor;
}

float reciprocal(float sum, SoftmaxFlaw flaw) {
    return flaw == SoftmaxFlaw::cut_reciprocal ? datasets::round_to_bf16(1 / sum, Rounding::floor) : 1 / sum;
}

void update_attention(const std::uint16_t* query, const std::uint16_t* key, const std::uint16_t* value,
                      int keys, float scale, const kernels::AttentionState& state, SoftmaxFlaw flaw) {
    std::array<float, side> scores{};
    for (int row = 0; row < side; ++row) {
        for (int other = 0; other < keys; ++other) {
            float sum = 0;
            for (int channel = 0; channel < side; ++channel) {
                sum += to_float(query[row * side + channel]) * to_float(key[other * side + channel]);
            }
            scores[static_cast<std::size_t>(other)] = scale * sum;
        }
        const float factor = update_row(scores.data(), keys, state.softmax, row, flaw);
        float* context = state.context + row * side;
        for (int channel = 0; channel < side; ++channel) {
            context[channel] *= factor;
        }
        for (int other = 0; other < keys; ++other) {
            for (int channel = 0; channel < side; ++channel) {
                context[channel] +=
                    scores[static_cast<std::size_t>(other)] * to_float(value[other * side + channel]);
            }
        }
    }
}

float sum_of(const std::vector<float>& terms, NormFlaw flaw) {
    float sum = 0;
    double wide = 0;
    for (const float term : terms) {
        sum = nearest(sum + term);
        wide += double{term};
    }
    return flaw == NormFlaw::bf16_sums ? sum : static_cast<float>(wide);
}

void normalise(const float* x, const std::uint16_t* gain, const std::uint16_t* bias, int columns, Store store,
               std::uint16_t* out, NormFlaw flaw) {
    std::vector<float> terms(x, x + columns);
    const auto count = static_cast<float>(columns);
    const float mean = flaw == NormFlaw::mean_kept ? 0 : sum_of(terms, flaw) / count;
    const float about = flaw == NormFlaw::mean_square_twice ? 2 * mean : mean;
    std::ranges::transform(terms, terms.begin(), [about](float v) { return (v - about) * (v - about); });
    const float variance = sum_of(terms, flaw) / count + 1e-5F;
    const float divisor = flaw == NormFlaw::no_root ? variance : std::sqrt(variance);
    for (int column = 0; column < columns; ++column) {
        const float normalised = (x[column] - mean) / divisor;
        out[column] = stored(normalised * to_float(gain[column]) + to_float(bias[column]), store);
    }
}

double gelu(double x, GeluFlaw flaw) {
    switch (flaw) {
        case GeluFlaw::tanh_form:
            return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
        case GeluFlaw::sigmoid_form:
            return x / (1 + std::exp(-1.702 * x));
        case GeluFlaw::relu:
            return std::max(x, 0.0);
        case GeluFlaw::none:
            break;
    }
    return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

}  // namespace

void replace_softmax(kernels::KernelTable& table, SoftmaxFlaw flaw) {
    table.softmax_update = [flaw](const float* scores, int keys, const kernels::SoftmaxState& state) {
        std::array<float, side> row_scores{};
        for (int row = 0; row < side; ++row) {
            std::copy_n(scores + row * side, side, row_scores.begin());
            update_row(row_scores.data(), keys, state, row, flaw);
        }
    };
    table.softmax_finish = [flaw](const float* scores, int keys, const kernels::SoftmaxState& state,
                                  Store store, std::uint16_t* p) {
        for (int row = 0; row < side; ++row) {
            const float inverse = reciprocal(state.row_sum[row], flaw);
            for (int key = 0; key < side; ++key) {
                const float e =
                    key < keys ? exponential(scores[row * side + key] - state.row_max[row], flaw) : 0;
                p[row * side + key] = stored(key < keys ? e * inverse : 0, store);
            }
        }
    };
    table.attention_update = [flaw](const std::uint16_t* query, const std::uint16_t* key,
                                    const std::uint16_t* value, int keys, float scale,
                                    const kernels::AttentionState& state) {
        update_attention(query, key, value, keys, scale, state, flaw);
    };
    table.attention_finish = [flaw](const kernels::AttentionState& state, Store store, void* out) {
        auto* bits = static_cast<std::uint16_t*>(out);
        for (int row = 0; row < side; ++row) {
            const float inverse = reciprocal(state.softmax.row_sum[row], flaw);
            for (int channel = 0; channel < side; ++channel) {
                bits[row * side + channel] = stored(state.context[row * side + channel] * inverse, store);
            }
        }
    };
}

void replace_layer_norm(kernels::KernelTable& table, NormFlaw flaw) {
    table.layer_norm = [flaw](const float* x, const std::uint16_t* gain, const std::uint16_t* bias, int rows,
                              int columns, Store store, std::uint16_t* out) {
        for (std::int64_t row = 0; row < rows; ++row) {
            normalise(x + row * columns, gain, bias, columns, store, out + row * columns, flaw);
        }
    };
}

void replace_gelu(kernels::KernelTable& table, GeluFlaw flaw) {
    table.gelu = [flaw](const float* x, int count, Store store, std::uint16_t* out) {
        std::transform(x, x + count, out, [flaw, store](float value) {
            return stored(static_cast<float>(gelu(double{value}, flaw)), store);
        });
    };
}

}  // namespace harness
