// Tables in the core's memory: direct lookup and piecewise linear approximation, sixteen lanes from four
// copies of a table.
//
// The layout and the steps: Xilinx/aie_api aie.hpp, group_lut; detail/aie2/parallel_lookup.hpp and
// linear_approx.hpp. A table lies in two places, `ab` and `cd`; in each, every 16 bytes of it stand twice in
// a row. Odd lanes read the second of the two (xdna-emu src/interpreter/execute/memory/mod.rs, VLDB.4x); here
// lanes 2 and 3 of every four read `cd`.
//
// A direct lookup cuts step_bits from the key by SRS, which rounds by the mode in force. Only floor is right;
// with the others keys near the top of a step take the next entry, and that is modelled. Beyond the last
// entry the lookup wraps where the policy is truncate (a table that uses the whole key is read without a
// check on the array, so that what lies behind it comes back there).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/vector.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie {

enum class lut_oor_policy { saturate, truncate };

template <unsigned parallel_accesses, typename OffsetType, typename SlopeType = OffsetType>
struct lut {
    static_assert(parallel_accesses == 4, "aie::lut: AIE2 looks up with four parallel accesses");
    using offset_type = OffsetType;
    using slope_type = SlopeType;

    // `entries` is without the copies.
    lut(unsigned entries, const void* table_ab, const void* table_cd)
        : elements(entries),
          ab(static_cast<const unsigned char*>(table_ab)),
          cd(static_cast<const unsigned char*>(table_cd)) {}

    unsigned elements;
    const unsigned char* ab;
    const unsigned char* cd;
};

namespace detail {

// floor(value * 2^shift) to int32, |shift| < 900: saturates, NaN gives the largest (VFLOOR; xdna-emu
// vector_convert.rs). The rounding mode does not matter.
inline std::int32_t floor_to_int(bfloat16 value, int shift) {
    constexpr double largest = std::numeric_limits<std::int32_t>::max();
    constexpr double smallest = std::numeric_limits<std::int32_t>::min();
    const auto power = std::bit_cast<double>(static_cast<std::uint64_t>(1023 + shift) << 52);
    const double floored = std::floor(static_cast<double>(static_cast<float>(value)) * power);
    const double above = floored > smallest ? floored : (floored <= smallest ? smallest : largest);
    return static_cast<std::int32_t>(above < largest ? above : largest);
}

// Entry `entry` of `bytes` bytes, from the copy that lane `lane` reads.
template <unsigned bytes, typename Lut>
const unsigned char* entry_address(const Lut& table, unsigned entry, unsigned lane) {
    constexpr unsigned bank = 16;
    constexpr unsigned entries = bank / bytes;
    const unsigned char* copy = (lane % 4 < 2 ? table.ab : table.cd) + (lane % 2) * bank;
    return copy + entry / entries * (2 * bank) + entry % entries * bytes;
}

template <typename T>
T value_at(const unsigned char* address) {
    T value;
    std::memcpy(&value, address, sizeof(T));
    return value;
}

}  // namespace detail

// Entry (key >> step_bits) + bias of the table, for every lane. T is the type of the keys.
template <typename T, typename Lut, lut_oor_policy policy = lut_oor_policy::saturate>
class parallel_lookup {
    using Value = typename Lut::offset_type;
    static_assert(std::is_integral_v<T> && sizeof(T) <= 2, "aie::parallel_lookup: keys of 8 or 16 bits");
    static_assert(std::is_same_v<Value, typename Lut::slope_type>, "aie::parallel_lookup: one type of value");
    // 8-bit values stand in the table as 16-bit ones.
    static constexpr unsigned entry_bytes = sizeof(Value) == 1 ? 2 : sizeof(Value);
    // The unit of the address the core computes: entries times this power of two.
    static constexpr unsigned unit_bits = sizeof(Value) <= 2 ? 2 : 3;

public:
    explicit parallel_lookup(const Lut& table, unsigned step_bits = 0, unsigned bias = 0)
        : table_(table),
          shift_(static_cast<int>(step_bits) - static_cast<int>(unit_bits)),
          bias_(static_cast<std::int64_t>(bias) << unit_bits) {
        detail::require(std::is_signed_v<T> || bias == 0, "parallel_lookup: unsigned keys take no bias");
    }

