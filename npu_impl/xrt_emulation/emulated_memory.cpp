#include "npu_impl/xrt_emulation/emulated_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace npu_impl::xrt_emulation {
namespace {

constexpr std::size_t page = PageDelete::page;

std::size_t whole_pages(std::size_t bytes) {
    return (bytes + page - 1) / page * page;
}

}  // namespace

void refuse(int error, const std::string& why) {
    throw std::system_error(error, std::generic_category(), why);
}

Pages pages(std::size_t bytes, std::uint16_t pattern) {
    const std::size_t size = whole_pages(bytes);
    Pages memory(new (std::align_val_t{page}) std::byte[size]);
    std::fill_n(reinterpret_cast<std::uint16_t*>(memory.get()), size / 2, pattern);
    return memory;
}

unsigned EmulatedMemory::allocate(std::size_t bytes, MemoryKind kind) {
    auto block = std::make_shared<Block>();
    block->address = next_address_;
    block->bytes = bytes;
    block->kind = kind;
    block->host = pages(bytes, fresh_host);
    block->device = pages(kind == MemoryKind::command ? 0 : bytes, fresh_device);
    next_address_ += whole_pages(bytes) + page;  // a gap: an address past the end is nobody's
    blocks_.emplace(next_handle_, std::move(block));
    return next_handle_++;
}

const std::shared_ptr<Block>& EmulatedMemory::block(unsigned handle) const {
    const auto found = blocks_.find(handle);
    if (found == blocks_.end()) {
        refuse(EINVAL, fmt::format("there is no buffer {}", handle));
    }
    return found->second;
}

Place EmulatedMemory::resolve(std::uint64_t address, MemoryKind kind, std::string_view what) const {
    for (const auto& [handle, block] : blocks_) {
        if (address >= block->address && address < block->address + block->bytes) {
            if (block->kind != kind) {
                refuse(EINVAL, fmt::format("{} lies in a buffer of another kind", what));
            }
            return {block, address - block->address};
        }
    }
    refuse(EFAULT, fmt::format("{}: nothing is mapped at address {:#x}", what, address));
}

}  // namespace npu_impl::xrt_emulation
