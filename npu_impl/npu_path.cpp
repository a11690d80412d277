#include "npu_impl/npu_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include "datasets/bf16.hpp"
#include "npu_impl/layer_plan.hpp"
#include "npu_impl/layer_run.hpp"
#include "npu_impl/packing.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using datasets::Part;
using datasets::Work;

constexpr std::int64_t side = kernels::tile;

const datasets::Linear& projection_weights(const datasets::AttentionWeights& weights, Op op) {
    switch (op) {
        case Op::query:
            return weights.query;
        case Op::key:
            return weights.key;
        case Op::value:
            return weights.value;
        default:
            return weights.output;
    }
}

constexpr std::array projections{Op::query, Op::key, Op::value, Op::output};

// The buffers of one layer, released with it.
class OwnedBuffers {
public:
    explicit OwnedBuffers(Device& device) : device_(device) {}
    OwnedBuffers(const OwnedBuffers&) = delete;
    OwnedBuffers& operator=(const OwnedBuffers&) = delete;
    ~OwnedBuffers() {
        for (const Buffer buffer : owned_) {
            try {
                device_.release(buffer);
            } catch (const DeviceError&) {
                // The device is lost or still busy with it; there is nobody left to tell.
                continue;
            }
        }
    }

    Buffer allocate(std::int64_t bytes) {
        owned_.push_back(device_.allocate(bytes));
        return owned_.back();
    }

private:
    Device& device_;
    std::vector<Buffer> owned_;
};

class NpuLayer final : public datasets::PreparedLayer {
public:
    NpuLayer(Device& device, const Design& design, const CostModel& cost_model,
             const datasets::LayerCase& layer)
        : device_(device), design_(design), cost_model_(cost_model), shape_(layer.shape), owned_(device) {
        const LayerPlan& plan = plan_of(all_heads());
        allocate_tensors(plan);
        host_ = host_tensors(plan);
        for (const Op op : projections) {
            load_weights(op, projection_weights(layer.weights.attention, op), plan.summed_on_host(op));
        }
        current_ = &plan;
    }

    std::vector<Part> compute(Work work, const datasets::Source& source, datasets::Sink& sink) override {
        current_ = &plan_of(heads_of(work));
        return run_layer(device_, *current_, buffers_, host_, work.ops, source, sink);
    }

    [[nodiscard]] std::vector<Part> planned(Work work) const override {
        const LayerPlan plan = plan_layer(design_, shape_, heads_of(work));
        std::vector<Part> parts;
        for (const StepMoves& move : plan_moves(plan, work.ops)) {
            const TilePlan& tiles = move.step->tiles;
            parts.push_back({move.step->ops, static_cast<std::int64_t>(tiles.launches.size()), tiles.tiles(),
                             move.bytes, cost_model_.cost(tiles).total(), datasets::Clock::modelled});
        }
        return parts;
    }

