#include "npu_impl/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "datasets/bf16.hpp"
#include "npu_impl/guarded_output.hpp"
#include "npu_impl/host_sum.hpp"
#include "npu_impl/packing.hpp"
#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

void require_size(std::string_view what, std::size_t size, std::int64_t expected) {
    if (static_cast<std::int64_t>(size) != expected) {
        throw std::invalid_argument(
            fmt::format("{} of a product has {} elements, not {}", what, size, expected));
    }
}

const StepDesign& product_step(const Design& design, datasets::Op op) {
    const StepDesign& step = design.step_of(op);
    if (step.kernel.function != KernelFunction::matmul) {
        throw std::invalid_argument(
            fmt::format("design {} computes {} by no product", design.name, datasets::name(op)));
    }
    return step;
}

datasets::DType type_of(kernels::Store store) {
    return store == kernels::Store::f32 ? datasets::DType::f32 : datasets::DType::bf16;
}

}  // namespace

Matmul::Matmul(Device& device, const Design& design, const MatmulCase& product)
    : device_(device),
      design_(design),
      product_(product),
      arithmetic_(design.arithmetic_of(product.op)),
      plan_(plan_matmul(design, product_step(design, product.op), product.shape, tile_output(arithmetic_))),
      output_(tile_output(arithmetic_)),
      left_(device.allocate(plan_.buffer("left").bytes)),
      right_(device.allocate(plan_.buffer("right").bytes)),
      bias_(device.allocate(plan_.buffer("bias").bytes)),
      out_(device.allocate(plan_.buffer("out").bytes)) {}

Matmul::~Matmul() {
    for (const Buffer buffer : {left_, right_, bias_, out_}) {
        try {
            device_.release(buffer);
        } catch (const DeviceError&) {
            // The device is lost or still busy with it; there is nobody left to tell.
            continue;
        }
    }
}

void Matmul::send(Buffer buffer, std::span<const float> values, std::int64_t rows, std::int64_t columns) {
    const PackShape shape{rows, columns, Extent{rows}.padded(), Extent{columns}.padded()};
    const HostMatrix matrix{device_.map(buffer).data(), datasets::DType::bf16,
                            shape.padded_columns * bf16_bytes};
    pack(values, shape, arithmetic_.operand_rounding, matrix);
    device_.sync(buffer, Direction::to_device, 0, shape.padded_rows * matrix.stride);
}

void Matmul::load_right(std::span<const float> right, std::span<const float> bias) {
    const auto& [rows, reduction, columns] = product_.shape;
    require_size("the right factor", right.size(), reduction * columns);
    if (!bias.empty()) {
        require_size("the bias", bias.size(), columns);
    }
    const bool by_key = product_.layout == kernels::Right::k_by_n;
    send(right_, right, by_key ? reduction : columns, by_key ? columns : reduction);
    std::vector<float> whole_bias(static_cast<std::size_t>(columns), 0.0F);
    std::ranges::copy(bias, whole_bias.begin());
    host_bias_.assign(static_cast<std::size_t>(plan_.columns.padded()), 0.0F);
    std::ranges::transform(whole_bias, host_bias_.begin(), [this](float value) {
        return datasets::round_to_bf16(value, arithmetic_.operand_rounding);
    });
    const PackShape shape{1, columns, 1, plan_.columns.padded()};
    pack(whole_bias, shape, arithmetic_.operand_rounding,
         {device_.map(bias_).data(), datasets::DType::bf16, shape.padded_columns * bf16_bytes});
    device_.sync(bias_, Direction::to_device, 0, shape.padded_columns * bf16_bytes);
    bind();
}

