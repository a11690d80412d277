#include "reference/wide_product.hpp"

namespace reference {

std::vector<float> transposed(std::span<const float> matrix, std::int64_t columns) {
    const auto width = static_cast<std::size_t>(columns);
    const std::size_t rows = matrix.size() / width;
    std::vector<float> out(matrix.size());
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < width; ++j) {
            out[j * rows + i] = matrix[i * width + j];
        }
    }
    return out;
}

Target target_of(const Result& result, std::int64_t rows, std::int64_t columns, std::int64_t first,
                 std::int64_t count) {
    Target out{dense(result.value.data(), rows, columns).slice(first, count)};
    if (result.has_magnitude()) {
        out.magnitude = dense(result.magnitude.data(), rows, columns).slice(first, count);
    }
    if (result.has_tiles()) {
        out.tiles = dense(result.tiles.sum.data(), rows, columns).slice(first, count);
    }
    return out;
}

void Product::run(const Factor& left, const Factor& right, const Target& into, const KTiles& tiles) const {
    if (tiles.width > 0) {
        sum_tiles(left.value, right.value, into, tiles);
    } else {
        gemm_in_parts(scale, left.value, right.value, begun ? 1.0 : 0.0, into.value);
    }
    if (into.magnitude.data != nullptr) {
        gemm_in_parts(static_cast<float>(scale), left.magnitude, right.magnitude, begun ? 1.0F : 0.0F,
                      into.magnitude);
    }
}

void Product::sum_tiles(ConstMatrix<double> left, ConstMatrix<double> right, const Target& into,
                        const KTiles& tiles) const {
    const std::int64_t columns = into.value.columns;
    const std::int64_t terms = left.columns;
    std::vector<double> product(static_cast<std::size_t>(left.rows * columns));
    for (std::int64_t begin = 0; begin < terms; begin += tiles.width) {
        const std::int64_t count = std::min(tiles.width, terms - begin);
        gemm_in_parts(scale, left.slice(begin, count), right.block(begin, count), 0.0,
                      dense(product.data(), left.rows, columns));
        const bool first = begin == 0;
        const bool partial = tiles.of == KTiles::Of::partial_sums;
        for (std::int64_t i = 0; i < left.rows; ++i) {
            for (std::int64_t c = 0; c < columns; ++c) {
                const double tile = product[static_cast<std::size_t>(i * columns + c)];
                double& sum = into.value.row(i)[static_cast<std::size_t>(c)];
                double& total = into.tiles.row(i)[static_cast<std::size_t>(c)];
                sum = first && !begun ? tile : sum + tile;
                const double leaves = !partial ? tile : begin + count < terms ? sum : 0.0;
                total = (first ? 0.0 : total) + std::abs(leaves);
            }
        }
    }
}

}  // namespace reference
