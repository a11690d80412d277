#include "reference/projection.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "reference/elementwise.hpp"

namespace reference {
namespace {

// Each block packs the whole weight anew, so blocks are tall; shorter ones balance better over many threads.
constexpr std::int64_t projection_rows = 384;

}  // namespace

void apply_rows(const datasets::Linear& linear, std::int64_t first, ConstMatrix<float> left,
                Matrix<float> result) {
    const std::int64_t inputs = left.columns;
    gemm(Transpose::no, Transpose::yes, 1.0F, left,
         dense(linear.weight.data() + first * inputs, result.columns, inputs), 0.0F, result);
    if (!linear.bias.empty()) {
        add_to_rows(result,
                    std::span(linear.bias)
                        .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(result.columns)));
    }
}

void apply(const datasets::Linear& linear, std::int64_t first, ConstMatrix<float> left,
           Matrix<float> result) {
    const std::int64_t blocks = (left.rows + projection_rows - 1) / projection_rows;
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, blocks, 1),
        [&](const tbb::blocked_range<std::int64_t>& range) {
            for (std::int64_t block = range.begin(); block < range.end(); ++block) {
                const std::int64_t begin = block * projection_rows;
                const std::int64_t count = std::min(projection_rows, left.rows - begin);
                apply_rows(linear, first, left.block(begin, count), result.block(begin, count));
            }
        },
        tbb::simple_partitioner{});
}

}  // namespace reference
