// An NPU behind XRT, in this process: memory of its own, commands, and the limits of the real one. It knows
// nothing of XRT's types; what joins it to one version of XRT stands beside it. Of tests only.
//
// Host and device memory of a buffer are apart, start as different NaN patterns and meet only in `sync`, and
// addresses on the device have gaps between buffers: a missing or short transfer, a wrong address and a
// narrow scalar all show. That is stricter than hardware, where both are the same memory behind caches. What
// an xclbin's image and an instruction file mean to it: launch_program.hpp. Kernels are those of the exact
// emulation.
//
// Limits, of the driver of Ryzen AI (xdna-driver: shim/buffer.cpp, amdxdna_ctx.h): buffers are host-only,
// instructions cacheable; 6 contexts; 4 commands in flight. Of XRT (its runlist_impl): a command is one run
// of a kernel, or a list of up to 24.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace npu_impl::xrt_emulation {

enum class MemoryKind : std::uint8_t { command, instructions, data };

// How a command ends.
enum class Outcome : std::uint8_t { completed, error, aborted, timed_out, never };

// What can go wrong with a run.
enum class Fault : std::uint8_t {
    never_ends,       // nor does any other of its xclbin, until that is loaded anew
    error,            // ends as ERROR
    aborted,          // ends as ABORT
    timed_out,        // ends as TIMEOUT
    context_lost,     // ends as ERROR, and so do all others of its xclbin, until that is loaded anew
    nothing_written,  // COMPLETED, without having run
    stale,            // COMPLETED, with the output of the run of the same program before, if there was one
    bit_flipped,      // COMPLETED, with one bit of the first output element wrong
};

struct NpuStatistics {
    std::int64_t buffers = 0;   // alive, commands aside
    std::int64_t commands = 0;  // single runs, and lists of them
    std::int64_t runs = 0;
    std::int64_t most_in_flight = 0;
    std::int64_t contexts_opened = 0;
    std::int64_t loads = 0;  // of xclbins
};

// Thread-safe. Functions that refuse throw std::system_error, as a driver's calls fail.
class EmulatedNpu {
public:
    static constexpr int contexts = 6;
    static constexpr std::size_t commands = 4;
    static constexpr std::size_t runs = 24;  // of one command

    // What it calls itself: no name of hardware.
    static constexpr const char* name = "emulated NPU";

    // The one NPU of this process. Never destroyed: XRT's static objects hold on to it until the very end.
    static EmulatedNpu& instance();

    unsigned allocate(std::size_t bytes, MemoryKind kind);
    void release(unsigned buffer);
    [[nodiscard]] std::byte* host(unsigned buffer) const;
    [[nodiscard]] std::uint64_t address(unsigned buffer) const;
    [[nodiscard]] std::size_t size(unsigned buffer) const;
    void send(unsigned buffer, std::size_t offset, std::size_t bytes);
    void fetch(unsigned buffer, std::size_t offset, std::size_t bytes);

    // Where an xclbin is: `loaded`, for all kernels of the device, or a context of its own.
    using Slot = unsigned;
    static constexpr Slot loaded = 0;

    // Puts an xclbin in the place of what was loaded.
    void load(std::span<const std::byte> xclbin);

    // A context of an xclbin of its own, or of the loaded one. Both count.
    Slot open_context(std::span<const std::byte> xclbin);
    void open_context();
    void close_context(Slot slot = loaded);

    // Queues the command: runs of kernels, each with the registers that its kernel gets, in order. A thread
    // of the device runs it and then calls `done`, with the index of the first run that did not complete;
    // never for Outcome::never. Behind a run that fails none of its command is run.
    using Registers = std::span<const std::uint32_t>;
    using Done = void (*)(unsigned command, Outcome outcome, std::size_t failed);
    void submit(Slot slot, unsigned command, std::span<const Registers> runs, Done done);

    // A line for take_violations, from what joins it to XRT.
    void report_violation(const std::string& line);

    // Ends the device's thread. Nothing runs after that.
    void stop();

    // Faults, each once: of the n-th run from now, of the n-th allocation, of the n-th context; 1 is the
    // next. `heal` takes all back, and ends as ABORT what never ended, as a driver's watchdog does.
    void plan(Fault fault, int nth);
    void fail_allocation(int nth);
    void refuse_context(int nth);
    void delay_randomly(std::chrono::milliseconds most);
    void remove();  // there is no device
    void heal();

    [[nodiscard]] bool present() const;
    [[nodiscard]] NpuStatistics statistics() const;

    // What no host program may do, seen since the last call: one line each. Transfers and releases of buffers
    // in use, commands that cannot be understood.
    [[nodiscard]] std::string take_violations();

private:
    EmulatedNpu();
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace npu_impl::xrt_emulation
