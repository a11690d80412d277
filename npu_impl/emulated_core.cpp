#include "npu_impl/emulated_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "npu_impl/tile_sizes.hpp"

namespace npu_impl {
namespace {

using kernels::Store;

constexpr std::int64_t vector_alignment = 64;
constexpr std::int64_t bf16_row = side * 2;
constexpr std::int64_t f32_row = side * 4;
constexpr std::int64_t bf16_tile = side * bf16_row;
constexpr std::int64_t f32_tile = side * f32_row;
constexpr std::int64_t state_bytes = 2 * side * 4;

std::int64_t store_row(Store store) {
    return store == Store::f32 ? f32_row : bf16_row;
}

template <typename Value>
Value* at(std::byte* memory, CoreLayout::Place place, std::int64_t turn = 0) {
    return reinterpret_cast<Value*>(memory + place.offset + (turn % 2) * place.step);
}

// The DMA's gather of one tile. `row_bytes` is a template parameter so that a row copies as a few vector
// moves.
template <std::int64_t row_bytes>
void copy_in(std::span<std::byte* const> buffers, const Region& region, std::int64_t skip, std::byte* tile) {
    const std::byte* from = buffers[static_cast<std::size_t>(region.argument)] + region.offset + skip;
    for (std::int64_t row = 0; row < side; ++row) {
        std::memcpy(tile + row * row_bytes, from + row * region.stride, static_cast<std::size_t>(row_bytes));
    }
}

template <std::int64_t row_bytes>
void copy_rows_out(const std::byte* tile, std::byte* to, std::int64_t stride) {
    for (std::int64_t row = 0; row < side; ++row) {
        std::memcpy(to + row * stride, tile + row * row_bytes, static_cast<std::size_t>(row_bytes));
    }
}

void copy_out(const std::byte* tile, std::int64_t row_bytes, std::span<std::byte* const> buffers,
              const Region& region, std::int64_t skip) {
    std::byte* to = buffers[static_cast<std::size_t>(region.argument)] + region.offset + skip;
    if (row_bytes == f32_row) {
        copy_rows_out<f32_row>(tile, to, region.stride);
    } else {
        copy_rows_out<bf16_row>(tile, to, region.stride);
    }
}

kernels::SoftmaxState softmax_state(std::byte* memory, CoreLayout::Place place) {
    auto* values = at<float>(memory, place);
    std::fill_n(values, side, -std::numeric_limits<float>::infinity());
    std::fill_n(values + side, side, 0.0F);
    return {values, values + side};
}

// Brings a product's bias to `copy`; null where it has none.
const std::uint16_t* bias_in(const MatmulJob& job, std::span<std::byte* const> buffers, std::uint16_t* copy) {
    if (!job.bias) {
        return nullptr;
    }
    const std::byte* from = buffers[static_cast<std::size_t>(job.bias->argument)] + job.bias->offset;
    std::memcpy(copy, from, static_cast<std::size_t>(bf16_row));
    return copy;
}

// Bytes from one k tile of the right factor to the next.
std::int64_t right_step(const MatmulJob& job) {
    return job.layout == kernels::Right::k_by_n ? side * job.right.stride : bf16_row;
}

void require_bf16(Store store, std::string_view what) {
    if (store == Store::f32) {
        throw DeviceError(fmt::format("{} leaves the core as bf16, not as fp32", what));
    }
}

int keys_in_tile(std::int64_t keys, std::int64_t tile) {
    return static_cast<int>(std::clamp(keys - tile * side, std::int64_t{0}, side));
}

}  // namespace

std::int64_t output_tiles(const Job& job) {
    if (const auto* softmax = std::get_if<SoftmaxJob>(&job.work)) {
        return softmax->key_tiles;
    }
    const auto* norm = std::get_if<NormJob>(&job.work);
    return norm == nullptr ? 1 : norm->tiles;
}

CoreLayout::CoreLayout(const Launch& launch) : design_(launch.design), kernel_(launch.kernel) {
    std::int64_t next = launch.stack_bytes;
    for (const CoreBuffer& buffer : launch.core_memory) {
        next = (next + vector_alignment - 1) / vector_alignment * vector_alignment;
        entries_.push_back({buffer, next});
        next += buffer.total();
    }
    if (next > core_memory_bytes || launch.stack_bytes < 0) {
        throw DeviceError(
            fmt::format("design {}: kernel {} needs {} bytes of core memory with its stack, a core has {}",
                        design_, kernel_, next, core_memory_bytes));
    }
}

CoreLayout::Place CoreLayout::place(std::string_view name, std::int64_t bytes) const {
    const auto found =
        std::ranges::find(entries_, name, [](const Entry& entry) { return entry.buffer.name; });
    if (found == entries_.end() || found->buffer.bytes < bytes || found->buffer.copies < 1) {
        throw DeviceError(
            fmt::format("design {}: kernel {} needs core memory '{}' of {} bytes, the launch has {}", design_,
                        kernel_, name, bytes, found == entries_.end() ? 0 : found->buffer.bytes));
    }
    return {found->offset, found->buffer.copies > 1 ? found->buffer.bytes : 0};
}

CoreProgram::CoreProgram(const Launch& launch) {
    const CoreLayout layout(launch);
    for (const Job& job : launch.jobs) {
        std::visit([&](const auto& work) { place(layout, work); }, job.work);
    }
}

void CoreProgram::place(const CoreLayout& layout, const MatmulJob& job) {
    matmul_.left = layout.place("left", bf16_tile);
    matmul_.right = layout.place("right", bf16_tile);
    if (job.bias) {
        matmul_.bias = layout.place("bias", bf16_row);
    }
    if (job.rerounded) {
        if (job.store == Store::f32 || job.scale != 1) {
            throw DeviceError("a sum that is rounded after every k tile is bf16 and not scaled");
        }
        matmul_.out = layout.place("out", bf16_tile);
        return;
    }
    matmul_.accumulator = layout.place("accumulator", f32_tile);
    // An fp32 result is stored over its accumulator: a second fp32 tile would not fit beside double-buffered
    // operands.
    matmul_.out = job.store == Store::f32 ? matmul_.accumulator : layout.place("out", bf16_tile);
}

void CoreProgram::place(const CoreLayout& layout, const SoftmaxJob&) {
    softmax_ = {layout.place("scores", f32_tile), layout.place("state", state_bytes),
                layout.place("out", bf16_tile)};
}

void CoreProgram::place(const CoreLayout& layout, const AttentionJob& job) {
    attention_.query = layout.place("query", bf16_tile);
    attention_.key = layout.place("key", bf16_tile);
    attention_.value = layout.place("value", bf16_tile);
    attention_.state = layout.place("state", state_bytes);
    attention_.context = layout.place("context", f32_tile);
    attention_.out = layout.place("out", side * store_row(job.store));
}

void CoreProgram::place(const CoreLayout& layout, const NormJob& job) {
    require_bf16(job.store, "a norm");
    norm_ = {layout.place("x", job.tiles * f32_row), layout.place("gain", job.tiles * bf16_row),
             layout.place("bias", job.tiles * bf16_row), layout.place("out", job.tiles * bf16_row)};
}

void CoreProgram::place(const CoreLayout& layout, const GeluJob& job) {
    require_bf16(job.store, "a GELU");
    gelu_ = {layout.place("x", f32_tile), layout.place("out", bf16_tile)};
}

void CoreProgram::run(const Job& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    std::visit([&](const auto& work) { run(work, table, memory, buffers); }, job.work);
}

void CoreProgram::run(const MatmulJob& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    if (job.rerounded) {
        run_rerounded(job, table, memory, buffers);
        return;
    }
    auto* accumulator = at<float>(memory, matmul_.accumulator);
    table.start(bias_in(job, buffers, at<std::uint16_t>(memory, matmul_.bias)), accumulator);
    for (std::int64_t k = 0; k < job.k_tiles; ++k) {
        copy_in<bf16_row>(buffers, job.left, k * bf16_row, at<std::byte>(memory, matmul_.left, k));
        copy_in<bf16_row>(buffers, job.right, k * right_step(job), at<std::byte>(memory, matmul_.right, k));
        table.multiply(at<std::uint16_t>(memory, matmul_.left, k),
                       at<std::uint16_t>(memory, matmul_.right, k), job.layout, accumulator);
    }
    table.finish(accumulator, job.scale, job.store, at<std::byte>(memory, matmul_.out));
    copy_out(at<std::byte>(memory, matmul_.out), store_row(job.store), buffers, job.out, 0);
}

void CoreProgram::run_rerounded(const MatmulJob& job, const kernels::KernelTable& table, std::byte* memory,
                                std::span<std::byte* const> buffers) const {
    auto* sum = at<std::uint16_t>(memory, matmul_.out);
    const std::uint16_t* bias = bias_in(job, buffers, at<std::uint16_t>(memory, matmul_.bias));
    for (std::int64_t row = 0; row < side; ++row) {
        if (bias == nullptr) {
            std::fill_n(sum + row * side, side, std::uint16_t{0});
        } else {
            std::copy_n(bias, side, sum + row * side);
        }
    }
    for (std::int64_t k = 0; k < job.k_tiles; ++k) {
        copy_in<bf16_row>(buffers, job.left, k * bf16_row, at<std::byte>(memory, matmul_.left, k));
        copy_in<bf16_row>(buffers, job.right, k * right_step(job), at<std::byte>(memory, matmul_.right, k));
        table.multiply_stored(at<std::uint16_t>(memory, matmul_.left, k),
                              at<std::uint16_t>(memory, matmul_.right, k), job.layout, job.store, sum);
    }
    copy_out(at<std::byte>(memory, matmul_.out), bf16_row, buffers, job.out, 0);
}

void CoreProgram::run(const SoftmaxJob& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    const kernels::SoftmaxState state = softmax_state(memory, softmax_.state);
    for (std::int64_t tile = 0; tile < job.key_tiles; ++tile) {
        copy_in<f32_row>(buffers, job.scores, tile * f32_row, at<std::byte>(memory, softmax_.scores, tile));
        table.softmax_update(at<float>(memory, softmax_.scores, tile), keys_in_tile(job.keys, tile), state);
    }
    for (std::int64_t tile = 0; tile < job.key_tiles; ++tile) {
        copy_in<f32_row>(buffers, job.scores, tile * f32_row, at<std::byte>(memory, softmax_.scores, tile));
        table.softmax_finish(at<float>(memory, softmax_.scores, tile), keys_in_tile(job.keys, tile), state,
                             job.store, at<std::uint16_t>(memory, softmax_.out, tile));
        copy_out(at<std::byte>(memory, softmax_.out, tile), bf16_row, buffers, job.out, tile * bf16_row);
    }
}

void CoreProgram::run(const AttentionJob& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    auto* context = at<float>(memory, attention_.context);
    std::fill_n(context, side * side, 0.0F);
    const kernels::AttentionState state{softmax_state(memory, attention_.state), context};
    copy_in<bf16_row>(buffers, job.query, 0, at<std::byte>(memory, attention_.query));
    for (std::int64_t tile = 0; tile < job.key_tiles; ++tile) {
        copy_in<bf16_row>(buffers, job.key, tile * side * job.key.stride,
                          at<std::byte>(memory, attention_.key, tile));
        copy_in<bf16_row>(buffers, job.value, tile * side * job.value.stride,
                          at<std::byte>(memory, attention_.value, tile));
        table.attention_update(at<std::uint16_t>(memory, attention_.query),
                               at<std::uint16_t>(memory, attention_.key, tile),
                               at<std::uint16_t>(memory, attention_.value, tile),
                               keys_in_tile(job.keys, tile), job.scale, state);
    }
    table.attention_finish(state, job.store, at<std::byte>(memory, attention_.out));
    copy_out(at<std::byte>(memory, attention_.out), store_row(job.store), buffers, job.out, 0);
}

// The core holds one row at a time, and the next while it computes.
void CoreProgram::run(const NormJob& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    const auto of = [&](const Region& region, std::int64_t row) {
        return buffers[static_cast<std::size_t>(region.argument)] + region.offset + row * region.stride;
    };
    const auto row_bytes = static_cast<std::size_t>(job.tiles * bf16_row);
    std::memcpy(at<std::byte>(memory, norm_.gain), of(job.gain, 0), row_bytes);
    std::memcpy(at<std::byte>(memory, norm_.bias), of(job.bias, 0), row_bytes);
    for (std::int64_t row = 0; row < side; ++row) {
        std::memcpy(at<std::byte>(memory, norm_.x, row), of(job.x, row), 2 * row_bytes);
        table.layer_norm(at<float>(memory, norm_.x, row), at<std::uint16_t>(memory, norm_.gain),
                         at<std::uint16_t>(memory, norm_.bias), 1, static_cast<int>(job.tiles * side),
                         job.store, at<std::uint16_t>(memory, norm_.out, row));
        std::memcpy(of(job.out, row), at<std::byte>(memory, norm_.out, row), row_bytes);
    }
}

void CoreProgram::run(const GeluJob& job, const kernels::KernelTable& table, std::byte* memory,
                      std::span<std::byte* const> buffers) const {
    copy_in<f32_row>(buffers, job.x, 0, at<std::byte>(memory, gelu_.x));
    table.gelu(at<float>(memory, gelu_.x), kernels::tile * kernels::tile, job.store,
               at<std::uint16_t>(memory, gelu_.out));
    copy_out(at<std::byte>(memory, gelu_.out), bf16_row, buffers, job.out, 0);
}

std::vector<Access> accesses(const Job& job) {
    if (const auto* matmul = std::get_if<MatmulJob>(&job.work)) {
        const bool by_key = matmul->layout == kernels::Right::k_by_n;
        const std::int64_t k = matmul->k_tiles;
        std::vector<Access> list{
            {matmul->left, "left", side, k * bf16_row},
            {matmul->right, "right", by_key ? k * side : side, by_key ? bf16_row : k * bf16_row},
            {matmul->out, "out", side, store_row(matmul->store)}};
        if (matmul->bias) {
            list.push_back({*matmul->bias, "bias", 1, bf16_row});
        }
        return list;
    }
    if (const auto* softmax = std::get_if<SoftmaxJob>(&job.work)) {
        return {{softmax->scores, "scores", side, softmax->key_tiles * f32_row},
                {softmax->out, "out", side, softmax->key_tiles * bf16_row}};
    }
    if (const auto* norm = std::get_if<NormJob>(&job.work)) {
        return {{norm->x, "x", side, norm->tiles * f32_row},
                {norm->gain, "gain", 1, norm->tiles * bf16_row},
                {norm->bias, "bias", 1, norm->tiles * bf16_row},
                {norm->out, "out", side, norm->tiles * bf16_row}};
    }
    if (const auto* gelu = std::get_if<GeluJob>(&job.work)) {
        return {{gelu->x, "x", side, f32_row}, {gelu->out, "out", side, bf16_row}};
    }
    const auto& attention = std::get<AttentionJob>(job.work);
    return {{attention.query, "query", side, bf16_row},
            {attention.key, "key", attention.key_tiles * side, bf16_row},
            {attention.value, "value", attention.key_tiles * side, bf16_row},
            {attention.out, "out", side, store_row(attention.store)}};
}

}  // namespace npu_impl