    [[nodiscard]] std::optional<datasets::Site> locate(Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override {
        const LayerPlan& plan = *current_;
        const StepPlan* step = plan.step_of(op);
        if (step == nullptr) {
            return std::nullopt;
        }
        const bool headed = datasets::has_heads(op);
        if (headed && !lives_in_waves(op) && head < 0) {
            head = static_cast<int>(column / side);
            column %= side;
        }
        const int local = headed ? head - plan.heads.first : 0;
        if (row < 0 || row >= shape_.context || column < 0 || column >= datasets::row_width(op, shape_)) {
            return std::nullopt;
        }
        const std::int64_t tile_row = row / side;
        const std::int64_t tile_column = column / side;
        const bool by_column = headed && !step->square();
        const auto place =
            by_column ? step->tiles.find(0, tile_row, local) : step->tiles.find(local, tile_row, tile_column);
        if (!place) {
            return std::nullopt;
        }
        const std::int64_t tiles_wide = by_column ? 1 : step->tiles.columns.tiles();
        return datasets::Site{tile_row * tiles_wide + tile_column, place->launch, place->core};
    }

private:
    [[nodiscard]] HeadSpan all_heads() const { return {0, shape_.heads}; }

    [[nodiscard]] HeadSpan heads_of(const Work& work) const {
        if (work.head < 0) {
            return all_heads();
        }
        if (work.head >= shape_.heads || work.ops.contains(Op::output)) {
            throw std::invalid_argument(fmt::format("head {} of {} cannot compute {}..{}", work.head,
                                                    shape_.heads, datasets::name(work.ops.first),
                                                    datasets::name(work.ops.last)));
        }
        return {work.head, 1};
    }

    const LayerPlan& plan_of(HeadSpan heads) {
        const std::pair key{heads.first, heads.count};
        if (const auto found = plans_.find(key); found != plans_.end()) {
            return found->second;
        }
        return plans_.emplace(key, plan_layer(design_, shape_, heads)).first->second;
    }

    void allocate_tensors(const LayerPlan& plan) {
        std::vector<Op> ops{Op::attention_norm};
        std::int64_t partial_bytes = 0;
        for (const StepPlan& step : plan.steps) {
            if (step.tiles.partial) {
                partial_bytes = std::max(partial_bytes, step.tiles.buffer("out").bytes);
            }
            if (!step.tiles.partial || step.ops.last != Op::output) {
                ops.push_back(step.ops.last);
            }
        }
        if (partial_bytes > 0) {
            buffers_.partial = owned_.allocate(partial_bytes);
        }
        for (const Op op : ops) {
            buffers_.tensor[tensor_index(op)] = owned_.allocate(plan.layout(op).bytes() + guard_bytes);
        }
    }

    // Weights [out, in] and bias [out] as bf16 operands, sent to the device once; the bias stays where it is
    // added.
    void load_weights(Op op, const datasets::Linear& linear, bool bias_on_host) {
        const std::int64_t width = shape_.width();
        const auto size = static_cast<std::size_t>(width);
        if (linear.weight.size() != size * size || (!linear.bias.empty() && linear.bias.size() != size)) {
            throw std::invalid_argument(
                fmt::format("the weights of {} do not fit a width of {}", datasets::name(op), width));
        }
        buffers_.weight[tensor_index(op)] = load(op, linear.weight, width);
        if (linear.bias.empty()) {
            return;
        }
        if (bias_on_host) {
            std::vector<float>& bias = host_.bias[tensor_index(op)];
            for (const float value : linear.bias) {
                bias.push_back(datasets::round_to_bf16(value, design_.arithmetic_of(op).operand_rounding));
            }
        } else {
            buffers_.bias[tensor_index(op)] = load(op, linear.bias, 1);
        }
    }

    Buffer load(Op op, const std::vector<float>& values, std::int64_t rows) {
        const std::int64_t columns = shape_.width();
        const std::int64_t bytes = rows * columns * bytes_of(datasets::DType::bf16);
        const Buffer buffer = owned_.allocate(bytes);
        const HostMatrix matrix{device_.map(buffer).data(), datasets::DType::bf16, bytes / rows};
        pack(values, {rows, columns, rows, columns}, design_.arithmetic_of(op).operand_rounding, matrix);
        device_.sync(buffer, Direction::to_device, 0, bytes);
        return buffer;
    }

    Device& device_;
    Design design_;
    CostModel cost_model_;
    datasets::LayerShape shape_;
    OwnedBuffers owned_;
    LayerBuffers buffers_;
    HostTensors host_;
    std::map<std::pair<int, int>, LayerPlan> plans_;  // by first head and count
    const LayerPlan* current_ = nullptr;
};

}  // namespace

NpuPath::NpuPath(Device& device, const Design& design, CostModel cost_model)
    : device_(device), design_(design), cost_model_(cost_model) {
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

}  // namespace npu_impl
