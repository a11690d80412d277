// For the tests of the path: what a design must compute, to the bit, on a device that sums in ascending fp32
// chains or by VMACs. Plain loops over whole tensors, without tiles except where a design's rounding depends
// on them; conversions and softmax are the kernel tests' scalar model.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/host/vmac_model_test.hpp"
#include "kernels/tile_model_test.hpp"
#include "npu_impl/plain_layer_test.hpp"

namespace npu_impl::testing {

namespace model = kernels::model;

inline kernels::Store store_named(datasets::DType type, datasets::Rounding rounding) {
    if (type == datasets::DType::f32) {
        return kernels::Store::f32;
    }
    return rounding == datasets::Rounding::nearest_even  ? kernels::Store::bf16_nearest_even
           : rounding == datasets::Rounding::toward_zero ? kernels::Store::bf16_toward_zero
                                                         : kernels::Store::bf16_floor;
}

inline float through(float value, kernels::Store store) {
    return store == kernels::Store::f32 ? value : model::to_float(model::to_bf16(value, store));
}

inline float as_operand(float value, const datasets::Arithmetic& arithmetic) {
    return through(value, store_named(datasets::DType::bf16, arithmetic.operand_rounding));
}

inline std::vector<float> as_operands(std::vector<float> values, const datasets::Arithmetic& arithmetic) {
    for (float& value : values) {
        value = as_operand(value, arithmetic);
    }
    return values;
}

// One VMAC of `count` products, by the kernel tests' model in integers.
template <typename Left, typename Right>
float vmac(float sum, std::int64_t count, Left left, Right right) {
    kernels::host::model::Operands a{};
    kernels::host::model::Operands b{};
    for (std::int64_t i = 0; i < count; ++i) {
        a[at(i)] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(left(i)) >> 16);
        b[at(i)] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(right(i)) >> 16);
    }
    const auto bits = std::bit_cast<std::uint32_t>(sum);
    return std::bit_cast<float>(kernels::host::model::vmac(bits, a, b).bits);
}

// One element: `left` and `right` give the k-th factors, rounded as operands.
template <typename Left, typename Right>
float chain_product(const datasets::Arithmetic& arithmetic, std::int64_t depth, Left left, Right right,
                    float bias, float scale) {
    const kernels::Store store = store_named(arithmetic.store, arithmetic.store_rounding);
    const kernels::Store tile_store = store_named(arithmetic.tile_store, arithmetic.tile_rounding);
    const bool on_host = arithmetic.tile_sum == datasets::TileSum::on_host;
    const float start = as_operand(bias, arithmetic);
    float total = 0;
    float sum = on_host ? 0 : start;
    const bool by_vmac = arithmetic.accumulation == datasets::Accumulation::vmac_f32 &&
                         arithmetic.emulation == datasets::Emulation::exact;
    for (std::int64_t k = 0; k < depth; ++k) {
        if (!by_vmac) {
            sum += left(k) * right(k);
        } else if (k % 8 == 0) {
            sum = vmac(
                sum, std::min<std::int64_t>(8, depth - k), [&](std::int64_t i) { return left(k + i); },
                [&](std::int64_t i) { return right(k + i); });
        }
        const bool tile_ends = (k + 1) % 64 == 0 || k + 1 == depth;
        if (tile_ends && arithmetic.tile_sum == datasets::TileSum::rounded) {
            sum = through(sum, tile_store);
        } else if (tile_ends && on_host) {
            total += through(std::exchange(sum, 0.0F), tile_store);
        }
    }
    return through(scale * (on_host ? total + start : sum), store);
}

struct ChainLayer {
    const LayerCase& layer;
    Design design;
    Tensors tensors;

    // Exact emulation sums by VMACs where the design declares them; softmax and fused attention are always
    // those of the chain kernels.
    ChainLayer(const LayerCase& of, const Design& by,
               datasets::Emulation emulation = datasets::Emulation::fast)
        : layer(of), design(by) {
        for (datasets::Arithmetic& arithmetic : design.arithmetic) {
            arithmetic.emulation = emulation;
        }
        tensors[Op::attention_norm] = layer.input;
        linear(Op::query, Op::attention_norm, layer.weights.attention.query);
        linear(Op::key, Op::attention_norm, layer.weights.attention.key);
        linear(Op::value, Op::attention_norm, layer.weights.attention.value);
        if (design.fused()) {
            fused();
        } else {
            scores();
            probabilities();
            context();
        }
        linear(Op::output, Op::context, layer.weights.attention.output);
    }

    [[nodiscard]] float value(Op op, int head, std::int64_t row, std::int64_t column) const {
        return tensors.at(op)[element(op, layer.shape, head, row, column)];
    }

    void linear(Op op, Op input, const datasets::Linear& weights) {
        const std::int64_t width = layer.shape.width();
        const std::vector<float> x = as_operands(tensors.at(input), design.arithmetic_of(op));
        const std::vector<float> weight = as_operands(weights.weight, design.arithmetic_of(op));
        std::vector<float> result;
        for (std::int64_t row = 0; row < layer.shape.context; ++row) {
            for (std::int64_t out = 0; out < width; ++out) {
                result.push_back(chain_product(
                    design.arithmetic_of(op), width, [&](std::int64_t k) { return x[at(row * width + k)]; },
                    [&](std::int64_t k) { return weight[at(out * width + k)]; },
                    weights.bias.empty() ? 0 : weights.bias[at(out)], 1));
            }
        }
        tensors[op] = std::move(result);
    }

