// 400 real samples as 200 complex ones, Stockham's autosorting algorithm with radices 5, 5, 4, 2 (van
// Loan, "Computational Frameworks for the Fast Fourier Transform", 1992), then the split into the 201
// bins of a real signal.
#include "reference/fourier.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "datasets/audio.hpp"
#include "reference/log_mel.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reference/fourier.cpp"
// Compiles this file once per instruction set; comes before the rest of Highway.
#include "hwy/foreach_target.h"

#include "hwy/highway.h"

#ifndef REFERENCE_FOURIER_TABLES
#define REFERENCE_FOURIER_TABLES
namespace reference {

inline constexpr std::size_t points = 200;

// e^(-2 pi i k / 400), k < 400; one table for all instruction sets.
inline const std::array<std::complex<double>, 2 * points>& roots() {
    static const auto table = [] {
        std::array<std::complex<double>, 2 * points> values;
        for (std::size_t k = 0; k < values.size(); ++k) {
            const double angle = std::numbers::pi * static_cast<double>(k) / static_cast<double>(points);
            values[k] = {std::cos(angle), -std::sin(angle)};
        }
        return values;
    }();
    return table;
}

}  // namespace reference
#endif

HWY_BEFORE_NAMESPACE();
namespace reference::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F64 = hn::ScalableTag<double>;
using VF64 = hn::Vec<F64>;

constexpr std::size_t most_lanes = HWY_MAX_BYTES / sizeof(double);

// A complex number per frame.
struct Complex {
    VF64 real;
    VF64 imaginary;
};

HWY_INLINE Complex operator+(Complex a, Complex b) {
    return {hn::Add(a.real, b.real), hn::Add(a.imaginary, b.imaginary)};
}
HWY_INLINE Complex operator-(Complex a, Complex b) {
    return {hn::Sub(a.real, b.real), hn::Sub(a.imaginary, b.imaginary)};
}
HWY_INLINE Complex scaled(Complex a, double by) {
    const auto factor = hn::Set(F64(), by);
    return {hn::Mul(a.real, factor), hn::Mul(a.imaginary, factor)};
}
HWY_INLINE Complex times(Complex a, std::complex<double> by) {
    const auto real = hn::Set(F64(), by.real());
    const auto imaginary = hn::Set(F64(), by.imag());
    return {hn::Sub(hn::Mul(a.real, real), hn::Mul(a.imaginary, imaginary)),
            hn::Add(hn::Mul(a.real, imaginary), hn::Mul(a.imaginary, real))};
}
// a - i b and a + i b.
HWY_INLINE Complex minus_i(Complex a, Complex b) {
    return {hn::Add(a.real, b.imaginary), hn::Sub(a.imaginary, b.real)};
}
HWY_INLINE Complex plus_i(Complex a, Complex b) {
    return {hn::Sub(a.real, b.imaginary), hn::Add(a.imaginary, b.real)};
}

// 200 complex numbers per frame: [point, lane].
struct Signal {
    HWY_ALIGN double real[points * most_lanes];
    HWY_ALIGN double imaginary[points * most_lanes];

    HWY_INLINE Complex load(std::size_t point) const {
        const F64 d;
        return {hn::Load(d, real + point * hn::Lanes(d)), hn::Load(d, imaginary + point * hn::Lanes(d))};
    }
    HWY_INLINE void store(std::size_t point, Complex value) {
        const F64 d;
        hn::Store(value.real, d, real + point * hn::Lanes(d));
        hn::Store(value.imaginary, d, imaginary + point * hn::Lanes(d));
    }
};

HWY_INLINE void transform(std::array<Complex, 2>& x) {
    x = {x[0] + x[1], x[0] - x[1]};
}

HWY_INLINE void transform(std::array<Complex, 4>& x) {
    const Complex even = x[0] + x[2];
    const Complex odd = x[1] + x[3];
    const Complex even_difference = x[0] - x[2];
    const Complex odd_difference = x[1] - x[3];
    x = {even + odd, minus_i(even_difference, odd_difference), even - odd,
         plus_i(even_difference, odd_difference)};
}

