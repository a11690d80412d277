#include "npu_impl/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "npu_impl/guarded_output.hpp"
#include "npu_impl/packing.hpp"

namespace npu_impl {
namespace {

constexpr std::int64_t side = kernels::tile;
constexpr std::int64_t bf16_bytes = 2;

void require_size(std::string_view what, std::size_t size, std::int64_t expected) {
    if (static_cast<std::int64_t>(size) != expected) {
        throw std::invalid_argument(
            fmt::format("{} of a product has {} elements, not {}", what, size, expected));
    }
}

const KernelDesign& product_kernel(const Design& design, datasets::Op op) {
    const KernelDesign& kernel = design.step_of(op).kernel;
    if (kernel.function != KernelFunction::matmul) {
        throw std::invalid_argument(
            fmt::format("design {} computes {} by no product", design.name, datasets::name(op)));
    }
    return kernel;
}

}  // namespace

Matmul::Matmul(Device& device, const Design& design, const MatmulCase& product)
    : device_(device),
      design_(design),
      product_(product),
      arithmetic_(design.arithmetic_of(product.op)),
      plan_(plan_matmul(design, product_kernel(design, product.op), product.shape, store_of(arithmetic_))),
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
    const PackShape shape{1, columns, 1, plan_.columns.padded()};
    pack(whole_bias, shape, arithmetic_.operand_rounding,
         {device_.map(bias_).data(), datasets::DType::bf16, shape.padded_columns * bf16_bytes});
    device_.sync(bias_, Direction::to_device, 0, shape.padded_columns * bf16_bytes);
    bind();
}

void Matmul::bind() {
    const std::int64_t left_stride = plan_.reduction.padded() * bf16_bytes;
    const std::int64_t out_size = bytes_of(arithmetic_.store);
    const std::int64_t out_stride = plan_.columns.padded() * out_size;
    const bool by_key = product_.layout == kernels::Right::k_by_n;
    const std::int64_t right_stride = by_key ? plan_.columns.padded() * bf16_bytes : left_stride;
    launches_.clear();
    for (const TileLaunch& planned : plan_.launches) {
        Launch launch{design_.name,
                      plan_.kernel.name,
                      design_.stack_bytes,
                      plan_.kernel.core_memory,
                      {left_, right_, out_, bias_},
                      {}};
        for (const Slot& slot : planned.slots) {
            MatmulJob work;
            work.left = {0, slot.row * side * left_stride, left_stride};
            work.right = {1, slot.column * side * (by_key ? bf16_bytes : right_stride), right_stride};
            work.layout = product_.layout;
            work.k_tiles = plan_.reduction.tiles();
            work.bias = Region{3, slot.column * side * bf16_bytes, 0};
            work.scale = product_.scale;
            work.store = store_of(arithmetic_);
            work.out = {2, slot.row * side * out_stride + slot.column * side * out_size, out_stride};
            launch.jobs.push_back({slot.core, -1, slot.row * plan_.columns.tiles() + slot.column, work});
        }
        launches_.push_back(std::move(launch));
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
    const std::int64_t bytes = plan_.buffer("out").bytes - guard_bytes;
    const GuardedOutput output{out_, {0, bytes}, bytes};
    poison(device_, output);
    device_.submit(launches_);
    device_.wait();
    fetch(device_, output,
          fmt::format("design {}: product: launches 0 to {}: buffer {}", design_.name, launches_.size() - 1,
                      out_.id));
    const std::int64_t stride = plan_.columns.padded() * bytes_of(arithmetic_.store);
    unpack({device_.map(out_).data(), arithmetic_.store, stride}, rows, columns, out);
}

}  // namespace npu_impl
