#include "npu_impl/xrt_emulation/emulated_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/kernel_module.hpp"
#include "npu_impl/emulated_core.hpp"

namespace npu_impl::xrt_emulation {
namespace {

constexpr std::uint64_t run_transactions = 3;

template <typename Number>
Number read_register(std::span<const std::uint32_t> registers, std::int64_t offset) {
    Number value{};
    const auto at = static_cast<std::size_t>(offset);
    if (at + sizeof value > registers.size_bytes()) {
        refuse(EINVAL, fmt::format("the command has no register at byte {}", offset));
    }
    std::memcpy(&value, std::as_bytes(registers).data() + at, sizeof value);
    return value;
}

// Every access of the launch lies inside the buffer of its argument.
void require_inside(const Command& command, const Launch& launch) {
    for (const Job& job : launch.jobs) {
        for (const Access& access : accesses(job)) {
            const Region& region = access.region;
            const Place& place = command.arguments[static_cast<std::size_t>(region.argument)];
            const std::int64_t end = static_cast<std::int64_t>(place.offset) + region.offset +
                                     (access.rows - 1) * region.stride + access.row_bytes;
            if (end > static_cast<std::int64_t>(place.block->bytes)) {
                refuse(EFAULT, fmt::format("{} ends at byte {} of a buffer of {}", access.what, end,
                                           place.block->bytes));
            }
        }
    }
}

// Calls use(row) for the bytes of every row of output that the launch writes.
template <typename Use>
void for_output_rows(const Launch& launch, std::span<std::byte* const> memory, Use use) {
    for (const Job& job : launch.jobs) {
        for (const Access& access : accesses(job)) {
            for (std::int64_t row = 0; access.what == "out" && row < access.rows; ++row) {
                std::byte* begin = memory[static_cast<std::size_t>(access.region.argument)] +
                                   access.region.offset + row * access.region.stride;
                use(std::span(begin, static_cast<std::size_t>(access.row_bytes)));
            }
        }
    }
}

// Writes what an earlier run of the same program left, where there was one.
void write_outputs(const Launch& launch, std::span<std::byte* const> memory,
                   std::span<const std::byte> kept) {
    std::size_t at = 0;
    for_output_rows(launch, memory, [&](auto row) {
        if (at + row.size() <= kept.size()) {
            std::ranges::copy(kept.subspan(at, row.size()), row.begin());
        }
        at += row.size();
    });
}

// Of the first output element: the highest bit of an exponent, of a bf16 or, where rows have the width of
// one tile of them, of an fp32.
void flip_bit(const Launch& launch, std::span<std::byte* const> memory) {
    bool first = true;
    for_output_rows(launch, memory, [&](auto row) {
        const std::size_t byte = row.size() == 256 ? 3 : 1;
        row[byte] ^= std::exchange(first, false) ? std::byte{0x40} : std::byte{0};
    });
}

}  // namespace

// What the firmware reads of a command: instructions, and the addresses that it writes into the transfers.
void understand(Command& command, const Xclbin& xclbin, const EmulatedMemory& memory,
                std::span<const std::uint32_t> registers) {
    const std::vector<XclbinArgument>& arguments = xclbin.kernels.front().arguments;
    if (const auto opcode = read_register<std::uint64_t>(registers, arguments.at(0).offset);
        opcode != run_transactions) {
        refuse(EINVAL, fmt::format("opcode {:#x}", opcode));
    }
    const Place words = memory.resolve(read_register<std::uint64_t>(registers, arguments.at(1).offset),
                                       MemoryKind::instructions, "the instructions");
    const auto count = read_register<std::uint32_t>(registers, arguments.at(2).offset);
    if (words.offset != 0 || std::uint64_t{count} * 4 > words.block->bytes) {
        refuse(EINVAL,
               fmt::format("{} instruction words in a buffer of {} bytes", count, words.block->bytes));
    }
    command.program.instructions.resize(count);
    std::memcpy(command.program.instructions.data(), words.block->device.get(), std::size_t{count} * 4);
    const std::span<const std::byte> image = xclbin.images.front();
    command.program.kernel.resize(image.size() / 4);
    std::memcpy(command.program.kernel.data(), image.data(), command.program.kernel.size() * 4);
    const Launch launch = decode_program(command.program.kernel, command.program.instructions);
    for (std::size_t i = 0; i < launch.buffers.size(); ++i) {
        if (3 + i >= arguments.size()) {
            refuse(EINVAL,
                   fmt::format("{} buffers for {} arguments", launch.buffers.size(), arguments.size()));
        }
        command.arguments.push_back(
            memory.resolve(read_register<std::uint64_t>(registers, arguments[3 + i].offset), MemoryKind::data,
                           fmt::format("argument {}", 3 + i)));
    }
    require_inside(command, launch);
    command.understood = true;
}

void CommandRunner::compute(const Launch& launch, std::span<std::byte* const> memory) {
    const kernels::KernelTable table =
        launch.source == KernelSource::aie2 ? kernels::aie2_module().table() : kernels::tile_kernels();
    const CoreProgram program(launch);
    int cores = 0;
    for (const Job& job : launch.jobs) {
        cores = std::max(cores, job.core + 1);
    }
    while (std::ssize(core_memory_) < cores) {
        core_memory_.push_back(pages(core_memory_bytes, fresh_device));
    }
    for (int core = 0; core < cores; ++core) {
        table.reset();
        for (const Job& job : launch.jobs) {
            if (job.core == core) {
                program.run(job, table, core_memory_[static_cast<std::size_t>(core)].get(), memory);
            }
        }
    }
}

Outcome CommandRunner::run(const Command& command) {
    if (!command.understood) {
        return Outcome::error;
    }
    std::vector<std::byte*> memory;
    for (const Place& place : command.arguments) {
        memory.push_back(place.block->device.get() + place.offset);
    }
    const Launch launch = decode_program(command.program.kernel, command.program.instructions);
    switch (command.fault.value_or(Fault::bit_flipped)) {
        case Fault::never_ends:
            return Outcome::never;
        case Fault::error:
        case Fault::context_lost:
            return Outcome::error;
        case Fault::aborted:
            return Outcome::aborted;
        case Fault::timed_out:
            return Outcome::timed_out;
        case Fault::nothing_written:
            return Outcome::completed;
        case Fault::stale:
            write_outputs(launch, memory, outputs_[command.program]);
            return Outcome::completed;
        case Fault::bit_flipped:
            break;
    }
    compute(launch, memory);
    std::vector<std::byte>& kept = outputs_[command.program];
    kept.clear();
    for_output_rows(launch, memory, [&](auto row) { kept.insert(kept.end(), row.begin(), row.end()); });
    if (command.fault) {
        flip_bit(launch, memory);
    }
    return Outcome::completed;
}

}  // namespace npu_impl::xrt_emulation
