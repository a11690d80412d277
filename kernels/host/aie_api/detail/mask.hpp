// One bit per lane: what comparisons give and selections take.
//
// Names and meaning: Xilinx/aie_api mask.hpp. Lane i is bit i % 32 of word i / 32.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "aie_api/detail/check.hpp"

namespace aie {

template <unsigned N>
class mask {
    static constexpr unsigned words = (N + 31) / 32;
    static constexpr unsigned last_word = N % 32 == 0 ? 0xFFFFFFFFU : (1U << (N % 32)) - 1;

public:
    constexpr mask() = default;
    constexpr explicit mask(bool initial_set) {
        data_.fill(initial_set ? 0xFFFFFFFFU : 0U);
        trim();
    }

    static constexpr unsigned size() { return N; }

    // Words of 32 lanes, the lowest lanes first; bits past N are dropped.
    template <typename... Words>
    static constexpr mask from_uint32(Words... values) {
        static_assert(sizeof...(Words) == words, "one word for each 32 lanes");
        mask out;
        out.data_ = {static_cast<unsigned>(values)...};
        out.trim();
        return out;
    }

    template <typename... Words>
    static constexpr mask from_uint64(Words... values) {
        static_assert(N % 64 == 0 && 2 * sizeof...(Words) == words, "one word for each 64 lanes");
        mask out;
        unsigned i = 0;
        ((out.data_[i] = static_cast<unsigned>(std::uint64_t{values}),
          out.data_[i + 1] = static_cast<unsigned>(std::uint64_t{values} >> 32), i += 2),
         ...);
        return out;
    }

    // For the implementation: lane i is holds(i).
    template <typename Holds>
    static constexpr mask from_lanes(Holds holds) {
        mask out;
        for (unsigned i = 0; i < N; ++i) {
            out.data_[i / 32] |= (holds(i) ? 1U : 0U) << (i % 32);
        }
        return out;
    }

    // One after another, the first in the lowest lanes.
    template <unsigned... Parts>
    static constexpr mask from_masks(const mask<Parts>&... parts) {
        static_assert((Parts + ...) == N, "the parts fill the mask");
        mask out;
        unsigned offset = 0;
        ((out.copy(offset, parts), offset += Parts), ...);
        return out;
    }

    constexpr bool test(unsigned i) const {
        detail::require(i < N, "mask: no such lane");
        return (data_[i / 32] >> (i % 32) & 1U) != 0;
    }
    constexpr void set(unsigned i) {
        detail::require(i < N, "mask: no such lane");
        data_[i / 32] |= 1U << (i % 32);
    }
    constexpr void clear(unsigned i) {
        detail::require(i < N, "mask: no such lane");
        data_[i / 32] &= ~(1U << (i % 32));
    }

    constexpr bool operator==(const mask&) const = default;
    constexpr mask& operator&=(const mask& other) {
        for (unsigned i = 0; i < words; ++i) {
            data_[i] &= other.data_[i];
        }
        return *this;
    }
    constexpr mask& operator|=(const mask& other) {
        for (unsigned i = 0; i < words; ++i) {
            data_[i] |= other.data_[i];
        }
        return *this;
    }
    constexpr mask& operator^=(const mask& other) {
        for (unsigned i = 0; i < words; ++i) {
            data_[i] ^= other.data_[i];
        }
        return *this;
    }
    friend constexpr mask operator&(mask a, const mask& b) { return a &= b; }
    friend constexpr mask operator|(mask a, const mask& b) { return a |= b; }
    friend constexpr mask operator^(mask a, const mask& b) { return a ^= b; }
    constexpr mask operator~() const {
        mask out(true);
        return out ^= *this;
    }

    // Lane i of the result is lane i - shift, or i + shift; lanes from outside are 0.
    constexpr mask operator<<(unsigned shift) const {
        return from_lanes([&](unsigned i) { return i >= shift && test(i - shift); });
    }
    constexpr mask operator>>(unsigned shift) const {
        return from_lanes([&](unsigned i) { return shift < N - i && test(i + shift); });
    }
    constexpr mask& operator<<=(unsigned shift) { return *this = *this << shift; }
    constexpr mask& operator>>=(unsigned shift) { return *this = *this >> shift; }

    constexpr unsigned count() const {
        unsigned set_lanes = 0;
        for (const unsigned word : data_) {
            set_lanes += static_cast<unsigned>(std::popcount(word));
        }
        return set_lanes;
    }
    constexpr bool empty() const { return count() == 0; }
    constexpr bool full() const { return count() == N; }

    // Consecutive lanes of value 0 from the highest lane down; from lane 0 up.
    constexpr unsigned clz() const {
        unsigned zeros = 0;
        while (zeros < N && !test(N - 1 - zeros)) {
            ++zeros;
        }
        return zeros;
    }
    constexpr unsigned ctz() const {
        unsigned zeros = 0;
        while (zeros < N && !test(zeros)) {
            ++zeros;
        }
        return zeros;
    }

    constexpr const std::array<unsigned, words>& data() const { return data_; }
    constexpr unsigned to_uint32(unsigned word = 0) const { return data_[word]; }
    constexpr std::uint64_t to_uint64(unsigned word = 0) const requires(N % 64 == 0) {
        return std::uint64_t{data_[2 * word + 1]} << 32 | data_[2 * word];
    }

    // The part number `index` of M lanes.
    template <unsigned M>
    constexpr mask<M> extract(unsigned index) const {
        static_assert(M <= N && N % M == 0);
        return mask<M>::from_lanes([&](unsigned i) { return test(index * M + i); });
    }
    template <unsigned M>
    constexpr mask& insert(unsigned index, const mask<M>& part) {
        static_assert(M <= N && N % M == 0);
        copy(index * M, part);
        return *this;
    }

private:
    template <unsigned M>
    constexpr void copy(unsigned offset, const mask<M>& part) {
        for (unsigned i = 0; i < M; ++i) {
            part.test(i) ? set(offset + i) : clear(offset + i);
        }
    }
    constexpr void trim() { data_[words - 1] &= last_word; }

    std::array<unsigned, words> data_{};
};

}  // namespace aie
