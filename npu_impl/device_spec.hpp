// What the time model knows of one NPU and of the software that drives it: geometry, limits, rates and the
// cost of every step from the host to a core. Data, one JSON file per device (npu_impl/devices), each number
// with its unit and source; a user's own file of the same form takes their place.
//
// Schema "npu-device-spec", version 1: `name`, `product`, `aliases`, optionally `base` (a built-in device
// whose numbers hold where the file has none), `fields` and `kernels`. A number is an object of `value`,
// `unit` and `source`. A file is refused as a whole, with file, line and field: unknown or missing fields,
// numbers that are negative, zero where that has no meaning, not finite, or whose unit is missing or of
// another kind.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace npu_impl {

// One line: file, line, field, what is wrong.
class DeviceSpecError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A number as its source gives it.
struct SourcedNumber {
    std::string field;
    double value = 0;
    std::string unit;
    std::string source;
};

// Multiply-adds a cycle of one core on bf16 operands, by how its code came about.
struct KernelRate {
    std::string kernel;  // peano, chess, assembly, broadcast, native_bf16, scalar, or a user's own
    double mac_per_cycle = 0;
    double block_cycles = 0;  // besides, for each 16x16 block of a tile; 0: the rate was achieved with them
};

struct DeviceSpec {
    std::string name;
    std::string file_sha256;  // of the file it was read from; empty: built in
    std::string product;
    std::vector<std::string> aliases;  // as published tables call it

    double clock_hz = 0;  // of the array
    std::int64_t columns = 0;
    std::int64_t core_rows = 0;
    // Output tiles that a whole-array product covers at a time, downwards and across: a left tile is
    // broadcast to those in its row, a right tile to those in its column.
    std::int64_t gemm_down = 0;
    std::int64_t gemm_across = 0;

    std::int64_t l1_bytes = 0;
    std::int64_t stack_bytes = 0;
    std::int64_t memtile_bytes = 0;
    std::int64_t core_descriptors = 0;
    std::int64_t core_descriptor_words = 0;  // of 4 bytes, that one descriptor moves
    std::int64_t memtile_descriptors = 0;    // that one channel reaches
    std::int64_t shim_descriptors = 0;
    std::int64_t dma_wrap = 0;         // largest count of one dimension
    std::int64_t alignment_bytes = 0;  // of every address and length

    double stream_bytes_per_cycle = 0;  // of one stream, and of one channel of a shim or memtile
    double peak_mac_per_cycle = 0;      // of one core
    double dram_read_bytes_per_second = 0;
    double dram_write_bytes_per_second = 0;
    double dram_total_bytes_per_second = 0;  // both ways together

    double call_seconds = 0;  // one launch from C++, submit to completion, of a kernel that does nothing
    double python_call_seconds = 0;  // more than that from Python
    double run_list_run_seconds =
        0;  // one launch inside a full run list, its part of the submission included
    std::int64_t run_list_length = 0;
    double context_switch_seconds = 0;   // to a design of another array configuration
    double buffer_sync_seconds = 0;      // of one buffer that the host writes or reads
    double task_seconds = 0;             // one DMA task, set up by the array's controller
    double first_task_start_cycles = 0;  // until the first words of a launch arrive
    double task_start_cycles = 0;        // until those of a later task do

    std::vector<KernelRate> kernels;
    std::vector<SourcedNumber> sources;  // of every number above, in the order of the file

    [[nodiscard]] std::int64_t cores() const { return columns * core_rows; }
    [[nodiscard]] bool has_kernel(std::string_view kernel) const;
    [[nodiscard]] double stream_bytes_per_second() const { return stream_bytes_per_cycle * clock_hz; }

    // Throws std::invalid_argument, whose one line lists the valid names.
    [[nodiscard]] const KernelRate& rate_of(std::string_view kernel) const;
};

// Of this build. Hawk Point first: the default.
std::span<const DeviceSpec> device_specs();

// By name or alias, whatever the case; null where there is none.
const DeviceSpec* find_device_spec(std::string_view name);

// `file` is how errors name the text. Throws DeviceSpecError.
DeviceSpec parse_device_spec(std::string_view text, const std::string& file);

// A built-in device, or else a file. Throws DeviceSpecError where the text is neither.
DeviceSpec device_spec(const std::string& name_or_file);

struct EmbeddedSpec {
    std::string_view file;
    std::string_view text;
};
std::span<const EmbeddedSpec> embedded_device_specs();

}  // namespace npu_impl
