#include "harness/encoder_run.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "datasets/positions.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

std::size_t size(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

Op next(Op op) {
    return static_cast<Op>(static_cast<int>(op) + 1);
}
Op previous(Op op) {
    return static_cast<Op>(static_cast<int>(op) - 1);
}

// Tensors that legs behind `leg` read and that none of them computes, and the block at last.
std::vector<Op> read_later(const std::vector<Leg>& legs, std::size_t leg) {
    std::vector<Op> list;
    for (std::size_t later = leg + 1; later < legs.size(); ++later) {
        for (const datasets::OpInfo& info : datasets::ops_in(legs[later].ops)) {
            for (const Op input : info.inputs) {
                if (legs[leg].ops.contains(input)) {
                    list.push_back(input);
                }
            }
        }
    }
    if (leg + 1 == legs.size()) {
        list.push_back(legs[leg].ops.last);
    }
    return list;
}

// The parts of a plan that a measured or counted part stands for.
datasets::Part planned_within(const std::vector<datasets::Part>& planned, OpRange ops) {
    datasets::Part sum;
    sum.ops = ops;
    for (const datasets::Part& part : planned) {
        if (ops.contains(part.ops.first) && ops.contains(part.ops.last)) {
            sum.launches += part.launches;
            sum.tiles += part.tiles;
            sum.bytes += part.bytes;
            sum.seconds += part.seconds;
            sum.clock = part.clock;
        }
    }
    return sum;
}

}  // namespace

// What is kept of one piece: upstream for the legs to come, and the piece's result. Row widths are those of
// all heads together.
class EncoderWalk::Tensors final : public datasets::Source, public datasets::Sink {
public:
    Tensors(Stage stage, EncoderObserver* observer) : stage_(stage), observer_(observer) {}

    void hold(Op op, std::int64_t width, std::vector<float> values) {
        kept_[op] = {width, std::move(values)};
    }
    void expect(Op op, std::int64_t rows, std::int64_t width) {
        if (!kept_.contains(op)) {
            kept_[op] = {width, std::vector<float>(size(rows * width))};
        }
    }
    std::vector<float> take(Op op) { return std::move(kept_.at(op).values); }

    void rows(Op op, Rows rows, std::span<float> out) const override {
        const auto found = kept_.find(op);
        if (found == kept_.end()) {
            throw std::logic_error("the walk does not hold " + std::string(datasets::name(op)));
        }
        const auto& [width, values] = found->second;
        const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
        const std::int64_t offset = rows.head < 0 ? 0 : rows.head * std::int64_t{datasets::head_width};
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const float* from = values.data() + (rows.begin + row) * width + offset;
            std::copy(from, from + columns, out.data() + row * columns);
        }
    }

    bool wants(Op op) const override {
        return kept_.contains(op) || (observer_ != nullptr && observer_->wants(stage_, op));
    }

    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        if (const auto found = kept_.find(op); found != kept_.end()) {
            auto& [width, tensor] = found->second;
            const std::int64_t offset = rows.head < 0 ? 0 : rows.head * std::int64_t{datasets::head_width};
            for (std::int64_t row = 0; row < rows.count; ++row) {
                std::ranges::copy(values.row(row), tensor.begin() + (rows.begin + row) * width + offset);
            }
        }
        if (observer_ != nullptr && observer_->wants(stage_, op)) {
            observer_->accept(stage_, op, rows, values);
        }
    }

private:
    struct Tensor {
        std::int64_t width = 0;
        std::vector<float> values;
    };

    Stage stage_;
    EncoderObserver* observer_;
    std::map<Op, Tensor> kept_;
};

Route golden_route(datasets::Path& golden) {
    return {&golden, {{datasets::layer_ops, &golden}}, &golden};
}

Route placed_route(const Placement& placement, datasets::Path& golden, datasets::Path& npu) {
    Route route{&golden, {}, placement.end ? &npu : &golden};
    Op begin = datasets::layer_ops.first;
    for (const OpRange ops : placement.layer) {
        if (begin < ops.first) {
            route.layer.push_back({{begin, previous(ops.first)}, &golden});
        }
        route.layer.push_back({ops, &npu});
        begin = next(ops.last);
    }
    if (begin <= datasets::layer_ops.last) {
        route.layer.push_back({{begin, datasets::layer_ops.last}, &golden});
    }
    return route;
}

