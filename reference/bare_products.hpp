// The matrix products of an encoder and nothing else, for benches: what bounds the golden path. Row blocks
// of a given size, each with one BLAS thread, and every tensor in place.
#pragma once

#include <tbb/enumerable_thread_specific.h>

#include <algorithm>
#include <random>
#include <vector>

#include "datasets/op.hpp"
#include "reference/golden_run.hpp"

namespace reference {

inline std::vector<float> normal_tensor(std::int64_t size, float deviation, unsigned seed) {
    std::minstd_rand random(seed);
    std::normal_distribution<float> distribution(0, deviation);
    std::vector<float> values(static_cast<std::size_t>(size));
    std::ranges::generate(values, [&] { return distribution(random); });
    return values;
}

class BareProducts {
public:
    explicit BareProducts(std::int64_t block) : block_(block) {}

    // to = left weight^T, weight [to.columns, left.columns].
    void multiply(ConstMatrix<float> left, const std::vector<float>& weight, Matrix<float> to) {
        for_each_block(to.rows, [&](std::int64_t begin, std::int64_t rows) {
            gemm(Transpose::no, Transpose::yes, 1.0F, left.block(begin, rows),
                 dense(weight.data(), to.columns, left.columns), 0.0F, to.block(begin, rows));
        });
    }

    // context = (query key^T / 8) value, head by head.
    void attend(ConstMatrix<float> query, ConstMatrix<float> key, ConstMatrix<float> value,
                Matrix<float> context) {
        const std::int64_t blocks = (query.rows + block_ - 1) / block_;
        for_each_task(query.columns / datasets::head_width * blocks, [&](std::int64_t task) {
            const std::int64_t column = task / blocks * datasets::head_width;
            const std::int64_t begin = task % blocks * block_;
            const std::int64_t rows = std::min(block_, query.rows - begin);
            const auto head = [&](auto tensor) { return tensor.slice(column, datasets::head_width); };
            const Matrix<float> scores = scratch(rows, key.rows);
            gemm(Transpose::no, Transpose::yes, 0.125F, head(query).block(begin, rows), head(key), 0.0F,
                 scores);
            gemm(Transpose::no, Transpose::no, 1.0F, scores, head(value), 0.0F,
                 head(context).block(begin, rows));
        });
    }

    // to = (left first^T) second^T, the rows of a block one product after the other.
    void multiply_twice(ConstMatrix<float> left, const std::vector<float>& first,
                        const std::vector<float>& second, Matrix<float> to) {
        const std::int64_t hidden_width = static_cast<std::int64_t>(first.size()) / left.columns;
        for_each_block(to.rows, [&](std::int64_t begin, std::int64_t rows) {
            const Matrix<float> hidden = scratch(rows, hidden_width);
            gemm(Transpose::no, Transpose::yes, 1.0F, left.block(begin, rows),
                 dense(first.data(), hidden_width, left.columns), 0.0F, hidden);
            gemm(Transpose::no, Transpose::yes, 1.0F, hidden, dense(second.data(), to.columns, hidden_width),
                 0.0F, to.block(begin, rows));
        });
    }

private:
    template <typename Body>
    void for_each_block(std::int64_t rows, const Body& body) {
        for_each_task((rows + block_ - 1) / block_, [&](std::int64_t task) {
            body(task * block_, std::min(block_, rows - task * block_));
        });
    }

    Matrix<float> scratch(std::int64_t rows, std::int64_t columns) {
        return Scratch::matrix(scratches_.local(), rows, columns);
    }

    std::int64_t block_;
    tbb::enumerable_thread_specific<Buffer> scratches_;
};

}  // namespace reference
