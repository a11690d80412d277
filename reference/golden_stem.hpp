// The two ends of the encoder on the golden path: the stem before the first layer, the norm behind the last.
#pragma once

#include <memory>
#include <vector>

#include "datasets/path.hpp"
#include "reference/golden_run.hpp"

namespace reference {

// conv1 [frames, width] = gelu(conv(mel) + bias), conv2 [context, width] = gelu(conv(conv1) + bias),
// embedding = conv2 + positions. Both convolutions are 3 wide and padded by one frame of zeros at each
// side; conv2 moves by the shape's stride: conv(x)[t, o] = sum over k, i of weight[o, i, k] x[t stride + k
// - 1, i].
//
// A convolution is one matrix product for each row block: the frames that a row reads stand side by side in
// a strip that stays in cache, and the weights are packed once to [out, 3 in] to match. Rounding points,
// all fp32: the sum, the bias, GELU (elementwise.hpp), the position. Results do not depend on the number
// of threads.
class GoldenStem final : public datasets::PreparedLayer {
public:
    // `stem` must outlive this. Throws std::invalid_argument where a tensor does not have the shape's size.
    GoldenStem(const datasets::StemCase& stem, std::shared_ptr<WorkspacePool> workspaces);

    // Any range of stem ops, head -1. Reads `mel` as [frame, mels]. conv1 by wall time; conv2 and embedding
    // by their share of the wall time of the row blocks. Throws std::invalid_argument for other work. Not
    // to be called concurrently on one object.
    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override;

    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override;
    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override;

private:
    double pass_conv1(Run& run) const;
    OpSeconds pass_conv2(Run& run) const;

    const datasets::StemCase& stem_;
    datasets::Linear conv1_;  // [width, 3 mels]
    datasets::Linear conv2_;  // [width, 3 width]
    std::shared_ptr<WorkspacePool> workspaces_;
};

// encoder = norm(block), in fp64 and rounded once.
class GoldenEnd final : public datasets::PreparedLayer {
public:
    // `end` must outlive this. Throws std::invalid_argument where the norm does not have the shape's size.
    GoldenEnd(const datasets::EndCase& end, std::shared_ptr<WorkspacePool> workspaces);

    // The op `encoder`, by its share of the wall time of the row blocks. Throws std::invalid_argument for
    // other work. Not to be called concurrently on one object.
    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override;

    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override;
    [[nodiscard]] std::optional<datasets::Site> locate(datasets::Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override;

private:
    const datasets::EndCase& end_;
    std::shared_ptr<WorkspacePool> workspaces_;
};

}  // namespace reference
