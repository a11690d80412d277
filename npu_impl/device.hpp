// What an NPU is to the host: buffers, transfers, launches, and counts of what really ran.
//
// The device counts, not the path that uses it: a step that never reached the device shows zero launches.
// Launches are plain values, so that they can be planned, stored, compared and, in tests, decorated on their
// way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/clock.hpp"
#include "kernels/tile_kernels.hpp"

namespace npu_impl {

// The device could not run what was asked for: absent, out of memory, a launch that does not fit.
class DeviceError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// The device ran, but wrote where it must not: a broken guard zone. Names op, launches and buffer.
class IntegrityError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

enum class Direction : std::uint8_t { to_device, from_device };

// Handle of a buffer object: memory of the device with a mapped image on the host.
struct Buffer {
    int id = -1;

    bool operator==(const Buffer&) const = default;
};

// A row-major matrix inside an argument of a launch. The core's DMA cuts 64 x 64 tiles out of it.
struct Region {
    int argument = 0;         // index into Launch::buffers
    std::int64_t offset = 0;  // bytes from the start of the buffer to element (0, 0); a multiple of 4
    std::int64_t stride = 0;  // bytes from one row to the next; a multiple of 4

    bool operator==(const Region&) const = default;
};

// Which set of kernels a launch was compiled from.
enum class KernelSource : std::uint8_t {
    aie2,    // the vector kernels of kernels/aie2
    scalar,  // scalar fp32, one rounding per operation
};

// out[64, 64] = store(scale * (bias + sum over k_tiles of left[64, 64] right[64, 64])), ascending k, bf16
// operands.
struct MatmulJob {
    Region left;   // bf16 [64, 64 k_tiles]
    Region right;  // bf16, k_by_n: [64 k_tiles, 64]; n_by_k: [64, 64 k_tiles]
    kernels::Right layout = kernels::Right::n_by_k;
    std::int64_t k_tiles = 1;
    std::optional<Region> bias;  // bf16 [64], starts the accumulator
    float scale = 1;             // a power of two
    kernels::Store store = kernels::Store::f32;
    bool rerounded = false;  // the sum is stored, and loaded again, after every k tile: bf16 stores, scale 1
    Region out;              // [64, 64]
};

// out[64, 64 key_tiles] = softmax over the first `keys` columns of scores, 0 in the others.
struct SoftmaxJob {
    Region scores;  // f32 [64, 64 key_tiles]
    std::int64_t key_tiles = 1;
    std::int64_t keys = 1;  // real columns; the last tile may be partly padding
    kernels::Store store = kernels::Store::bf16_nearest_even;
    Region out;  // bf16 [64, 64 key_tiles]
};

// out[64, 64] = store(softmax(scale * query key^T) value) over the first `keys` keys; scores stay on the
// core.
struct AttentionJob {
    Region query;  // bf16 [64, 64]
    Region key;    // bf16 [64 key_tiles, 64]
    Region value;  // bf16 [64 key_tiles, 64]
    std::int64_t key_tiles = 1;
    std::int64_t keys = 1;
    float scale = 1;
    kernels::Store store = kernels::Store::bf16_nearest_even;
    Region out;  // [64, 64]
};

// out[64, 64 tiles] = store(layer norm of each row of x, * gain + bias).
struct NormJob {
    Region x;     // f32 [64, 64 tiles]
    Region gain;  // bf16 [64 tiles]
    Region bias;  // bf16 [64 tiles]
    std::int64_t tiles = 1;
    kernels::Store store = kernels::Store::bf16_nearest_even;
    Region out;  // bf16 [64, 64 tiles]
};

// out[64, 64] = store(GELU(x)).
struct GeluJob {
    Region x;  // f32 [64, 64]
    kernels::Store store = kernels::Store::bf16_nearest_even;
    Region out;  // bf16 [64, 64]
};

// What one core does between two releases of its output buffer, and which output tile it makes.
struct Job {
    int core = 0;
    int head = -1;          // -1: the op has no heads
    std::int64_t tile = 0;  // index of the (first) output tile within its op and head, row-major
    std::variant<MatmulJob, SoftmaxJob, AttentionJob, NormJob, GeluJob> work;
    bool sampled = false;  // a fast emulation computes this one exactly
};

// Output tiles of 64 x 64 that a job makes: one, or the whole row of tiles of a softmax or norm.
std::int64_t output_tiles(const Job& job);

// One region of a core's data memory, as the compiled design lays it out.
struct CoreBuffer {
    std::string name;
    std::int64_t bytes = 0;
    int copies = 1;  // 2: double-buffered

    [[nodiscard]] std::int64_t total() const { return bytes * copies; }
    bool operator==(const CoreBuffer&) const = default;
};

// One call of the device: an artefact (for XRT: xclbin and instructions), its arguments, and the work of each
// core in order. Jobs of one core run in the order given, cores run side by side.
struct Launch {
    std::string design;
    std::string kernel;
    std::int64_t stack_bytes = 0;         // of each core's data memory
    std::vector<CoreBuffer> core_memory;  // the rest of it that the kernel uses
    std::vector<Buffer> buffers;
    std::vector<Job> jobs;
    KernelSource source = KernelSource::aie2;
};

struct Counters {
    std::int64_t launches = 0;
    std::int64_t tiles = 0;  // output tiles made
    std::int64_t bytes_to_device = 0;
    std::int64_t bytes_from_device = 0;

    bool operator==(const Counters&) const = default;
};

// Who computes, as the runtime tells: asked anew, since a power mode can change at any time.
struct NpuIdentity {
    std::string name;               // "NPU Strix", or empty: it has none
    bool hardware = false;          // its name is one that AMD's driver gives; without one it is an emulation
    std::string power_mode;         // "performance", or "unknown"
    std::string xrt;                // version of the runtime, or "unknown"
    std::string firmware;           // version that the driver tells, or "unknown"
    int most_launches_at_once = 1;  // in one list of launches; 1: the runtime has no lists
};

// Not thread-safe. Every function throws DeviceError.
class Device {
public:
    virtual ~Device() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual int cores() const = 0;

    // How results of a design's declared arithmetic come about. Hardware is exact.
    [[nodiscard]] virtual datasets::Emulation emulation() const = 0;

    virtual Buffer allocate(std::int64_t bytes) = 0;
    virtual void release(Buffer buffer) = 0;

    // Host image of a buffer, aligned to 64 bytes. Valid until release.
    virtual std::span<std::byte> map(Buffer buffer) = 0;

    // Copies a range between the host image and the device's memory. Not while a launch that uses the buffer
    // is in flight.
    virtual void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) = 0;

    // Makes a range of the device's memory consist of `word`, where the host image does not matter: what that
    // holds afterwards is open. Offset and bytes are even. Counts as bytes to the device. By default the
    // image is filled and sent.
    virtual void fill(Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes);

    // Queues launches, in order. They have run when `wait` returns.
    virtual void submit(std::span<const Launch> launches) = 0;
    virtual void wait() = 0;

    // Since the device was opened.
    [[nodiscard]] virtual Counters counters() const = 0;

    // What its calls took since it was opened, by which clock. A device that only emulates has none.
    [[nodiscard]] virtual datasets::Clock clock() const { return datasets::Clock::none; }
    [[nodiscard]] virtual datasets::DeviceTime time() const { return {}; }

    // Nothing for a device of this program alone.
    [[nodiscard]] virtual std::optional<NpuIdentity> npu() const { return std::nullopt; }
};

}  // namespace npu_impl
