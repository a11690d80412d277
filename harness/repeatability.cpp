#include "harness/repeatability.hpp"

#include <bit>
#include <stdexcept>

#include "harness/interrupt.hpp"

namespace harness {
namespace {

// The input of the attention, rows in given or in reverse order.
class InputSource final : public datasets::Source {
public:
    InputSource(const datasets::LayerCase& layer, bool reversed) : layer_(layer), reversed_(reversed) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        if (op != datasets::Op::attention_norm) {
            throw std::logic_error("a chained run reads nothing but the input of the attention");
        }
        const std::int64_t width = layer_.shape.width();
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t at = rows.begin + row;
            const float* from =
                layer_.input.data() + (reversed_ ? layer_.shape.context - 1 - at : at) * width;
            std::copy(from, from + width, out.data() + row * width);
        }
    }

private:
    const datasets::LayerCase& layer_;
    bool reversed_;
};

}  // namespace

void BitSink::accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) {
    throw_if_interrupted();
    // Eight interleaved FNV-1a lanes over the float bits: any changed bit changes the checksum of its lane.
    constexpr std::size_t lanes = 8;
    std::uint64_t lane[lanes];
    for (std::size_t i = 0; i < lanes; ++i) {
        lane[i] = 1469598103934665603ULL + i;
    }
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const auto data = values.row(row);
        for (std::size_t c = 0; c < data.size(); ++c) {
            std::uint64_t& hash = lane[c % lanes];
            hash = (hash ^ std::bit_cast<std::uint32_t>(data[c])) * 1099511628211ULL;
        }
    }
    Print print{0, rows.count * values.columns};
    for (const std::uint64_t hash : lane) {
        print.checksum = (print.checksum ^ hash) * 1099511628211ULL;
    }
    {
        const std::scoped_lock lock(mutex_);
        prints_[{op, rows.head, rows.begin}] = print;
    }
    if (onward_ != nullptr) {
        onward_->accept(op, rows, values);
    }
}

Repeatability check_repeatability(datasets::PreparedLayer& prepared, const datasets::LayerCase& layer,
                                  datasets::Work work, const BitSink& first) {
    const InputSource a(layer, false);
    const InputSource b(layer, true);
    BitSink last(nullptr);
    datasets::NullSink between;
    prepared.compute(work, b, between);
    prepared.compute(work, a, last);
    Repeatability out;
    for (const auto& [key, print] : first.prints()) {
        out.elements += print.elements;
        const auto again = last.prints().find(key);
        if (again == last.prints().end() || again->second != print) {
            out.differing += print.elements;
        }
    }
    return out;
}

}  // namespace harness
