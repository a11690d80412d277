// Helpers of the AIE API that are no arithmetic: loops unrolled at compile time, printing.
//
// Names: Xilinx/aie_api utils.hpp.
#pragma once

#include <cstdio>
#include <type_traits>
#include <utility>

#include "aie_api/aie.hpp"

namespace aie {

// fn(0) ... fn(times - 1), or fn() where it takes no argument; the index is a constant.
template <unsigned times, typename Fn>
void unroll_times(Fn&& fn) {
    [&]<unsigned... index>(std::integer_sequence<unsigned, index...>) {
        const auto call = [&](auto number) {
            if constexpr (std::is_invocable_v<Fn, decltype(number)>) {
                fn(number);
            } else {
                fn();
            }
        };
        (call(std::integral_constant<unsigned, index>{}), ...);
    }
    (std::make_integer_sequence<unsigned, times>{});
}

// fn(start), fn(start + step) ... below `end`.
template <typename T, T start, T end, T step = 1, typename Fn>
void unroll_for(Fn&& fn) {
    [&]<T... index>(std::integer_sequence<T, index...>) {
        (fn(std::integral_constant<T, static_cast<T>(start + index * step)>{}), ...);
    }
    (std::make_integer_sequence<T, static_cast<T>((end - start + step - 1) / step)>{});
}

// The lanes, separated by blanks.
template <typename T, unsigned N>
void print(const vector<T, N>& v, bool nl = false, const char* prefix = nullptr) {
    std::printf("%s", prefix != nullptr ? prefix : "");
    for (unsigned i = 0; i < N; ++i) {
        if constexpr (detail::is_float_element<T>) {
            std::printf("%f ", static_cast<double>(static_cast<float>(v.get(i))));
        } else {
            std::printf("%lld ", static_cast<long long>(v.get(i)));
        }
    }
    std::printf("%s", nl ? "\n" : "");
}
template <unsigned N>
void print(const mask<N>& m, bool nl = false, const char* prefix = nullptr) {
    std::printf("%s", prefix != nullptr ? prefix : "");
    for (unsigned i = 0; i < N; ++i) {
        std::printf("%d ", m.test(i) ? 1 : 0);
    }
    std::printf("%s", nl ? "\n" : "");
}

}  // namespace aie
