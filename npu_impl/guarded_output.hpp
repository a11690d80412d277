// Outputs of launches: poisoned before, fetched after, with a guard zone behind that no kernel may touch.
//
// Poison that a kernel leaves behind flows on as NaN, so that whoever judges the result sees it. A touched
// guard zone says that the kernel wrote outside its tiles; nothing that it computed can be trusted then.
#pragma once

#include <cstdint>
#include <string_view>

#include "npu_impl/device.hpp"

namespace npu_impl {

// The 16-bit word that unwritten output consists of: a quiet NaN as bf16, and twice over as fp32
// (0x7FC07FC0).
inline constexpr std::uint16_t poison_word = 0x7FC0;

// The words of a guard zone.
inline constexpr std::uint16_t guard_word = 0x5AC3;

struct ByteRange {
    std::int64_t begin = 0;
    std::int64_t bytes = 0;
};

struct GuardedOutput {
    Buffer buffer;
    ByteRange written;             // what the launches write
    std::int64_t guard_begin = 0;  // guard_bytes from here
};

// Bytes that one `poison` or one `fetch` moves.
std::int64_t moved_bytes(const GuardedOutput& output);

// Fills range and guard in host memory and sends both to the device.
void poison(Device& device, const GuardedOutput& output);

// Brings range and guard back. Throws IntegrityError if the guard is not intact; `what` names op, launches
// and buffer.
void fetch(Device& device, const GuardedOutput& output, std::string_view what);

}  // namespace npu_impl
