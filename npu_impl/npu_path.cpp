#include "npu_impl/npu_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "npu_impl/layer_memory.hpp"
#include "npu_impl/layer_run.hpp"
#include "npu_impl/layer_time.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Work;

class NpuLayer final : public datasets::PreparedLayer {
public:
    NpuLayer(Device& device, const Design& design, const CostModel& cost_model,
             const datasets::LayerCase& layer)
        : device_(device),
          design_(design),
          cost_model_(cost_model),
          shape_(layer.shape),
          holds_{Op::attention_norm, Op::fc2},
          memory_(device, design_, layer) {
        provide(datasets::attention_ops);
    }

    NpuLayer(Device& device, const Design& design, const CostModel& cost_model, const datasets::EndCase& end)
        : device_(device),
          design_(design),
          cost_model_(cost_model),
          shape_(end.shape),
          holds_(datasets::end_ops),
          memory_(device, design_, end) {
        provide(datasets::end_ops);
    }

    std::vector<Part> compute(Work work, const datasets::Source& source, datasets::Sink& sink) override {
        const HeadSpan heads = heads_of(work);
        const std::size_t piece = held_piece(work.ops);
        provide(work.ops);
        current_[piece] = &plan_of(piece, heads);
        return run_layer(device_, *current_[piece], memory_.buffers(), memory_.host(), work.ops, source,
                         sink);
    }

    [[nodiscard]] std::vector<Part> planned(Work work) const override {
        const LayerPlan plan = plan_layer(design_, shape_, heads_of(work), pieces[held_piece(work.ops)]);
        require_fit(plan, work.ops);
        std::vector<Part> parts;
        const std::vector<StepMoves> moves = plan_moves(plan, work.ops);
        const std::vector<StepCost> costs = layer_costs(plan, work.ops, cost_model_);
        for (std::size_t i = 0; i < moves.size(); ++i) {
            parts.push_back({costs[i].ops, costs[i].launches, costs[i].tiles, moves[i].bytes,
                             costs[i].seconds.total(), datasets::Clock::modelled});
        }
        return parts;
    }

    [[nodiscard]] std::optional<datasets::Site> locate(Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override {
        const auto piece = std::ranges::find_if(pieces, [op](OpRange ops) { return ops.contains(op); });
        const LayerPlan* plan =
            piece == pieces.end() ? nullptr : current_[static_cast<std::size_t>(piece - pieces.begin())];
        return plan == nullptr ? std::nullopt : plan->locate(op, head, row, column);
    }

private:
    [[nodiscard]] HeadSpan all_heads() const { return {0, shape_.heads}; }

    [[nodiscard]] HeadSpan heads_of(const Work& work) const {
        if (work.head < 0) {
            return all_heads();
        }
        const auto has_heads = [](const datasets::OpInfo& op) { return datasets::has_heads(op.op); };
        if (work.head >= shape_.heads || !std::ranges::all_of(datasets::ops_in(work.ops), has_heads)) {
            throw std::invalid_argument(fmt::format("head {} of {} cannot compute {}..{}", work.head,
                                                    shape_.heads, datasets::name(work.ops.first),
                                                    datasets::name(work.ops.last)));
        }
        return {work.head, 1};
    }

    // The piece of a range of this layer's, or the end's.
    [[nodiscard]] std::size_t held_piece(OpRange ops) const {
        if (!holds_.contains(ops.first) || !holds_.contains(ops.last)) {
            throw std::invalid_argument(fmt::format(
                "{}..{} is not part of what was prepared: {}..{}", datasets::name(ops.first),
                datasets::name(ops.last), datasets::name(holds_.first), datasets::name(holds_.last)));
        }
        return piece_of(ops);
    }

    const LayerPlan& plan_of(std::size_t piece, HeadSpan heads) {
        const std::tuple key{piece, heads.first, heads.count};
        if (const auto found = plans_.find(key); found != plans_.end()) {
            return found->second;
        }
        return plans_.emplace(key, plan_layer(design_, shape_, heads, pieces[piece])).first->second;
    }

    void provide(OpRange ops) {
        const std::size_t piece = held_piece(ops);
        const LayerPlan& plan = plan_of(piece, all_heads());
        require_fit(plan, ops);
        memory_.provide(plan, ops);
        current_[piece] = current_[piece] == nullptr ? &plan : current_[piece];
    }

    Device& device_;
    Design design_;
    CostModel cost_model_;
    datasets::LayerShape shape_;
    OpRange holds_;
    LayerMemory memory_;
    std::map<std::tuple<std::size_t, int, int>, LayerPlan> plans_;  // by piece, first head and count
    std::array<const LayerPlan*, pieces.size()> current_{};         // of the last `compute`
};

}  // namespace

NpuPath::NpuPath(Device& device, const Design& design, CostModel cost_model)
    : device_(device), design_(design), cost_model_(std::move(cost_model)) {
    if (design.cores() > device.cores()) {
        throw DeviceError(fmt::format("design {} needs {} cores, device {} has {}", design.name,
                                      design.cores(), device.name(), device.cores()));
    }
    for (const StepDesign& step : design_.steps) {
        steps_.push_back(step.ops);
    }
}

std::string_view NpuPath::name() const {
    return design_.name;
}

std::span<const datasets::OpRange> NpuPath::steps() const {
    return steps_;
}

bool NpuPath::emits(Op op) const {
    return design_.emits(op);
}

datasets::Arithmetic NpuPath::arithmetic(Op op) const {
    datasets::Arithmetic arithmetic = design_.arithmetic_of(op);
    if (arithmetic.accumulation == datasets::Accumulation::vmac_f32) {
        arithmetic.emulation = device_.emulation();
    }
    return arithmetic;
}

std::unique_ptr<datasets::PreparedLayer> NpuPath::prepare(const datasets::LayerCase& layer) {
    return std::make_unique<NpuLayer>(device_, design_, cost_model_, layer);
}

std::unique_ptr<datasets::PreparedLayer> NpuPath::prepare(const datasets::EndCase& end) {
    return std::make_unique<NpuLayer>(device_, design_, cost_model_, end);
}

}  // namespace npu_impl
