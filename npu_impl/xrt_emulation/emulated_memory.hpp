// The memory of an emulated NPU: buffers with a host's and a device's side. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "npu_impl/xrt_emulation/emulated_npu.hpp"

namespace npu_impl::xrt_emulation {

// As a driver's call fails: std::system_error.
[[noreturn]] void refuse(int error, const std::string& why);

struct PageDelete {
    static constexpr std::size_t page = 4096;
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{page}); }
};
using Pages = std::unique_ptr<std::byte[], PageDelete>;

// Whole pages of words `pattern`.
Pages pages(std::size_t bytes, std::uint16_t pattern);

// NaN patterns as bf16 and as fp32 alike, different from each other.
inline constexpr std::uint16_t fresh_host = 0x7FA5;
inline constexpr std::uint16_t fresh_device = 0xFFB6;

// Lives as long as a command that was given its address.
struct Block {
    std::uint64_t address = 0;
    std::size_t bytes = 0;
    MemoryKind kind = MemoryKind::data;
    Pages host;
    Pages device;
    int in_use = 0;
};

struct Place {
    std::shared_ptr<Block> block;
    std::size_t offset = 0;
};

// The functions that refuse throw std::system_error.
class EmulatedMemory {
public:
    unsigned allocate(std::size_t bytes, MemoryKind kind);
    void release(unsigned handle) { blocks_.erase(handle); }
    [[nodiscard]] const std::shared_ptr<Block>& block(unsigned handle) const;

    // Where a device's address lies. `what` is for messages.
    [[nodiscard]] Place resolve(std::uint64_t address, MemoryKind kind, std::string_view what) const;

private:
    std::map<unsigned, std::shared_ptr<Block>> blocks_;
    std::uint64_t next_address_ = 0x4000000;
    unsigned next_handle_ = 1;
};

}  // namespace npu_impl::xrt_emulation
