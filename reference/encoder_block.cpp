#include "reference/encoder_block.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "reference/extent.hpp"
#include "reference/golden_source.hpp"
#include "reference/layer_norm.hpp"

namespace reference {
namespace {

using datasets::LayerCase;
using datasets::Op;
using datasets::Rows;

void require(bool fits, const char* what) {
    if (!fits) {
        throw std::invalid_argument(std::string("encoder block: ") + what +
                                    " does not have the size of its shape");
    }
}

// The stream before the block, and the stream behind it in the same place: rows are read before they are
// written.
class Stream final : public datasets::Source, public datasets::Sink {
public:
    Stream(std::vector<float>& residual, const std::vector<float>& output, std::int64_t width)
        : residual_(residual), output_(output), width_(width) {}

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::vector<float>& from = op == Op::embedding ? residual_ : output_;
        std::copy_n(from.begin() + rows.begin * width_, out.size(), out.begin());
    }
    bool wants(Op op) const override { return op == Op::block; }
    void accept(Op, Rows rows, const datasets::TensorView& values) override {
        for (std::int64_t i = 0; i < rows.count; ++i) {
            std::ranges::copy(values.row(i), residual_.begin() + (rows.begin + i) * width_);
        }
    }

private:
    std::vector<float>& residual_;
    const std::vector<float>& output_;
    std::int64_t width_;
};

}  // namespace

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
    const GoldenSource golden(made);
    for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
        const std::span<const float> tensor = golden.tensor(op);
        made.recorded[op].assign(tensor.begin(), tensor.end());
    }
    made.row_max = golden.row_statistics().max;
    made.row_log_sum_exp = golden.row_statistics().log_sum_exp;
    return made;
}

void advance(const datasets::BlockWeights& weights, const LayerCase& layer, std::vector<float>& residual) {
    LayerCase block;
    block.clip = layer.clip;
    block.layer = layer.layer;
    block.shape = layer.shape;
    block.weights = weights;
    const auto output = layer.recorded.find(Op::output);
    const auto size = static_cast<std::size_t>(layer.shape.context * layer.shape.width());
    require(residual.size() == size, "the residual");
    require(output != layer.recorded.end() && output->second.size() == size, "the recorded output");
    require(is_whole(block), "fc1");
    Stream stream(residual, output->second, layer.shape.width());
    GoldenLayer(block).compute({{Op::attention_residual, Op::block}, -1}, stream, stream);
}

}  // namespace reference
