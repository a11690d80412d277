// aie::accum<Tag, N>: N lanes of an accumulator. Spelled as Xilinx/aie_api accum.hpp for AIE2: accfloat lanes
// are fp32; acc32 and acc64 lanes are integers of that width.
#pragma once

#include "aie_api/detail/narrow.hpp"
#include "aie_api/detail/vector.hpp"

struct accfloat {};
struct acc32 {};
struct acc64 {};
// "Choose the accumulator that the operands need", as the default of aie::mul and aie::mmul.
struct accauto {};

namespace aie {
namespace detail {

template <typename Tag>
struct accum_value;
template <>
struct accum_value<accfloat> : std::type_identity<float> {};
template <>
struct accum_value<acc32> : std::type_identity<int32> {};
template <>
struct accum_value<acc64> : std::type_identity<int64> {};

template <typename Tag>
inline constexpr bool is_accum_tag = is_one_of<Tag, accfloat, acc32, acc64>;

// value / 2^shift to an integer by `mode`.
constexpr int64 shift_round(int64 value, int shift, rounding_mode mode) {
    if (shift <= 0) {
        return static_cast<int64>(static_cast<uint64>(value) << -shift);
    }
    if (shift > 62) {  // the sign and "not zero" are all that is left
        value = value < 0 ? -1 : (value > 0 ? 1 : 0);
        shift = 62;
    }
    const int64 below = value >> shift;  // toward minus infinity
    const uint64 rest = static_cast<uint64>(value) - (static_cast<uint64>(below) << shift);
    const uint64 half = uint64{1} << (shift - 1);
    const bool negative = value < 0;
    const auto nearest = [&](bool tie_goes_up) { return rest > half || (rest == half && tie_goes_up); };
    bool up = false;
    switch (mode) {
        case rounding_mode::floor:
            break;
        case rounding_mode::ceil:
            up = rest != 0;
            break;
        case rounding_mode::symmetric_floor:
            up = rest != 0 && negative;
            break;
        case rounding_mode::symmetric_ceil:
            up = rest != 0 && !negative;
            break;
        case rounding_mode::negative_inf:
            up = nearest(false);
            break;
        case rounding_mode::positive_inf:
            up = nearest(true);
            break;
        case rounding_mode::symmetric_zero:
            up = nearest(negative);
            break;
        case rounding_mode::symmetric_inf:
            up = nearest(!negative);
            break;
        case rounding_mode::conv_even:
            up = nearest((below & 1) != 0);
            break;
        case rounding_mode::conv_odd:
            up = nearest((below & 1) == 0);
            break;
    }
    return below + (up ? 1 : 0);
}

}  // namespace detail

template <typename Tag, unsigned N>
class accum {
    static_assert(detail::is_accum_tag<Tag>, "aie::accum: only accfloat, acc32 and acc64 are supported here");
    static_assert(detail::is_power_of_two(N) && N >= 4 && N <= 128,
                  "aie::accum: 4 to 128 lanes, a power of two");
    using Lane = typename detail::accum_value<Tag>::type;

public:
    using value_type = Tag;
    using storage_t = accum;

    static constexpr unsigned accum_bits() { return 8 * sizeof(Lane); }
    static constexpr unsigned accum_min_bits() { return accum_bits(); }
    static constexpr unsigned value_bits() { return accum_bits(); }
    static constexpr unsigned memory_bits() { return accum_bits(); }
    static constexpr unsigned size() { return N; }
    static constexpr unsigned bits() { return N * accum_bits(); }
    static constexpr bool is_complex() { return false; }
    static constexpr bool is_real() { return true; }
    static constexpr bool is_floating_point() { return std::same_as<Tag, accfloat>; }

    accum() { std::fill_n(lanes_, N, detail::poison<Lane>()); }
    template <typename T>
    explicit accum(const vector<T, N>& v, int shift = 0) {
        from_vector(v, shift);
    }
    template <typename T>
    accum& operator=(const vector<T, N>& v) {
        from_vector(v);
        return *this;
    }

    // As the real type: an accfloat becomes a float or bfloat16 vector by itself.
    template <typename T>
    requires(detail::is_float_element<T>&& std::same_as<Tag, accfloat>&& N <= 32) operator vector<T, N>()
        const {
        return to_vector<T>();
    }

    const accum& to_native() const { return *this; }

    // The same bits as lanes of another accumulator.
    template <typename Other>
    auto cast_to() const {
        accum<Other, N * sizeof(Lane) / sizeof(typename detail::accum_value<Other>::type)> result;
        std::memcpy(result.host_data(), lanes_, sizeof(lanes_));
        return result;
    }
    template <typename Other>
    auto cast() const {
        return cast_to<Other>();
    }

