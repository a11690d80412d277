#include "harness/self_check/decorated_path.hpp"

namespace harness {
namespace {

// Owns the edited piece, which the inner path's prepared one refers to.
template <typename Piece>
class DecoratedLayer final : public datasets::PreparedLayer {
public:
    DecoratedLayer(std::unique_ptr<Piece> piece, datasets::Path& path, const PathEdits& edits)
        : piece_(std::move(piece)), inner_(path.prepare(*piece_)), edits_(edits) {}

    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override {
        const auto read = edits_.source ? edits_.source(source) : nullptr;
        const auto pushed = edits_.sink ? edits_.sink(sink) : nullptr;
        return inner_->compute(work, read ? *read : source, pushed ? *pushed : sink);
    }
    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override {
        return inner_->planned(work);
    }
    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override {
        return inner_->locate(op, head, row, column);
    }

private:
    std::unique_ptr<Piece> piece_;
    std::unique_ptr<datasets::PreparedLayer> inner_;
    PathEdits edits_;
};

template <typename Piece>
std::unique_ptr<datasets::PreparedLayer> decorate(const Piece& piece, datasets::Path& inner,
                                                  const std::function<void(Piece&)>& edit,
                                                  const PathEdits& edits) {
    auto copy = std::make_unique<Piece>(piece);
    if (edit) {
        edit(*copy);
    }
    return std::make_unique<DecoratedLayer<Piece>>(std::move(copy), inner, edits);
}

}  // namespace

std::unique_ptr<datasets::PreparedLayer> DecoratedPath::prepare(const datasets::LayerCase& layer) {
    return decorate(layer, inner_, edits_.layer, edits_);
}

std::unique_ptr<datasets::PreparedLayer> DecoratedPath::prepare(const datasets::EndCase& end) {
    return decorate(end, inner_, edits_.end, edits_);
}

void EditingSink::accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) {
    std::vector<float> copy;
    copy.reserve(static_cast<std::size_t>(values.rows * values.columns));
    for (std::int64_t row = 0; row < values.rows; ++row) {
        const auto from = values.row(row);
        copy.insert(copy.end(), from.begin(), from.end());
    }
    edit_(op, rows, copy, values.columns);
    const std::int64_t columns = values.columns;
    inner_.accept(op, rows, {copy.data(), rows.count, columns, columns});
}

}  // namespace harness
