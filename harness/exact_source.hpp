// A range of a layer's ops carried on exactly from what a path made of its first ones: what substituting
// golden ops one by one is made of.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "datasets/path.hpp"
#include "reference/wide.hpp"

namespace harness {

// What the first op of a range reads, a whole tensor of the layer.
datasets::Op entry_of(datasets::OpRange range);

// Columns of a whole tensor that is not square, all heads.
std::int64_t whole_columns(datasets::Op op, const datasets::LayerShape& shape);

// Serves the ops of a range and what enters it: those that are given as they are, every other in fp64 from
// the direct inputs that this serves itself, rounded to fp32. Square tensors are made anew for the rows that
// are asked for. Thread-safe.
class ExactSource final : public datasets::Source {
public:
    // Whole tensors [time, columns]; what enters the range must be among them.
    using Given = std::map<datasets::Op, std::span<const float>>;

    // A block of scores or probabilities that is given; other rows of that op must not be asked for.
    struct GivenBlock {
        datasets::Op op{};
        datasets::TensorView values;
    };

    // `layer` (its weights) and what is given must outlive this.
    ExactSource(const datasets::LayerCase& layer, Given given, std::optional<GivenBlock> block = {},
                datasets::OpRange range = datasets::attention_ops);
    ExactSource(const ExactSource&) = delete;
    ExactSource& operator=(const ExactSource&) = delete;

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

    // A whole tensor [time, columns], given or made.
    [[nodiscard]] std::vector<float> tensor(datasets::Op op) const;

private:
    [[nodiscard]] std::vector<float> made(datasets::Op op) const;
    [[nodiscard]] std::span<const float> whole(datasets::Op op) const;

    const datasets::LayerCase& layer_;
    Given given_;
    std::optional<GivenBlock> block_;
    reference::WideReference reference_;
    struct Lazy;
    std::shared_ptr<Lazy> lazy_;  // tensors that are made at their first use
};

}  // namespace harness
