#include "npu_impl/host_sum.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/tile_kernels.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {

using datasets::Op;

void sum_tiles(const HostMatrix& tiles, std::int64_t k_tiles, std::span<const float> bias, float scale,
               std::int64_t rows, std::int64_t columns, const HostMatrix& into) {
    constexpr auto width = static_cast<std::size_t>(side);
    for (std::int64_t row = 0; row < rows; ++row) {
        std::array<float, width> sum{};
        std::array<float, width> part{};
        for (std::int64_t k = 0; k < k_tiles; ++k) {
            unpack(tiles.at(k * side + row, 0), 1, side, part);
            for (std::size_t column = 0; column < width; ++column) {
                sum[column] += part[column];
            }
        }
        for (std::size_t column = 0; column < bias.size(); ++column) {
            sum[column] += bias[column];
        }
        auto* out = reinterpret_cast<float*>(into.at(row, 0).data);
        std::transform(sum.begin(), sum.begin() + columns, out,
                       [scale](float value) { return scale * value; });
    }
}

std::vector<float> host_tensor(const LayerPlan& plan, Op op) {
    const std::int64_t rows =
        lives_in_waves(op) ? wave_pairs * std::int64_t{kernels::tile} : plan.shape.context;
    return std::vector<float>(static_cast<std::size_t>(rows * plan.row_elements(op)),
                              std::numeric_limits<float>::quiet_NaN());
}

}  // namespace npu_impl
