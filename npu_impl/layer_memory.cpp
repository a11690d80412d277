#include "npu_impl/layer_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "datasets/bf16.hpp"
#include "npu_impl/packing.hpp"

namespace npu_impl {
namespace {

using datasets::Op;

StepWeights spans(const datasets::Linear& linear) {
    return {linear.weight, linear.bias};
}

StepWeights spans(const datasets::Norm& norm) {
    return {norm.gain, norm.bias};
}

StepWeights weights_in(const datasets::BlockWeights& weights, Op op) {
    switch (op) {
        case Op::attention_norm:
            return spans(weights.attention_norm);
        case Op::query:
            return spans(weights.attention.query);
        case Op::key:
            return spans(weights.attention.key);
        case Op::value:
            return spans(weights.attention.value);
        case Op::output:
            return spans(weights.attention.output);
        case Op::mlp_norm:
            return spans(weights.mlp_norm);
        case Op::fc1:
            return spans(weights.fc1);
        case Op::fc2:
            return spans(weights.fc2);
        default:
            return {};
    }
}

bool has_weights(const StepPlan& step) {
    return !step.square() && step.tiles.kernel.function != KernelFunction::gelu;
}

// [rows, columns] of a step's weight.
struct WeightShape {
    std::size_t rows = 0;
    std::size_t columns = 0;
};

WeightShape weight_shape(const StepPlan& step, datasets::LayerShape shape) {
    if (step.tiles.kernel.function == KernelFunction::norm) {
        return {1, static_cast<std::size_t>(shape.width())};
    }
    const MatmulShape product = product_shape(step.ops.last, shape, {0, shape.heads});
    return {static_cast<std::size_t>(product.columns), static_cast<std::size_t>(product.reduction)};
}

void check_weights(const StepPlan& step, const StepWeights& weights, datasets::LayerShape shape) {
    const Op op = step.ops.last;
    const bool norm = step.tiles.kernel.function == KernelFunction::norm;
    if (weights.weight.empty() && !datasets::attention_ops.contains(op)) {
        throw std::invalid_argument(fmt::format(
            "the layer holds no weights of {}: its recording is of the attention alone", datasets::name(op)));
    }
    const WeightShape wanted = weight_shape(step, shape);
    const std::size_t outputs = norm ? wanted.columns : wanted.rows;
    const bool bias_fits = weights.bias.size() == outputs || (weights.bias.empty() && !norm);
    if (weights.weight.size() != wanted.rows * wanted.columns || !bias_fits) {
        throw std::invalid_argument(
            fmt::format("the weights of {} do not fit a width of {}", datasets::name(op), shape.width()));
    }
}

}  // namespace

OwnedBuffers::~OwnedBuffers() {
    for (const Buffer buffer : owned_) {
        try {
            device_.release(buffer);
        } catch (const DeviceError&) {
            // The device is lost or still busy with it; there is nobody left to tell.
            continue;
        }
    }
}

Buffer OwnedBuffers::allocate(std::int64_t bytes) {
    owned_.push_back(device_.allocate(bytes));
    return owned_.back();
}

void OwnedBuffers::release(Buffer buffer) {
    device_.release(buffer);
    std::erase(owned_, buffer);
}

StepWeights LayerMemory::weights_of(Op op) const {
    return end_ != nullptr ? spans(end_->norm) : weights_in(layer_->weights, op);
}

void LayerMemory::provide(const LayerPlan& plan, datasets::OpRange ops) {
    const auto asked = [&](const StepPlan& step) {
        return ops.contains(step.ops.first) || ops.contains(step.ops.last);
    };
    for (const StepPlan& step : plan.steps) {
        if (asked(step) && has_weights(step) && !buffers_.weight[tensor_index(step.ops.last)]) {
            check_weights(step, weights_of(step.ops.last), plan.shape);
        }
    }
    std::int64_t partial = 0;
    for (const StepPlan& step : plan.steps) {
        if (!asked(step)) {
            continue;
        }
        const Op op = step.ops.last;
        for (const Op input : step.inputs()) {
            provide_tensor(plan, input);
        }
        if (!step.tiles.partial || read_on_device(op)) {
            provide_tensor(plan, op);
        }
        if (step.tiles.partial) {
            partial = std::max(partial, step.tiles.buffer("out").bytes);
            std::vector<float>& sum = host_.tensor[tensor_index(op)];
            sum = sum.empty() ? host_tensor(plan, op) : std::move(sum);
        }
        if (has_weights(step) && !buffers_.weight[tensor_index(op)]) {
            load_weights(plan, step);
        }
    }
    provide_partial(partial);
}

void LayerMemory::provide_tensor(const LayerPlan& plan, Op op) {
    std::optional<Buffer>& buffer = buffers_.tensor[tensor_index(op)];
    if (!buffer) {
        buffer = owned_.allocate(plan.layout(op).bytes() + guard_bytes);
    }
}

// One for all steps: the largest.
void LayerMemory::provide_partial(std::int64_t bytes) {
    if (bytes <= partial_bytes_) {
        return;
    }
    if (buffers_.partial) {
        owned_.release(*buffers_.partial);
    }
    buffers_.partial = owned_.allocate(bytes);
    partial_bytes_ = bytes;
}

// As bf16, sent to the device once; a bias stays where it is added.
void LayerMemory::load_weights(const LayerPlan& plan, const StepPlan& step) {
    const Op op = step.ops.last;
    const StepWeights weights = weights_of(op);
    buffers_.weight[tensor_index(op)] =
        load(op, weights.weight, static_cast<std::int64_t>(weight_shape(step, plan.shape).rows));
    if (weights.bias.empty()) {
        return;
    }
    if (!step.tiles.partial) {
        buffers_.bias[tensor_index(op)] = load(op, weights.bias, 1);
        return;
    }
    for (const float value : weights.bias) {
        host_.bias[tensor_index(op)].push_back(
            datasets::round_to_bf16(value, weight_rounding(design_.arithmetic_of(op))));
    }
}

Buffer LayerMemory::load(Op op, std::span<const float> values, std::int64_t rows) {
    const std::int64_t columns = static_cast<std::int64_t>(values.size()) / rows;
    const std::int64_t bytes = rows * columns * bytes_of(datasets::DType::bf16);
    const Buffer buffer = owned_.allocate(bytes);
    const HostMatrix matrix{device_.map(buffer).data(), datasets::DType::bf16, bytes / rows};
    pack(values, {rows, columns, rows, columns}, weight_rounding(design_.arithmetic_of(op)), matrix);
    device_.sync(buffer, Direction::to_device, 0, bytes);
    return buffer;
}

}  // namespace npu_impl