EncoderPieces make_pieces(datasets::EncoderWeights weights, std::int64_t frames, std::int64_t stride) {
    EncoderPieces pieces;
    const datasets::StemShape stem{weights.mels, frames, stride, weights.heads};
    pieces.shape = {stem.context(), weights.heads};
    pieces.layers = weights.layers();
    std::vector<float> positions = datasets::positions_for(weights, stem.context());
    pieces.stem = datasets::StemCase{stem, std::move(weights.stem)};
    pieces.stem->weights.positions = std::move(positions);
    pieces.end = {pieces.shape, std::move(weights.final_norm)};
    auto layers = std::make_shared<std::vector<datasets::LayerCase>>(size(pieces.layers));
    for (int layer = 0; layer < pieces.layers; ++layer) {
        datasets::LayerCase& made = (*layers)[size(layer)];
        made.layer = layer;
        made.shape = pieces.shape;
        made.weights = std::move(weights.blocks[size(layer)]);
    }
    pieces.layer = [layers](int layer) -> const datasets::LayerCase& { return layers->at(size(layer)); };
    return pieces;
}

EncoderWalk::EncoderWalk(const EncoderPieces& pieces, Route route, EncoderObserver* observer)
    : pieces_(pieces), route_(std::move(route)), observer_(observer) {}

void EncoderWalk::compute(Stage stage, OpRange ops, datasets::PreparedLayer& prepared, Tensors& tensors) {
    const datasets::Work work{ops, -1};
    const std::vector<datasets::Part> planned = prepared.planned(work);
    for (const datasets::Part& part : prepared.compute(work, tensors, tensors)) {
        parts_.push_back({stage, part, planned_within(planned, part.ops)});
    }
}

void EncoderWalk::stem(std::span<const float> mel) {
    if (!pieces_.stem) {
        throw std::logic_error("this encoder has no stem");
    }
    const datasets::StemShape& shape = pieces_.stem->shape;
    if (mel.size() != size(shape.frames * shape.mels)) {
        throw std::invalid_argument("the mel spectrogram does not have the size of the encoder's stem");
    }
    parts_.clear();
    if (stem_ == nullptr) {
        stem_ = route_.stem->prepare(*pieces_.stem);
    }
    const Stage stage{Piece::stem, -1};
    Tensors tensors(stage, observer_);
    tensors.hold(Op::mel, shape.mels, {mel.begin(), mel.end()});
    if (observer_ != nullptr && observer_->wants(stage, Op::mel)) {
        observer_->accept(stage, Op::mel, {-1, 0, shape.frames},
                          {mel.data(), shape.frames, shape.mels, shape.mels});
    }
    tensors.expect(Op::embedding, shape.context(), shape.width());
    compute(stage, datasets::stem_ops, *stem_, tensors);
    stream_ = tensors.take(Op::embedding);
}

void EncoderWalk::start(std::vector<float> stream) {
    parts_.clear();
    stream_ = std::move(stream);
    require_stream();
}

void EncoderWalk::require_stream() const {
    if (stream_.size() != size(pieces_.shape.context * pieces_.shape.width())) {
        throw std::invalid_argument("the stream of the walk does not have the size of the encoder");
    }
}

void EncoderWalk::layer(int index) {
    require_stream();
    if (prepared_index_ != index) {
        prepared_.clear();  // before the layer that they belong to
        prepared_index_ = index;
    }
    const datasets::LayerCase& layer = pieces_.layer(index);
    const datasets::LayerShape& shape = pieces_.shape;
    const Stage stage{Piece::layer, index};
    Tensors tensors(stage, observer_);
    tensors.hold(Op::embedding, shape.width(), std::move(stream_));
    for (std::size_t leg = 0; leg < route_.layer.size(); ++leg) {
        const auto& [ops, path] = route_.layer[leg];
        auto& on_path = prepared_[path];
        if (on_path == nullptr) {
            on_path = path->prepare(layer);
        }
        for (const Op op : read_later(route_.layer, leg)) {
            tensors.expect(op, shape.context,
                           datasets::has_heads(op) ? shape.width() : datasets::row_width(op, shape));
        }
        compute(stage, ops, *on_path, tensors);
    }
    stream_ = tensors.take(Op::block);
}

void EncoderWalk::end() {
    require_stream();
    const Stage stage{Piece::end, -1};
    Tensors tensors(stage, observer_);
    tensors.hold(Op::block, pieces_.shape.width(), std::move(stream_));
    tensors.expect(Op::encoder, pieces_.shape.context, pieces_.shape.width());
    const auto prepared = route_.end->prepare(pieces_.end);
    compute(stage, datasets::end_ops, *prepared, tensors);
    stream_ = tensors.take(Op::encoder);
}

void EncoderWalk::run(std::span<const float> mel) {
    stem(mel);
    for (int index = 0; index < pieces_.layers; ++index) {
        layer(index);
    }
    end();
}

}  // namespace harness
