// One core of the emulated array: 64 KB of data memory, laid out as the design says, and the kernels at work
// in it.
//
// As on the array, a kernel only ever sees tiles in its own data memory: operands are cut out of strided
// device memory tile by tile (what the DMA does), results are put back the same way.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/tile_kernels.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

inline constexpr std::int64_t core_memory_bytes = 65536;

// Where each region of a launch's core memory lies. Regions are aligned to 64 bytes.
class CoreLayout {
public:
    // Throws DeviceError naming design, kernel, need and limit if the regions and the stack overflow the
    // memory.
    explicit CoreLayout(const Launch& launch);

    // First byte and copies of a region that holds at least `bytes`. Throws DeviceError naming design and
    // kernel.
    struct Place {
        std::int64_t offset = 0;
        std::int64_t step = 0;  // to the second copy; 0: there is none
    };
    [[nodiscard]] Place place(std::string_view name, std::int64_t bytes) const;

private:
    struct Entry {
        CoreBuffer buffer;
        std::int64_t offset;
    };
    std::string design_;
    std::string kernel_;
    std::vector<Entry> entries_;
};

// A launch made ready to run: its regions in core memory looked up once for all cores.
class CoreProgram {
public:
    // Throws DeviceError if the core memory lacks what a job's kernel needs.
    explicit CoreProgram(const Launch& launch);

    // Runs one job in `memory` (core_memory_bytes, aligned to 64). `buffers`: device memory of the launch's
    // arguments; the job's regions must lie inside.
    void run(const Job& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;

private:
    using Place = CoreLayout::Place;
    struct Matmul {
        Place left, right, accumulator, bias, out;
    };
    struct Softmax {
        Place scores, state, out;
    };
    struct Attention {
        Place query, key, value, state, context, out;
    };
    struct Norm {
        Place x, gain, bias, out;
    };
    struct Gelu {
        Place x, out;
    };

    void run(const MatmulJob& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;
    void run(const SoftmaxJob& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;
    void run(const AttentionJob& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;
    void run(const NormJob& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;
    void run(const GeluJob& job, const kernels::KernelTable& table, std::byte* memory,
             std::span<std::byte* const> buffers) const;

    void run_rerounded(const MatmulJob& job, const kernels::KernelTable& table, std::byte* memory,
                       std::span<std::byte* const> buffers) const;

    void place(const CoreLayout& layout, const MatmulJob& job);
    void place(const CoreLayout& layout, const SoftmaxJob& job);
    void place(const CoreLayout& layout, const AttentionJob& job);
    void place(const CoreLayout& layout, const NormJob& job);
    void place(const CoreLayout& layout, const GeluJob& job);

    Matmul matmul_;
    Softmax softmax_;
    Attention attention_;
    Norm norm_;
    Gelu gelu_;
};

// Rows and bytes of each row that a job reads or writes of each of its regions.
struct Access {
    Region region;
    std::string_view what;
    std::int64_t rows = 0;
    std::int64_t row_bytes = 0;
};
std::vector<Access> accesses(const Job& job);

}  // namespace npu_impl