    // Lanes beyond the first M are not looked up.
    template <unsigned M, typename Key, unsigned N>
    vector<Value, M> fetch(const vector<Key, N>& keys) const {
        static_assert(std::is_same_v<Key, T>,
                      "aie::parallel_lookup::fetch: cast the keys to the type declared");
        static_assert(N <= 32 && M <= N, "aie::parallel_lookup::fetch: at most 32 keys");
        const rounding_mode mode = get_rounding();
        vector<Value, M> out;
        for (unsigned i = 0; i < M; ++i) {
            const std::int64_t unit = detail::shift_round(keys.host_data()[i], shift_, mode) + bias_;
            out.host_data()[i] =
                detail::value_at<Value>(detail::entry_address<entry_bytes>(table_, entry_of(unit), i));
        }
        return out;
    }
    template <typename Key, unsigned N>
    vector<Value, N> fetch(const vector<Key, N>& keys) const {
        return fetch<N>(keys);
    }

private:
    unsigned entry_of(std::int64_t unit) const {
        const std::int64_t last = (static_cast<std::int64_t>(table_.elements) << unit_bits) - 1;
        const std::int64_t inside =
            policy == lut_oor_policy::truncate ? unit & last : std::clamp<std::int64_t>(unit, 0, last);
        return static_cast<unsigned>(inside >> unit_bits);
    }

    Lut table_;
    int shift_;
    std::int64_t bias_;
};

template <typename T, typename Lut>
class linear_approx {
    static_assert(detail::unsupported<T, Lut>,
                  "aie::linear_approx: on the host only bfloat16 with lut<4, float, bfloat16>");
};

// offset + slope x, one VMAC. Entry floor(x / 2^step_bits) + bias, clamped to the table; an entry is two
// floats, slope (its upper half, a bf16) and offset. The rounding mode does not matter.
template <>
class linear_approx<bfloat16, lut<4, float, bfloat16>> {
    using Lut = lut<4, float, bfloat16>;

public:
    linear_approx(const Lut& table, int step_bits, int bias = 0, int shift_offset = 0)
        : table_(table), step_bits_(step_bits), bias_(bias) {
        detail::require(shift_offset == 0, "linear_approx: bfloat16 takes no shift_offset");
    }

    template <unsigned N>
    accum<accfloat, N> compute(const vector<bfloat16, N>& input) const {
        static_assert(N <= 16, "aie::linear_approx::compute: at most 16 lanes");
        constexpr int unit_bits = 4;
        float sums[16] = {};
        std::uint16_t slopes[16] = {};
        std::uint16_t x[16] = {};
        for (unsigned i = 0; i < N; ++i) {
            const std::int32_t lowest = -bias_ * (1 << unit_bits);
            const std::int32_t highest = lowest + static_cast<std::int32_t>(table_.elements << unit_bits) - 1;
            const std::int32_t unit = detail::floor_to_int(input.host_data()[i], unit_bits - step_bits_);
            const auto entry =
                static_cast<unsigned>((std::clamp(unit, lowest, highest) - lowest) >> unit_bits);
            const unsigned char* address = detail::entry_address<8>(table_, entry, i);
            slopes[i] = static_cast<std::uint16_t>(detail::value_at<std::uint32_t>(address) >> 16);
            sums[i] = detail::value_at<float>(address + sizeof(float));
            x[i] = input.host_data()[i].bits;
        }
        detail::vmac<1>(sums, slopes, x);
        accum<accfloat, N> out;
        std::copy_n(sums, N, out.host_data());
        return out;
    }

private:
    Lut table_;
    int step_bits_;
    int bias_;
};

}  // namespace aie
