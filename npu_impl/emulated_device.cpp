#include "npu_impl/emulated_device.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "npu_impl/emulated_core.hpp"

namespace npu_impl {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t large_page = std::size_t{1} << 21;
constexpr std::int64_t chunk_bytes = 1 << 18;

// NaN patterns as bf16 and as fp32 alike, different from each other and from the poison of outputs.
constexpr std::uint16_t fresh_host = 0x7FA5;
constexpr std::uint16_t fresh_device = 0xFFB6;

struct AlignedDelete {
    std::size_t bound = alignment;
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{bound}); }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;

// Large ones in pages of 2 MB, where the system gives them: each row of a tile lies in another page of 4 KB.
AlignedBytes aligned_bytes(std::int64_t bytes) {
    const auto size = static_cast<std::size_t>(bytes);
    const std::size_t bound = size < large_page ? alignment : large_page;
    AlignedBytes memory(new (std::align_val_t{bound}) std::byte[size], AlignedDelete{bound});
    if (bound == large_page) {
        madvise(memory.get(), size, MADV_HUGEPAGE);  // a wish: nothing depends on it
    }
    return memory;
}

AlignedBytes filled(std::int64_t bytes, std::uint16_t pattern) {
    const std::int64_t words = (bytes + 1) / 2;
    AlignedBytes memory = aligned_bytes(words * 2);
    std::fill_n(reinterpret_cast<std::uint16_t*>(memory.get()), words, pattern);
    return memory;
}

struct Memory {
    std::int64_t bytes = 0;
    AlignedBytes host;
    AlignedBytes device;
    bool in_flight = false;
};

// work(begin, count) for parts of `bytes`, in parallel.
template <typename Work>
void in_chunks(std::int64_t bytes, const Work& work) {
    tbb::parallel_for(std::int64_t{0}, (bytes + chunk_bytes - 1) / chunk_bytes, [&](std::int64_t chunk) {
        const std::int64_t begin = chunk * chunk_bytes;
        work(begin, std::min(chunk_bytes, bytes - begin));
    });
}

// Tiles that a job goes through: of k, of keys, of a row.
std::int64_t depth(const Job& job) {
    return std::visit(
        [](const auto& work) {
            if constexpr (requires { work.k_tiles; }) {
                return work.k_tiles;
            } else if constexpr (requires { work.key_tiles; }) {
                return work.key_tiles;
            } else if constexpr (requires { work.tiles; }) {
                return work.tiles;
            } else {
                return std::int64_t{1};
            }
        },
        job.work);
}

// Real keys must reach into the last tile: a wholly padded tile has no row maximum.
bool keys_fit(const Job& job) {
    return std::visit(
        [](const auto& work) {
            if constexpr (requires { work.keys; }) {
                const std::int64_t keys = work.keys;
                return keys > (work.key_tiles - 1) * kernels::tile && keys <= work.key_tiles * kernels::tile;
            } else {
                return true;
            }
        },
        job.work);
}

}  // namespace

struct EmulatedDevice::State {
    State(DeviceKernels device_kernels, int core_count)
        : kernels(std::move(device_kernels)), cores(core_count) {}

    DeviceKernels kernels;
    int cores;
    std::vector<Memory> buffers;  // by id; released ones are empty
    std::vector<AlignedBytes> core_memory;
    std::vector<Launch> queue;
    Counters counters;

    Memory& memory(Buffer buffer) {
        const auto index = static_cast<std::size_t>(buffer.id);
        if (buffer.id < 0 || index >= buffers.size() || buffers[index].host == nullptr) {
            throw DeviceError(fmt::format("emulated device: there is no buffer {}", buffer.id));
        }
        return buffers[index];
    }

    // The memory of a buffer in which `verb` may touch the range now.
    const Memory& idle(std::string_view verb, Buffer buffer, std::int64_t offset, std::int64_t bytes) {
        const Memory& found = memory(buffer);
        if (offset < 0 || bytes < 0 || offset > found.bytes || bytes > found.bytes - offset) {
            throw DeviceError(fmt::format("emulated device: {} of bytes {} to {} of buffer {}, which has {}",
                                          verb, offset, offset + bytes, buffer.id, found.bytes));
        }
        if (found.in_flight) {
            throw DeviceError(
                fmt::format("emulated device: {} of buffer {} while a launch uses it", verb, buffer.id));
        }
        return found;
    }

    void check(const Launch& launch, std::size_t index);
    void check(const Access& access, const Launch& launch, const std::string& where);
    void run(const Launch& launch);
    [[nodiscard]] const kernels::KernelTable& table_of(const Launch& launch, const Job& job) const;
};

void EmulatedDevice::State::check(const Access& access, const Launch& launch, const std::string& where) {
    const auto& [region, what, rows, row_bytes] = access;
    if (region.argument < 0 || static_cast<std::size_t>(region.argument) >= launch.buffers.size()) {
        throw DeviceError(
            fmt::format("{}: {} is argument {} of {}", where, what, region.argument, launch.buffers.size()));
    }
    const Buffer buffer = launch.buffers[static_cast<std::size_t>(region.argument)];
    if (region.offset % 4 != 0 || region.stride % 4 != 0) {
        throw DeviceError(
            fmt::format("{}: {} in buffer {} has offset {} and stride {}, the DMA moves words of 4 bytes",
                        where, what, buffer.id, region.offset, region.stride));
    }
    const std::int64_t end = region.offset + (rows - 1) * region.stride + row_bytes;
    if (region.offset < 0 || (rows > 1 && region.stride < row_bytes) || end > memory(buffer).bytes) {
        throw DeviceError(fmt::format("{}: {} spans bytes {} to {} (stride {}) of buffer {}, which has {}",
                                      where, what, region.offset, end, region.stride, buffer.id,
                                      memory(buffer).bytes));
    }
}