HWY_INLINE void transform(std::array<Complex, 5>& x) {
    constexpr double cosine1 = 0.30901699437494742410;   // of 2 pi / 5
    constexpr double cosine2 = -0.80901699437494742410;  // of 4 pi / 5
    constexpr double sine1 = 0.95105651629515357212;
    constexpr double sine2 = 0.58778525229247312917;
    const Complex sum1 = x[1] + x[4];
    const Complex sum2 = x[2] + x[3];
    const Complex difference1 = x[1] - x[4];
    const Complex difference2 = x[2] - x[3];
    const Complex real1 = x[0] + (scaled(sum1, cosine1) + scaled(sum2, cosine2));
    const Complex real2 = x[0] + (scaled(sum1, cosine2) + scaled(sum2, cosine1));
    const Complex turned1 = scaled(difference1, sine1) + scaled(difference2, sine2);
    const Complex turned2 = scaled(difference1, sine2) - scaled(difference2, sine1);
    x = {x[0] + (sum1 + sum2), minus_i(real1, turned1), minus_i(real2, turned2), plus_i(real2, turned2),
         plus_i(real1, turned1)};
}

// One pass over `stride` interleaved transforms of `length` points, which become radix * stride transforms of
// length / radix.
template <std::size_t radix>
HWY_INLINE void pass(std::size_t length, std::size_t stride, const Signal& from, Signal& to) {
    const std::size_t rest = length / radix;
    const std::size_t root_step = 2 * points / length;
    const auto& root = roots();
    for (std::size_t p = 0; p < rest; ++p) {
        for (std::size_t q = 0; q < stride; ++q) {
            std::array<Complex, radix> x;
            for (std::size_t j = 0; j < radix; ++j) {
                x[j] = from.load(q + stride * (p + rest * j));
            }
            transform(x);
            to.store(q + stride * radix * p, x[0]);
            for (std::size_t k = 1; k < radix; ++k) {
                to.store(q + stride * (radix * p + k), p == 0 ? x[k] : times(x[k], root[p * k * root_step]));
            }
        }
    }
}

HWY_INLINE VF64 squared_magnitude(Complex x) {
    return hn::Add(hn::Mul(x.real, x.real), hn::Mul(x.imaginary, x.imaginary));
}

// Bins k and 200 - k of the real signal from points k and 200 - k of the complex one: with the transforms
// of the even and of the odd samples, E and O, bin k is E + w^k O and bin 200 - k the conjugate of E -
// w^k O.
HWY_INLINE void split(const Signal& signal, double* HWY_RESTRICT power) {
    const F64 d;
    const std::size_t lanes = hn::Lanes(d);
    const auto& root = roots();
    for (std::size_t k = 0; k <= points / 2; ++k) {
        const Complex low = signal.load(k);
        Complex high = signal.load(k == 0 ? 0 : points - k);
        high.imaginary = hn::Neg(high.imaginary);
        const Complex even = scaled(low + high, 0.5);
        const Complex difference = scaled(low - high, 0.5);
        const Complex odd = times({difference.imaginary, hn::Neg(difference.real)}, root[k]);
        hn::Store(squared_magnitude(even + odd), d, power + k * lanes);
        hn::Store(squared_magnitude(even - odd), d, power + (points - k) * lanes);
    }
}

void power_of_frames(const float* HWY_RESTRICT samples, const double* HWY_RESTRICT window,
                     std::int64_t frames, double* HWY_RESTRICT power) {
    const F64 d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    Signal first;
    Signal second;
    HWY_ALIGN double bins[(points + 1) * most_lanes];
    for (std::int64_t begin = 0; begin < frames; begin += lanes) {
        const std::int64_t count = std::min(lanes, frames - begin);
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
            // Idle lanes repeat the last frame.
            const float* frame = samples + (begin + std::min(lane, count - 1)) * datasets::hop_samples;
            for (std::size_t i = 0; i < points; ++i) {
                const std::size_t at = i * static_cast<std::size_t>(lanes) + static_cast<std::size_t>(lane);
                first.real[at] = window[2 * i] * static_cast<double>(frame[2 * i]);
                first.imaginary[at] = window[2 * i + 1] * static_cast<double>(frame[2 * i + 1]);
            }
        }
        pass<5>(200, 1, first, second);
        pass<5>(40, 5, second, first);
        pass<4>(8, 25, first, second);
        pass<2>(2, 100, second, first);
        split(first, bins);
        for (std::int64_t bin = 0; bin < fourier_bins; ++bin) {
            std::copy_n(bins + bin * lanes, count, power + bin * frames + begin);
        }
    }
}

}  // namespace reference::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reference {

HWY_EXPORT(power_of_frames);

void power_spectra(std::span<const float> samples, std::span<const double> window, std::int64_t frames,
                   std::span<double> power) {
    HWY_DYNAMIC_DISPATCH(power_of_frames)(samples.data(), window.data(), frames, power.data());
}

}  // namespace reference
#endif  // HWY_ONCE
