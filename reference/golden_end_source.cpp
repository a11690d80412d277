#include "reference/golden_end_source.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "reference/blas.hpp"
#include "reference/layer_norm.hpp"

namespace reference {
namespace {

std::size_t elements(const datasets::LayerShape& shape) {
    return static_cast<std::size_t>(shape.context * shape.width());
}

}  // namespace

GoldenEndSource::GoldenEndSource(const datasets::EndCase& end, std::vector<float> block)
    : shape_(end.shape), block_(std::move(block)), encoder_(elements(end.shape)) {
    if (block_.size() != elements(shape_)) {
        throw std::invalid_argument("the block before the end does not have the size of its shape");
    }
    layer_norm(end.norm, dense(std::as_const(block_).data(), shape_.context, shape_.width()),
               dense(encoder_.data(), shape_.context, shape_.width()));
}

void GoldenEndSource::rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const {
    const bool there = rows.head == -1 && rows.begin >= 0 && rows.count >= 0 &&
                       rows.begin + rows.count <= shape_.context &&
                       out.size() == static_cast<std::size_t>(rows.count * shape_.width());
    if ((op != datasets::Op::block && op != datasets::Op::encoder) || !there) {
        throw std::invalid_argument("the end of the encoder has rows of block and encoder only");
    }
    const std::vector<float>& tensor = op == datasets::Op::block ? block_ : encoder_;
    const auto begin = tensor.begin() + rows.begin * shape_.width();
    std::copy(begin, begin + rows.count * shape_.width(), out.begin());
}

}  // namespace reference
