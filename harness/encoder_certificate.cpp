#include "harness/encoder_certificate.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reference/golden_end_source.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;

// The tensors of a stem, on their way through a walk, as a source.
class StemTensors final : public EncoderObserver, public datasets::Source {
public:
    explicit StemTensors(const datasets::StemShape& shape) : shape_(shape) {
        for (Op op : {Op::mel, Op::conv1, Op::conv2, Op::embedding}) {
            tensors_[op].resize(
                static_cast<std::size_t>(datasets::row_count(op, shape) * datasets::row_width(op, shape)));
        }
    }

    bool wants(Stage stage, Op op) const override {
        return stage.piece == Piece::stem && tensors_.contains(op);
    }
    void accept(Stage, Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        const std::int64_t width = datasets::row_width(op, shape_);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            std::ranges::copy(values.row(row), tensors_.at(op).begin() + (rows.begin + row) * width);
        }
    }
    void rows(Op op, datasets::Rows rows, std::span<float> out) const override {
        const auto found = tensors_.find(op);
        if (found == tensors_.end()) {
            throw std::invalid_argument("a stem does not hold " + std::string(datasets::name(op)));
        }
        const std::int64_t width = datasets::row_width(op, shape_);
        const auto begin = found->second.begin() + rows.begin * width;
        std::copy(begin, begin + rows.count * width, out.begin());
    }

private:
    datasets::StemShape shape_;
    std::map<Op, std::vector<float>> tensors_;
};

}  // namespace

std::map<Stage, Certificate> certify_encoder(const EncoderPieces& pieces, std::span<const float> mel,
                                             datasets::Path& golden, std::uint64_t row_seed,
                                             const Progress& progress) {
    std::map<Stage, Certificate> made;
    const auto show = [&](Stage stage) { progress("certifying the golden's " + name(stage)); };

    const Stage first{Piece::stem, -1};
    show(first);
    StemTensors stem(pieces.stem.value().shape);
    EncoderWalk walk(pieces, golden_route(golden), &stem);
    walk.stem(mel);
    made[first] = certify(*pieces.stem, stem, row_seed);

    std::vector<float> stream = walk.stream();
    for (int index = 0; index < pieces.layers; ++index) {
        const Stage stage{Piece::layer, index};
        show(stage);
        datasets::LayerCase layer = pieces.layer(index);
        layer.stream = std::move(stream);
        const reference::GoldenSource source(layer);
        made[stage] = certify(layer, source, datasets::layer_ops, row_seed);
        const std::span<const float> block = source.tensor(Op::block);
        stream.assign(block.begin(), block.end());
    }

    const Stage last{Piece::end, -1};
    show(last);
    made[last] = certify(pieces.end, reference::GoldenEndSource(pieces.end, std::move(stream)), row_seed);
    return made;
}

}  // namespace harness
