// Outputs of launches: poisoned before, fetched after, with a guard zone behind that no kernel may touch.
//
// Poison that a kernel leaves behind flows on as NaN, so that whoever judges the result sees it, be it the
// output itself or, where that stays on the device, what is made of it. A touched
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

// Where an output goes: a host that reads it must not find there what an earlier launch left, should the
// transfer go missing.
enum class Reader : std::uint8_t { host, device };

// Poisons the range, and sets the guard, in the device's memory and, for a host that reads it, in its image.
void poison(Device& device, const GuardedOutput& output, Reader reader);

// Brings the guard back and, for a host that reads it, the range. Throws IntegrityError if the guard is not
// intact; `what` names op, launches and buffer.
void fetch(Device& device, const GuardedOutput& output, Reader reader, std::string_view what);

}  // namespace npu_impl
