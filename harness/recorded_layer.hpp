// Takes the tensors of a layer out of a walk, as a recording holds them.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <string>

#include "datasets/layer_case.hpp"
#include "harness/encoder_run.hpp"
#include "reference/golden.hpp"

namespace harness {

// The golden path, which keeps the softmax statistics of the layer that it computed last.
class StatisticsPath final : public datasets::Path {
public:
    [[nodiscard]] std::string_view name() const override { return golden_.name(); }
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override { return golden_.steps(); }
    [[nodiscard]] bool emits(datasets::Op op) const override { return golden_.emits(op); }
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override {
        return golden_.arithmetic(op);
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::StemCase& stem) override {
        return golden_.prepare(stem);
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override {
        return golden_.prepare(end);
    }

    [[nodiscard]] const reference::RowStatistics& statistics() const { return statistics_; }

private:
    reference::GoldenPath golden_;
    reference::RowStatistics statistics_;
};

// What an observed walk over one layer leaves. Two cases take turns, so that one can be written while the
// next is filled, and memory is fresh but once.
class LayerRecorder final : public EncoderObserver {
public:
    // `ops`: of layers, attention_norm among them; each [time, row].
    LayerRecorder(datasets::LayerShape shape, std::set<datasets::Op> ops);

    // The ops that a recording of the attention holds, and with `mlp` of the whole layer.
    static std::set<datasets::Op> recorded_ops(bool mlp);

    // Before each layer: whether it is listened to.
    void listen(bool wanted);

    bool wants(Stage stage, datasets::Op op) const override;
    void accept(Stage stage, datasets::Op op, datasets::Rows rows,
                const datasets::TensorView& values) override;

    // The layer that has been walked. Not written to as long as somebody else holds it.
    [[nodiscard]] std::shared_ptr<const datasets::LayerCase> take(std::string clip, int layer,
                                                                  const reference::RowStatistics& statistics,
                                                                  datasets::BlockWeights weights);

private:
    [[nodiscard]] std::int64_t width(datasets::Op op) const;
    [[nodiscard]] std::vector<float>& tensor(datasets::Op op);
    void make_room();

    datasets::LayerShape shape_;
    std::set<datasets::Op> ops_;
    std::array<std::shared_ptr<datasets::LayerCase>, 2> cases_;
    std::size_t current_ = 0;
    bool listening_ = false;
};

}  // namespace harness
