#include "reference/attention_rows.hpp"

#include <stdexcept>
#include <string>

namespace reference {
namespace {

using datasets::Form;
using datasets::Op;

[[noreturn]] void refuse(Op op, const std::string& reason) {
    throw std::invalid_argument("rows of " + std::string(datasets::name(op)) + ": " + reason);
}

}  // namespace

std::int64_t columns_of(Op op, datasets::Rows rows, const datasets::LayerShape& shape) {
    if (!datasets::attention_ops.contains(op)) {
        refuse(op, "not an op of the attention");
    }
    const Form form = datasets::info(op).form;
    if (rows.head < -1 || rows.head >= shape.heads || (rows.head >= 0 && form == Form::rows) ||
        (rows.head < 0 && form == Form::square)) {
        refuse(op, "no head " + std::to_string(rows.head));
    }
    if (rows.begin < 0 || rows.count < 0 || rows.begin > shape.context ||
        rows.count > shape.context - rows.begin) {
        refuse(op, std::to_string(rows.begin) + " and " + std::to_string(rows.count) +
                       " more are not within " + std::to_string(shape.context));
    }
    return rows.head < 0 ? shape.width() : datasets::row_width(op, shape);
}

std::size_t elements_of(Op op, datasets::Rows rows, const datasets::LayerShape& shape) {
    return static_cast<std::size_t>(rows.count * columns_of(op, rows, shape));
}

void check_sizes(const datasets::LayerCase& layer) {
    const auto require = [&](bool fits, const char* what) {
        if (!fits) {
            throw std::invalid_argument("clip " + layer.clip + ", layer " + std::to_string(layer.layer) +
                                        ": " + what + " does not have the size of the layer's shape");
        }
    };
    require(layer.shape.context > 0 && layer.shape.heads > 0, "an empty layer");
    const auto width = static_cast<std::size_t>(layer.shape.width());
    require(layer.input.size() == static_cast<std::size_t>(layer.shape.context) * width, "the input");
    const auto& [query, key, value, output] = layer.weights.attention;
    for (const datasets::Linear* linear : {&query, &key, &value, &output}) {
        require(linear->weight.size() == width * width, "a weight");
        require(linear->bias.empty() || linear->bias.size() == width, "a bias");
    }
}

}  // namespace reference