void EmulatedDevice::State::check(const Launch& launch, std::size_t index) {
    for (const Buffer buffer : launch.buffers) {
        memory(buffer);
    }
    for (std::size_t i = 0; i < launch.jobs.size(); ++i) {
        const Job& job = launch.jobs[i];
        const std::string where =
            fmt::format("design {}: launch {} ({}) job {}", launch.design, index, launch.kernel, i);
        if (job.core < 0 || job.core >= cores) {
            throw DeviceError(fmt::format("{}: core {} of {}", where, job.core, cores));
        }
        const bool product = std::holds_alternative<MatmulJob>(job.work);
        if (depth(job) < (product ? 0 : 1) || !keys_fit(job)) {
            throw DeviceError(fmt::format("{}: {} tiles do not fit its keys", where, depth(job)));
        }
        for (const Access& access : accesses(job)) {
            check(access, launch, where);
        }
    }
    const CoreProgram fits(launch);
}

// Chains of fp32 additions are just what a scalar kernel computes.
const kernels::KernelTable& EmulatedDevice::State::table_of(const Launch& launch, const Job& job) const {
    const bool exact = kernels.emulation == datasets::Emulation::exact || job.sampled;
    return exact && launch.source == KernelSource::aie2 ? kernels.exact : kernels.fast;
}

void EmulatedDevice::State::run(const Launch& launch) {
    const CoreProgram program(launch);
    std::vector<std::byte*> arguments;
    for (const Buffer buffer : launch.buffers) {
        arguments.push_back(memory(buffer).device.get());
    }
    std::vector<std::vector<const Job*>> by_core(static_cast<std::size_t>(cores));
    for (const Job& job : launch.jobs) {
        by_core[static_cast<std::size_t>(job.core)].push_back(&job);
        counters.tiles += output_tiles(job);
    }
    tbb::parallel_for(std::size_t{0}, by_core.size(), [&](std::size_t core) {
        kernels.exact.reset();
        for (const Job* job : by_core[core]) {
            program.run(*job, table_of(launch, *job), core_memory[core].get(), arguments);
        }
    });
    ++counters.launches;
}

EmulatedDevice::EmulatedDevice(const kernels::KernelTable& fast, int cores)
    : EmulatedDevice({fast, fast, datasets::Emulation::fast}, cores) {}

EmulatedDevice::EmulatedDevice(DeviceKernels kernels, int cores)
    : state_(std::make_unique<State>(std::move(kernels), cores)) {
    if (cores < 1) {
        throw DeviceError(fmt::format("emulated device: {} cores", cores));
    }
    for (int core = 0; core < cores; ++core) {
        state_->core_memory.push_back(filled(core_memory_bytes, fresh_device));
    }
}

EmulatedDevice::~EmulatedDevice() = default;

int EmulatedDevice::cores() const {
    return state_->cores;
}

datasets::Emulation EmulatedDevice::emulation() const {
    return state_->kernels.emulation;
}

Buffer EmulatedDevice::allocate(std::int64_t bytes) {
    if (bytes < 1) {
        throw DeviceError(fmt::format("emulated device: cannot allocate {} bytes", bytes));
    }
    try {
        state_->buffers.push_back({bytes, filled(bytes, fresh_host), filled(bytes, fresh_device)});
    } catch (const std::bad_alloc&) {
        throw DeviceError(fmt::format("emulated device: out of memory allocating {} bytes", bytes));
    }
    return {static_cast<int>(state_->buffers.size()) - 1};
}

void EmulatedDevice::release(Buffer buffer) {
    Memory& memory = state_->memory(buffer);
    if (memory.in_flight) {
        throw DeviceError(fmt::format("emulated device: release of buffer {} in flight", buffer.id));
    }
    memory = {};
}

std::span<std::byte> EmulatedDevice::map(Buffer buffer) {
    const Memory& memory = state_->memory(buffer);
    return {memory.host.get(), static_cast<std::size_t>(memory.bytes)};
}

void EmulatedDevice::sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) {
    const Memory& memory = state_->idle("sync", buffer, offset, bytes);
    const bool to_device = direction == Direction::to_device;
    const std::byte* from = (to_device ? memory.host : memory.device).get() + offset;
    std::byte* to = (to_device ? memory.device : memory.host).get() + offset;
    in_chunks(bytes, [&](std::int64_t begin, std::int64_t count) {
        std::memcpy(to + begin, from + begin, static_cast<std::size_t>(count));
    });
    (to_device ? state_->counters.bytes_to_device : state_->counters.bytes_from_device) += bytes;
}

void EmulatedDevice::fill(Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes) {
    const Memory& memory = state_->idle("fill", buffer, offset, bytes);
    auto* to = reinterpret_cast<std::uint16_t*>(memory.device.get() + offset);
    in_chunks(bytes,
              [&](std::int64_t begin, std::int64_t count) { std::fill_n(to + begin / 2, count / 2, word); });
    state_->counters.bytes_to_device += bytes;
}

void EmulatedDevice::submit(std::span<const Launch> launches) {
    for (std::size_t i = 0; i < launches.size(); ++i) {
        state_->check(launches[i], i);
    }
    for (const Launch& launch : launches) {
        for (const Buffer buffer : launch.buffers) {
            state_->memory(buffer).in_flight = true;
        }
        state_->queue.push_back(launch);
    }
}

void EmulatedDevice::wait() {
    for (const Launch& launch : state_->queue) {
        state_->run(launch);
    }
    state_->queue.clear();
    for (Memory& memory : state_->buffers) {
        memory.in_flight = false;
    }
}

Counters EmulatedDevice::counters() const {
    return state_->counters;
}

}  // namespace npu_impl