    template <unsigned M>
    accum<Tag, M> grow() const {
        static_assert(M >= N, "aie::accum::grow: the result must not be smaller");
        return accum<Tag, M>().insert(0, *this);
    }
    template <unsigned M>
    accum<Tag, M> grow_replicate() const {
        static_assert(M >= N, "aie::accum::grow_replicate: the result must not be smaller");
        accum<Tag, M> result;
        for (unsigned i = 0; i < M / N; ++i) {
            result.insert(i, *this);
        }
        return result;
    }
    template <unsigned M>
    accum<Tag, M> extract(unsigned idx) const {
        static_assert(M <= N, "aie::accum::extract: the part is larger than the accumulator");
        detail::require(idx < N / M, "accum::extract: no such part");
        accum<Tag, M> part;
        std::copy_n(lanes_ + idx * M, M, part.host_data());
        return part;
    }
    template <unsigned M>
    accum<Tag, M> grow_extract(unsigned idx) const {
        if constexpr (M > N) {
            return grow<M>();
        } else {
            return extract<M>(idx);
        }
    }
    template <unsigned M>
    accum& insert(unsigned idx, const accum<Tag, M>& part) {
        static_assert(M <= N, "aie::accum::insert: the part is larger than the accumulator");
        detail::require(idx < N / M, "accum::insert: no such part");
        std::copy_n(part.host_data(), M, lanes_ + idx * M);
        return *this;
    }
    template <unsigned M>
    auto split() const {
        return [this]<std::size_t... part>(std::index_sequence<part...>) {
            return std::make_tuple(extract<M>(part)...);
        }
        (std::make_index_sequence<N / M>());
    }
    template <typename... Parts>
    void upd_all(const Parts&... parts) {
        static_assert((Parts::size() + ...) == N, "aie::accum::upd_all: the parts must fill the accumulator");
        unsigned idx = 0;
        (insert(idx++, parts), ...);
    }

    // accfloat: to float, or to bfloat16 by the rounding mode in force; `shift` is without effect.
    // Integers: / 2^shift by the rounding mode, then to T by the saturation mode.
    template <typename T>
    vector<T, N> to_vector(int shift = 0) const {
        vector<T, N> result;
        if constexpr (std::same_as<Tag, accfloat> && std::same_as<T, float>) {
            std::copy_n(lanes_, N, result.host_data());
        } else if constexpr (std::same_as<Tag, accfloat> && std::same_as<T, bfloat16>) {
            detail::round_to_bf16<N>(lanes_, result.host_data(), get_rounding());
        } else if constexpr (!std::same_as<Tag, accfloat> && std::is_integral_v<T>) {
            const auto convert = [shift, rounding = get_rounding(), mode = get_saturation()](Lane lane) {
                return detail::saturated<T>(detail::shift_round(lane, shift, rounding), mode);
            };
            std::transform(lanes_, lanes_ + N, result.host_data(), convert);
        } else {
            static_assert(
                detail::unsupported<T>,
                "aie::accum::to_vector: accfloat gives float and bfloat16 (to_fixed gives integers), "
                "acc32 and acc64 give integers");
        }
        return result;
    }
    vector<float, N> to_vector() const requires(std::same_as<Tag, accfloat>) { return to_vector<float>(); }

    // accfloat: exact. Integers: * 2^shift.
    template <typename T>
    void from_vector(const vector<T, N>& v, int shift = 0) {
        if constexpr (std::same_as<Tag, accfloat> && std::same_as<T, float>) {
            std::copy_n(v.host_data(), N, lanes_);
        } else if constexpr (std::same_as<Tag, accfloat> && std::same_as<T, bfloat16>) {
            detail::widen<N>(v.host_data(), lanes_);
        } else if constexpr (!std::same_as<Tag, accfloat> && std::is_integral_v<T>) {
            std::transform(v.host_data(), v.host_data() + N, lanes_, [shift](T value) {
                return static_cast<Lane>(static_cast<uint64>(static_cast<int64>(value)) << shift);
            });
        } else {
            static_assert(
                detail::unsupported<T>,
                "aie::accum::from_vector: accfloat takes float and bfloat16, acc32 and acc64 take integers");
        }
    }

    // For the implementation only: the lanes.
    Lane* host_data() { return lanes_; }
    const Lane* host_data() const { return lanes_; }

private:
    alignas(std::min<std::size_t>(N * sizeof(Lane), 64)) Lane lanes_[N];
};

namespace detail {

template <typename T>
struct is_accum : std::false_type {};
template <typename Tag, unsigned N>
struct is_accum<accum<Tag, N>> : std::true_type {};

}  // namespace detail

template <typename T>
concept Accum = detail::is_accum<std::remove_cvref_t<T>>::value;

// An accumulator of the values of `v`.
template <typename Tag, typename T, unsigned N>
inline accum<Tag, N> from_vector(const vector<T, N>& v, int shift = 0) {
    return accum<Tag, N>(v, shift);
}
template <typename T, typename Tag, unsigned N>
inline vector<T, N> to_vector(const accum<Tag, N>& acc, int shift = 0) {
    return acc.template to_vector<T>(shift);
}

}  // namespace aie

using v4accfloat = aie::accum<accfloat, 4>;
using v8accfloat = aie::accum<accfloat, 8>;
using v16accfloat = aie::accum<accfloat, 16>;
using v32accfloat = aie::accum<accfloat, 32>;
using v8acc32 = aie::accum<acc32, 8>;
using v16acc32 = aie::accum<acc32, 16>;
using v32acc32 = aie::accum<acc32, 32>;
using v4acc64 = aie::accum<acc64, 4>;
using v8acc64 = aie::accum<acc64, 8>;
using v16acc64 = aie::accum<acc64, 16>;