MatmulJob Matmul::job(const Slot& slot) const {
    const std::int64_t left_stride = plan_.reduction.padded() * bf16_bytes;
    const bool by_key = product_.layout == kernels::Right::k_by_n;
    const std::int64_t right_stride = by_key ? plan_.columns.padded() * bf16_bytes : left_stride;
    const std::int64_t out_size = bytes_of(output_.store);
    const std::int64_t right_row = (by_key ? slot.k : slot.column) * side;
    const std::int64_t right_column = (by_key ? slot.column : slot.k) * side;
    MatmulJob work;
    work.left = {0, slot.row * side * left_stride + slot.k * side * bf16_bytes, left_stride};
    work.right = {1, right_row * right_stride + right_column * bf16_bytes, right_stride};
    work.layout = product_.layout;
    work.k_tiles = plan_.k_tiles_per_slot;
    work.store = output_.store;
    work.rerounded = arithmetic_.tile_sum == datasets::TileSum::rounded;
    if (plan_.partial) {
        const std::int64_t stride = side * out_size;
        work.out = {2, plan_.partial_index(slot) * side * stride, stride};
        return work;
    }
    const std::int64_t out_stride = plan_.columns.padded() * out_size;
    work.bias = Region{3, slot.column * side * bf16_bytes, 0};
    work.scale = product_.scale;
    work.out = {2, slot.row * side * out_stride + slot.column * side * out_size, out_stride};
    return work;
}

void Matmul::bind() {
    launches_.clear();
    for (const TileLaunch& planned : plan_.launches) {
        Launch launch{design_.name,
                      plan_.kernel.name,
                      design_.stack_bytes,
                      plan_.kernel.core_memory,
                      {left_, right_, out_, bias_},
                      {},
                      plan_.kernel.source};
        for (const Slot& slot : planned.slots) {
            launch.jobs.push_back({slot.core, -1, slot.row * plan_.columns.tiles() + slot.column, job(slot)});
        }
        launches_.push_back(std::move(launch));
    }
}

// Partial: a row block of `out`. Otherwise the one wave is all of it.
void Matmul::run_wave(std::int64_t wave, std::span<float> out) {
    const auto& [rows, reduction, columns] = product_.shape;
    const std::span<const TileLaunch> planned = plan_.launches_of(wave);
    const auto first = static_cast<std::size_t>(planned.data() - plan_.launches.data());
    const std::int64_t bytes = plan_.buffer("out").bytes - guard_bytes;
    const GuardedOutput output{out_, {0, bytes}, bytes};
    poison(device_, output, Reader::host);
    device_.submit(std::span(launches_).subspan(first, planned.size()));
    device_.wait();
    fetch(device_, output, Reader::host,
          fmt::format("design {}: product: launches {} to {}: buffer {}", design_.name, first,
                      first + planned.size() - 1, out_.id));
    HostMatrix from{device_.map(out_).data(), type_of(output_.store), 0};
    if (!plan_.partial) {
        from.stride = plan_.columns.padded() * bytes_of(output_.store);
        unpack(from, rows, columns, out);
        return;
    }
    from.stride = side * bytes_of(output_.store);
    const HostMatrix into{reinterpret_cast<std::byte*>(out.data()), datasets::DType::f32,
                          columns * bytes_of(datasets::DType::f32)};
    const std::int64_t depth = plan_.reduction.tiles();
    for (std::int64_t column = 0; column < plan_.columns.tiles(); ++column) {
        sum_tiles(from.at(column * depth * side, 0), depth,
                  std::span(host_bias_).subspan(static_cast<std::size_t>(column * side), std::size_t{side}),
                  product_.scale, std::min(side, rows - wave * side), std::min(side, columns - column * side),
                  into.at(wave * side, column * side));
    }
}

void Matmul::compute(std::span<const float> left, std::span<float> out) {
    const auto& [rows, reduction, columns] = product_.shape;
    require_size("the left factor", left.size(), rows * reduction);
    require_size("the result", out.size(), rows * columns);
    if (launches_.empty()) {
        throw std::logic_error("a product needs its right factor first");
    }
    send(left_, left, rows, reduction);
    for (std::int64_t wave = 0; wave < plan_.waves(); ++wave) {
        run_wave(wave, out);
    }
}

}  // namespace npu_impl
