// What only the run time can know about a call: an index, the alignment of a pointer. The hardware would go
// on with other data; here the program stops with words.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace aie::detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void fail(const char* words) {
    std::fprintf(stderr, "aie: %s\n", words);
    std::abort();
}

inline void require(bool holds, const char* words) {
    if (!holds) [[unlikely]] {
        fail(words);
    }
}

// Vector loads and stores drop the lower bits of an address: 256 bits want 32 bytes, 128 bits 16 (AMD AM020
// ch. 4, load and store units).
template <unsigned bytes>
inline void require_aligned(const void* pointer) {
    constexpr std::uintptr_t alignment = bytes < 32 ? bytes : 32;
    require(reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0,
            "aligned access to an unaligned address; use load_unaligned_v or store_unaligned_v");
}

constexpr bool is_power_of_two(unsigned n) {
    return n != 0 && (n & (n - 1)) == 0;
}

// Always false, but only once T is known.
template <typename...>
inline constexpr bool unsupported = false;

}  // namespace aie::detail
