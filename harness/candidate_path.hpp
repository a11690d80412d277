// A path whose numbers lie in a file: another program computed them, and nothing runs here. It declares the
// arithmetic of a design, and emits what the file holds.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datasets/candidate.hpp"
#include "datasets/path.hpp"
#include "npu_impl/design.hpp"

namespace harness {

// One layer of one clip of a candidate.
class CandidatePath final : public datasets::Path {
public:
    // Both must outlive the path and what it prepares. Throws datasets::ReadError where the file holds an op
    // that never leaves the core in this design.
    CandidatePath(const datasets::Candidate& candidate, std::string clip, int layer,
                  const npu_impl::Design& design);

    [[nodiscard]] std::string_view name() const override { return design_.name; }

    // The design's steps whose last op the file holds.
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override { return steps_; }
    [[nodiscard]] bool emits(datasets::Op op) const override;

    // As the design declares, computed exactly.
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;

    // `compute` reads nothing of its source, emits what the file holds of the range, and counts nothing.
    // `locate` says where the design's own plan makes an element. `layer` gives the shape.
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
    using datasets::Path::prepare;

private:
    const datasets::Candidate& candidate_;
    std::string clip_;
    int layer_;
    const npu_impl::Design& design_;
    std::vector<datasets::OpRange> steps_;
};

// What an isolated step of another program could read: the recording's own tensors where the layer holds
// them, for their bits are the same everywhere, else the golden's.
class RecordedSource final : public datasets::Source {
public:
    // Both must outlive this.
    RecordedSource(const datasets::LayerCase& layer, const datasets::Source& golden);

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

    [[nodiscard]] bool records(datasets::Op op) const { return tensors_.contains(op); }

private:
    datasets::LayerShape shape_;
    const datasets::Source& golden_;
    std::map<datasets::Op, std::span<const float>> tensors_;  // [time, row]
};

}  // namespace harness
