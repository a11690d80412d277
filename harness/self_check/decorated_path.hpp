// A path around a path: the piece that it is prepared with, what it reads and what it pushes are edited on
// their way. The seams are LayerCase, Source and Sink.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "datasets/path.hpp"

namespace harness {

// Null: nothing is edited there. A source or sink that is made must outlive no more than one `compute`.
struct PathEdits {
    std::function<void(datasets::LayerCase&)> layer;
    std::function<void(datasets::EndCase&)> end;
    std::function<std::unique_ptr<datasets::Source>(const datasets::Source& upstream)> source;
    std::function<std::unique_ptr<datasets::Sink>(datasets::Sink& sink)> sink;
};

class DecoratedPath final : public datasets::Path {
public:
    // `inner` must outlive this.
    DecoratedPath(datasets::Path& inner, PathEdits edits) : inner_(inner), edits_(std::move(edits)) {}

    [[nodiscard]] std::string_view name() const override { return inner_.name(); }
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override { return inner_.steps(); }
    [[nodiscard]] bool emits(datasets::Op op) const override { return inner_.emits(op); }
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override {
        return inner_.arithmetic(op);
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override;
    using datasets::Path::prepare;

private:
    datasets::Path& inner_;
    PathEdits edits_;
};

// Edits a copy of each block that passes. `values` is dense, rows.count x columns.
class EditingSink final : public datasets::Sink {
public:
    using Edit =
        std::function<void(datasets::Op, datasets::Rows&, std::vector<float>& values, std::int64_t columns)>;

    EditingSink(datasets::Sink& inner, Edit edit) : inner_(inner), edit_(std::move(edit)) {}

    bool wants(datasets::Op op) const override { return inner_.wants(op); }
    bool looks() const override { return inner_.looks(); }
    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override;

private:
    datasets::Sink& inner_;
    Edit edit_;
};

// Edits what is read.
class EditingSource final : public datasets::Source {
public:
    using Edit = std::function<void(datasets::Op, datasets::Rows, std::span<float>)>;

    EditingSource(const datasets::Source& inner, Edit edit) : inner_(inner), edit_(std::move(edit)) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        inner_.rows(op, rows, out);
        edit_(op, rows, out);
    }

private:
    const datasets::Source& inner_;
    Edit edit_;
};

}  // namespace harness
