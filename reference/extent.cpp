#include "reference/extent.hpp"

#include <stdexcept>
#include <string>

namespace reference {
namespace {

using datasets::Form;
using datasets::Op;

[[noreturn]] void refuse(Op op, const std::string& reason) {
    throw std::invalid_argument("rows of " + std::string(datasets::name(op)) + ": " + reason);
}

void require_rows(Op op, datasets::Rows rows, std::int64_t available) {
    if (rows.begin < 0 || rows.count < 0 || rows.begin > available || rows.count > available - rows.begin) {
        refuse(op, std::to_string(rows.begin) + " and " + std::to_string(rows.count) +
                       " more are not within " + std::to_string(available));
    }
}

// The sizes of one piece's tensors.
class Sizes {
public:
    explicit Sizes(std::string piece) : piece_(std::move(piece)) {}

    void require(bool fits, const std::string& what) const {
        if (!fits) {
            throw std::invalid_argument(piece_ + ": " + what + " does not have the size of the shape");
        }
    }
    void check(const datasets::Linear& linear, std::int64_t outputs, std::int64_t inputs,
               const std::string& what) const {
        require(has(linear.weight, outputs * inputs), what + " (weight)");
        require(linear.bias.empty() || has(linear.bias, outputs), what + " (bias)");
    }
    void check(const datasets::Norm& norm, std::int64_t width, const std::string& what) const {
        require(has(norm.gain, width) && has(norm.bias, width), what);
    }
    static bool has(const std::vector<float>& tensor, std::int64_t size) {
        return tensor.size() == static_cast<std::size_t>(size);
    }

private:
    std::string piece_;
};

}  // namespace

std::int64_t columns_of(Op op, datasets::Rows rows, const datasets::LayerShape& shape) {
    if (op < Op::embedding) {
        refuse(op, "not an op of a layer");
    }
    const bool square = datasets::info(op).form == Form::square;
    if (rows.head < -1 || rows.head >= shape.heads || (rows.head >= 0 && !datasets::has_heads(op)) ||
        (rows.head < 0 && square)) {
        refuse(op, "no head " + std::to_string(rows.head));
    }
    require_rows(op, rows, shape.context);
    return rows.head < 0 && datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape);
}

std::int64_t columns_of(Op op, datasets::Rows rows, const datasets::StemShape& shape) {
    const std::int64_t available = datasets::row_count(op, shape);
    if (rows.head != -1) {
        refuse(op, "no head " + std::to_string(rows.head));
    }
    require_rows(op, rows, available);
    return datasets::row_width(op, shape);
}

std::size_t elements_of(Op op, datasets::Rows rows, const datasets::LayerShape& shape) {
    return static_cast<std::size_t>(rows.count * columns_of(op, rows, shape));
}

std::size_t elements_of(Op op, datasets::Rows rows, const datasets::StemShape& shape) {
    return static_cast<std::size_t>(rows.count * columns_of(op, rows, shape));
}

bool is_whole(const datasets::LayerCase& layer) {
    return !layer.weights.fc1.weight.empty();
}

void check_sizes(const datasets::LayerCase& layer) {
    const Sizes sizes("clip " + layer.clip + ", layer " + std::to_string(layer.layer));
    sizes.require(layer.shape.context > 0 && layer.shape.heads > 0, "an empty layer");
    const std::int64_t width = layer.shape.width();
    const std::int64_t hidden = layer.shape.mlp_width();
    for (const auto& [tensor, what] : {std::pair{&layer.input, "the input"}, {&layer.stream, "the stream"}}) {
        sizes.require(tensor->empty() || Sizes::has(*tensor, layer.shape.context * width), what);
    }
    const datasets::BlockWeights& weights = layer.weights;
    sizes.check(weights.attention.query, width, width, "query");
    sizes.check(weights.attention.key, width, width, "key");
    sizes.check(weights.attention.value, width, width, "value");
    sizes.check(weights.attention.output, width, width, "output");
    if (is_whole(layer) || !weights.fc2.weight.empty() || !weights.mlp_norm.gain.empty() ||
        !weights.attention_norm.gain.empty()) {
        sizes.check(weights.attention_norm, width, "attention_norm");
        sizes.check(weights.mlp_norm, width, "mlp_norm");
        sizes.check(weights.fc1, hidden, width, "fc1");
        sizes.check(weights.fc2, width, hidden, "fc2");
    }
}

void check_sizes(const datasets::StemCase& stem) {
    const Sizes sizes("the stem");
    const datasets::StemShape& shape = stem.shape;
    sizes.require(shape.mels > 0 && shape.frames > 0 && shape.heads > 0 && shape.stride > 0, "an empty one");
    sizes.check(stem.weights.conv1, shape.width(), std::int64_t{shape.mels} * 3, "conv1");
    sizes.check(stem.weights.conv2, shape.width(), shape.width() * 3, "conv2");
    sizes.require(Sizes::has(stem.weights.positions, shape.context() * shape.width()), "positions");
}

void check_sizes(const datasets::EndCase& end) {
    const Sizes sizes("the end of the encoder");
    sizes.require(end.shape.context > 0 && end.shape.heads > 0, "an empty one");
    sizes.check(end.norm, end.shape.width(), "the norm");
}

}  // namespace reference
