// Elementwise arithmetic: mul, mac, msc, negmul, squares, add, sub, neg, abs. Spelled as Xilinx/aie_api
// aie.hpp, group_arithmetic, for the operands that its detail/mul.hpp lets through on AIE2.
//
// bfloat16 is multiplied by the VMAC, one product per lane (the API fills the second half with zeros), and
// added by VADD.f in accumulators, from which it returns by the rounding mode in force (detail/aie2/add.hpp).
// float is multiplied as float_multiply.hpp says and added by VADD.f.
#pragma once

#include "aie_api/detail/float_multiply.hpp"
#include "aie_api/detail/memory.hpp"
#include "aie_api/detail/vmac.hpp"

namespace aie {
namespace detail {

template <typename T>
inline constexpr bool is_scalar = is_element<std::remove_cvref_t<T>>;

// An element type, and the lanes, of a vector, an accumulator or a scalar.
template <typename T>
struct operand {
    using element = std::remove_cvref_t<T>;
    static constexpr unsigned size = 0;
};
template <typename T, unsigned N>
struct operand<vector<T, N>> {
    using element = T;
    static constexpr unsigned size = N;
};

template <typename A, typename B>
inline constexpr unsigned size_of_both =
    operand<A>::size > operand<B>::size ? operand<A>::size : operand<B>::size;

template <typename A, typename B>
concept VectorAndOperand = (Vector<A> && (Vector<B> || is_scalar<B>)) || (is_scalar<A> && Vector<B>);

template <unsigned N, typename T>
inline vector<T, N> as_vector(T value) {
    return broadcast<T, N>(value);
}
template <unsigned N, typename T>
inline const vector<T, N>& as_vector(const vector<T, N>& v) {
    return v;
}

// The accumulator of a product, as detail/accum.hpp: accfloat; 32 bits for integers up to 16, 64 beyond.
template <typename A, typename B, typename Tag>
struct product_tag : std::type_identity<Tag> {};
template <typename A, typename B>
struct product_tag<A, B, accauto>
    : std::conditional<is_float_element<A>, accfloat,
                       std::conditional_t<(sizeof(A) > 2 || sizeof(B) > 2), acc64, acc32>> {};

template <typename A, typename B>
constexpr void require_multipliable() {
    static_assert(is_float_element<A> == is_float_element<B>,
                  "aie::mul: AIE2 does not multiply an integer by a floating-point number");
    static_assert(!is_float_element<A> || std::same_as<A, B>,
                  "aie::mul: AIE2 does not multiply bfloat16 by float; convert one of them");
}

enum class Sign { plus, minus };

// acc + sign a b in lanes of fp32, or sign a b. Fewer lanes than 16 are filled up.
template <Sign sign, bool accumulate, unsigned N>
inline void multiply(const vector<bfloat16, N>& a, const vector<bfloat16, N>& b, float* acc) {
    constexpr unsigned width = N < 16 ? N : 16;
    for (unsigned first = 0; first < N; first += 16) {
        alignas(64) std::uint16_t left[16] = {};
        alignas(64) std::uint16_t right[16] = {};
        alignas(64) float sum[16] = {};
        constexpr std::uint16_t flip = sign == Sign::minus ? 0x8000 : 0;
        for (unsigned i = 0; i < width; ++i) {
            left[i] = static_cast<std::uint16_t>(a.host_data()[first + i].bits ^ flip);
            right[i] = b.host_data()[first + i].bits;
        }
        if constexpr (accumulate) {
            std::copy_n(acc + first, width, sum);
        }
        vmac<1>(sum, left, right);
        std::copy_n(sum, width, acc + first);
    }
}

// The public emulation of acc - a b multiplies first and subtracts by VADD.f.
template <Sign sign, bool accumulate, unsigned N>
inline void multiply(const vector<float, N>& a, const vector<float, N>& b, float* acc) {
    constexpr unsigned width = N < 16 ? N : 16;
    constexpr bool subtract = accumulate && sign == Sign::minus;
    for (unsigned first = 0; first < N; first += 16) {
        alignas(64) float left[16] = {};
        alignas(64) float right[16] = {};
        alignas(64) float sum[16] = {};
        std::copy_n(a.host_data() + first, width, left);
        std::copy_n(b.host_data() + first, width, right);
        if constexpr (accumulate && !subtract) {
            std::copy_n(acc + first, width, sum);
        }
        multiply_floats<accumulate && !subtract, sign == Sign::minus>(left, right, sum);
        if constexpr (subtract) {
            vadd<width>(acc + first, sum, acc + first);
        } else {
            std::copy_n(sum, width, acc + first);
        }
    }
}

template <Sign sign, bool accumulate, typename A, typename B, unsigned N, typename Lane>
requires(std::is_integral_v<A>&& std::is_integral_v<B>) inline void multiply(const vector<A, N>& a,
                                                                             const vector<B, N>& b,
                                                                             Lane* acc) {
    for (unsigned i = 0; i < N; ++i) {
        // Wraps; unsigned, where that is defined.
        const auto product = static_cast<uint64>(static_cast<int64>(a.host_data()[i])) *
                             static_cast<uint64>(static_cast<int64>(b.host_data()[i]));
        const uint64 before = accumulate ? static_cast<uint64>(acc[i]) : 0;
        acc[i] = static_cast<Lane>(sign == Sign::plus ? before + product : before - product);
    }
}

template <Sign sign, typename Tag, typename A, typename B>
inline auto product(const A& a, const B& b) {
    using TypeA = typename operand<A>::element;
    using TypeB = typename operand<B>::element;
    require_multipliable<TypeA, TypeB>();
    constexpr unsigned N = size_of_both<A, B>;
    accum<typename product_tag<TypeA, TypeB, Tag>::type, N> acc;
    multiply<sign, false>(as_vector<N>(a), as_vector<N>(b), acc.host_data());
    return acc;
}

template <Sign sign, typename Tag, unsigned N, typename A, typename B>
inline accum<Tag, N> product_added(const accum<Tag, N>& before, const A& a, const B& b) {
    using TypeA = typename operand<A>::element;
    using TypeB = typename operand<B>::element;
    require_multipliable<TypeA, TypeB>();
    static_assert(size_of_both<A, B> == N, "aie::mac: the accumulator has another number of lanes");
    static_assert(is_float_element<TypeA> == std::same_as<Tag, accfloat>,
                  "aie::mac: the accumulator is of another kind than the product");
    accum<Tag, N> acc = before;
    multiply<sign, true>(as_vector<N>(a), as_vector<N>(b), acc.host_data());
    return acc;
}

}  // namespace detail

// a b, -(a b); acc + a b, acc - a b. At most one of a and b is a scalar. A zero is +0 also where negated.
template <typename AccumTag = accauto, typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline auto mul(const A& a, const B& b) {
    return detail::product<detail::Sign::plus, AccumTag>(a, b);
}
template <typename AccumTag = accauto, typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline auto negmul(const A& a, const B& b) {
    return detail::product<detail::Sign::minus, AccumTag>(a, b);
}
template <typename Tag, unsigned N, typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline accum<Tag, N> mac(const accum<Tag, N>& acc, const A& a, const B& b) {
    return detail::product_added<detail::Sign::plus>(acc, a, b);
}
template <typename Tag, unsigned N, typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline accum<Tag, N> msc(const accum<Tag, N>& acc, const A& a, const B& b) {
    return detail::product_added<detail::Sign::minus>(acc, a, b);
}

template <typename AccumTag = accauto, typename T, unsigned N>
inline auto mul_square(const vector<T, N>& v) {
    return mul<AccumTag>(v, v);
}
template <typename Tag, typename T, unsigned N>
inline accum<Tag, N> mac_square(const accum<Tag, N>& acc, const vector<T, N>& v) {
    return mac(acc, v, v);
}
template <typename Tag, typename T, unsigned N>
inline accum<Tag, N> msc_square(const accum<Tag, N>& acc, const vector<T, N>& v) {
    return msc(acc, v, v);
}

namespace detail {

// a + b or a - b in lanes of an accumulator; to may be a.
template <Sign sign, unsigned N>
inline void add_lanes(const float* a, const float* b, float* to) {
    if constexpr (sign == Sign::plus) {
        vadd<N>(a, b, to);
    } else {
        alignas(64) float negated[N];
        std::transform(b, b + N, negated, [](float value) { return -value; });
        vadd<N>(a, negated, to);
    }
}
template <Sign sign, unsigned N, typename Lane>
requires std::is_integral_v<Lane>
inline void add_lanes(const Lane* a, const Lane* b, Lane* to) {
    using Unsigned = std::make_unsigned_t<Lane>;
    for (unsigned i = 0; i < N; ++i) {
        const auto x = static_cast<Unsigned>(a[i]);
        const auto y = static_cast<Unsigned>(b[i]);
        to[i] = static_cast<Lane>(static_cast<Unsigned>(sign == Sign::plus ? x + y : x - y));
    }
}

template <Sign sign, typename A, typename B>
inline auto vector_sum(const A& a, const B& b) {
    using TypeA = typename operand<A>::element;
    using TypeB = typename operand<B>::element;
    using T = std::conditional_t<Vector<A>, TypeA, TypeB>;
    static_assert(std::same_as<TypeA, TypeB> ||
                      (!(Vector<A> && Vector<B>)&&std::is_integral_v<TypeA> && std::is_integral_v<TypeB>),
                  "aie::add, aie::sub: both operands must be of one type");
    constexpr unsigned N = size_of_both<A, B>;
    const vector<T, N> left = as_vector<N>(a);
    const vector<T, N> right = as_vector<N>(b);
    if constexpr (is_float_element<T>) {
        accum<accfloat, N> acc(left);
        add_lanes<sign, N>(acc.host_data(), accum<accfloat, N>(right).host_data(), acc.host_data());
        return acc.template to_vector<T>();
    } else {
        vector<T, N> result;
        add_lanes<sign, N>(left.host_data(), right.host_data(), result.host_data());
        return result;
    }
}

template <Sign sign, typename Tag, unsigned N, typename B>
inline accum<Tag, N> accum_sum(const accum<Tag, N>& before, const B& b) {
    accum<Tag, N> acc = before;
    if constexpr (Accum<B>) {
        static_assert(std::same_as<B, accum<Tag, N>>,
                      "aie::add, aie::sub: both accumulators must be of one type");
        add_lanes<sign, N>(acc.host_data(), b.host_data(), acc.host_data());
    } else {
        static_assert(operand<B>::size == 0 || operand<B>::size == N,
                      "aie::add, aie::sub: the accumulator has another number of lanes");
        const accum<Tag, N> right(as_vector<N>(b));
        add_lanes<sign, N>(acc.host_data(), right.host_data(), acc.host_data());
    }
    return acc;
}

template <typename T>
concept AccumOperand = Accum<T> || Vector<T> || is_scalar<T>;

}  // namespace detail

// a + b, a - b: of vectors and at most one scalar a vector; of an accumulator on the left with any of them an
// accumulator. Integers wrap.
template <typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline auto add(const A& a, const B& b) {
    return detail::vector_sum<detail::Sign::plus>(a, b);
}
template <typename A, typename B>
requires detail::VectorAndOperand<A, B>
inline auto sub(const A& a, const B& b) {
    return detail::vector_sum<detail::Sign::minus>(a, b);
}
template <typename Tag, unsigned N, detail::AccumOperand B>
inline accum<Tag, N> add(const accum<Tag, N>& acc, const B& b) {
    return detail::accum_sum<detail::Sign::plus>(acc, b);
}
template <typename Tag, unsigned N, detail::AccumOperand B>
inline accum<Tag, N> sub(const accum<Tag, N>& acc, const B& b) {
    return detail::accum_sum<detail::Sign::minus>(acc, b);
}

// Floating point: the sign bit flips, of zeros and NaNs too (the API adds 0x8000 to the bits). Integers wrap.
template <typename T, unsigned N>
inline vector<T, N> neg(const vector<T, N>& v) {
    if constexpr (detail::is_float_element<T>) {
        vector<T, N> result;
        std::transform(v.host_data(), v.host_data() + N, result.host_data(), [](T value) { return -value; });
        return result;
    } else if constexpr (std::is_signed_v<T>) {
        return sub(T{0}, v);
    } else {
        return v;
    }
}

// accfloat: the sign bit flips; a denormal becomes zero first, a NaN the canonical one (VNEG;
// FIM43-Redeye/xdna-emu src/interpreter/execute/vector_arith.rs).
template <typename Tag, unsigned N>
inline accum<Tag, N> neg(const accum<Tag, N>& acc) {
    accum<Tag, N> result;
    if constexpr (std::same_as<Tag, accfloat>) {
        for (unsigned i = 0; i < N; ++i) {
            auto bits = std::bit_cast<std::uint32_t>(acc.host_data()[i]);
            const std::uint32_t magnitude = bits & detail::magnitude_mask;
            bits = magnitude < 0x800000 ? bits & ~detail::magnitude_mask : bits;
            bits = magnitude > detail::exponent_mask ? 0x7F800001 : bits ^ 0x80000000;
            result.host_data()[i] = std::bit_cast<float>(bits);
        }
        return result;
    } else {
        std::fill_n(result.host_data(), N, 0);
        return sub(result, acc);
    }
}

// Floating point: the sign bit is cleared. The lowest integer stays.
template <typename T, unsigned N>
inline vector<T, N> abs(const vector<T, N>& v) {
    if constexpr (detail::is_float_element<T>) {
        vector<T, N> result = v;
        for (unsigned i = 0; i < N; ++i) {
            if constexpr (std::same_as<T, bfloat16>) {
                result.host_data()[i].bits &= 0x7FFF;
            } else {
                const auto bits = std::bit_cast<std::uint32_t>(v.host_data()[i]);
                result.host_data()[i] = std::bit_cast<float>(bits & detail::magnitude_mask);
            }
        }
        return result;
    } else if constexpr (std::is_signed_v<T>) {
        vector<T, N> result = neg(v);
        for (unsigned i = 0; i < N; ++i) {
            result.host_data()[i] = v.host_data()[i] < 0 ? result.host_data()[i] : v.host_data()[i];
        }
        return result;
    } else {
        return v;
    }
}

}  // namespace aie