    void scores() {
        const std::vector<float> query = as_operands(tensors.at(Op::query), design.arithmetic_of(Op::scores));
        const std::vector<float> keys = as_operands(tensors.at(Op::key), design.arithmetic_of(Op::scores));
        std::vector<float> result;
        for (int head = 0; head < layer.shape.heads; ++head) {
            for (std::int64_t row = 0; row < layer.shape.context; ++row) {
                for (std::int64_t j = 0; j < layer.shape.context; ++j) {
                    result.push_back(chain_product(
                        design.arithmetic_of(Op::scores), 64,
                        [&](std::int64_t k) { return query[element(Op::query, layer.shape, head, row, k)]; },
                        [&](std::int64_t k) { return keys[element(Op::key, layer.shape, head, j, k)]; }, 0,
                        0.125F));
                }
            }
        }
        tensors[Op::scores] = std::move(result);
    }

    void context() {
        const datasets::Arithmetic& arithmetic = design.arithmetic_of(Op::context);
        const std::vector<float> weights = as_operands(tensors.at(Op::probabilities), arithmetic);
        const std::vector<float> values = as_operands(tensors.at(Op::value), arithmetic);
        std::vector<float> result(layer.input.size());
        for (int head = 0; head < layer.shape.heads; ++head) {
            for (std::int64_t row = 0; row < layer.shape.context; ++row) {
                for (std::int64_t c = 0; c < 64; ++c) {
                    result[element(Op::context, layer.shape, head, row, c)] = chain_product(
                        arithmetic, layer.shape.context,
                        [&](std::int64_t k) {
                            return weights[element(Op::probabilities, layer.shape, head, row, k)];
                        },
                        [&](std::int64_t k) { return values[element(Op::value, layer.shape, head, k, c)]; },
                        0, 1);
                }
            }
        }
        tensors[Op::context] = std::move(result);
    }

    // A tile of op's tensor, zeros beyond it. The first row is `row`, the first column `column`.
    [[nodiscard]] model::Floats tile(Op op, int head, std::int64_t row, std::int64_t column) const {
        model::Floats out(64 * 64, 0.0F);
        const std::int64_t rows = std::min<std::int64_t>(64, layer.shape.context - row);
        const std::int64_t columns =
            std::min<std::int64_t>(64, datasets::row_width(op, layer.shape) - column);
        for (std::int64_t i = 0; i < rows; ++i) {
            for (std::int64_t j = 0; j < columns; ++j) {
                out[at(i * 64 + j)] = value(op, head, row + i, column + j);
            }
        }
        return out;
    }

    [[nodiscard]] int keys_from(std::int64_t first) const {
        return static_cast<int>(std::min<std::int64_t>(64, layer.shape.context - first));
    }

    void probabilities() {
        const datasets::Arithmetic& arithmetic = design.arithmetic_of(Op::probabilities);
        const std::int64_t time = layer.shape.context;
        std::vector<float> result(tensors.at(Op::scores).size());
        for (int head = 0; head < layer.shape.heads; ++head) {
            for (std::int64_t row = 0; row < time; row += 64) {
                model::State state;
                for (std::int64_t key = 0; key < time; key += 64) {
                    model::softmax_update(tile(Op::scores, head, row, key).data(), keys_from(key), state);
                }
                for (std::int64_t key = 0; key < time; key += 64) {
                    model::Bits p(64 * 64);
                    model::softmax_finish(tile(Op::scores, head, row, key).data(), keys_from(key), state,
                                          store_named(arithmetic.store, arithmetic.store_rounding), p.data());
                    for (std::int64_t i = 0; i < keys_from(row); ++i) {
                        for (std::int64_t j = 0; j < keys_from(key); ++j) {
                            result[element(Op::probabilities, layer.shape, head, row + i, key + j)] =
                                model::to_float(p[at(i * 64 + j)]);
                        }
                    }
                }
            }
        }
        tensors[Op::probabilities] = std::move(result);
    }

    void fused() {
        const datasets::Arithmetic& arithmetic = design.arithmetic_of(Op::context);
        const auto operand = [&](Op op, int head, std::int64_t row) {
            model::Bits bits;
            for (const float x : tile(op, head, row, 0)) {
                bits.push_back(
                    model::to_bf16(x, store_named(datasets::DType::bf16, arithmetic.operand_rounding)));
            }
            return bits;
        };
        const kernels::Store store = store_named(arithmetic.store, arithmetic.store_rounding);
        std::vector<float> result(layer.input.size());
        for (int head = 0; head < layer.shape.heads; ++head) {
            for (std::int64_t row = 0; row < layer.shape.context; row += 64) {
                model::State state;
                const model::Bits query = operand(Op::query, head, row);
                for (std::int64_t key = 0; key < layer.shape.context; key += 64) {
                    model::attention_update(query.data(), operand(Op::key, head, key).data(),
                                            operand(Op::value, head, key).data(), keys_from(key), 0.125F,
                                            state);
                }
                for (std::int64_t i = 0; i < keys_from(row); ++i) {
                    const float reciprocal = model::inverse(state.row_sum[at(i)]);
                    for (std::int64_t c = 0; c < 64; ++c) {
                        result[element(Op::context, layer.shape, head, row + i, c)] =
                            through(state.context[at(i * 64 + c)] * reciprocal, store);
                    }
                }
            }
        }
        tensors[Op::context] = std::move(result);
    }
};

}  // namespace npu_impl::testing
