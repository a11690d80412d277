// What the tests of the array's kernels share: blocked tiles, bf16 bits, buffers with canaries, and a measure
// of how a store rounds.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/aie2/kernels.h"

namespace kernels::aie2_test {

constexpr int tile = 64;
constexpr int tile_size = tile * tile;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// Element (i, j) of a tile in blocks of R x C (kernels.h).
template <int R, int C>
std::size_t blocked(int i, int j) {
    return static_cast<std::size_t>(((i / R) * (tile / C) + j / C) * R * C + (i % R) * C + j % C);
}
inline std::size_t row_major(int i, int j) {
    return static_cast<std::size_t>(i * tile + j);
}
using Layout = std::size_t (*)(int, int);

inline float value_of(bfloat16 x) {
    return std::bit_cast<float>(std::uint32_t{std::bit_cast<std::uint16_t>(x)} << 16);
}
inline std::uint16_t bits_of(bfloat16 x) {
    return std::bit_cast<std::uint16_t>(x);
}

// `value`, which must be a bf16 already.
inline bfloat16 exactly(float value) {
    return std::bit_cast<bfloat16>(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
}
// The nearest bf16, ties away from zero: for data, where ties do not matter.
inline bfloat16 nearest(float value) {
    return std::bit_cast<bfloat16>(
        static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(value) + 0x8000U) >> 16));
}

// The distance of neighbouring bf16 around x.
inline double step_at(double x) {
    return std::ldexp(1.0, std::max(std::ilogb(x == 0 ? 1e-300 : x), -126) - 7);
}

// A buffer of 64-byte alignment between canaries.
template <typename T>
class Guarded {
public:
    explicit Guarded(std::size_t count, T value = T(0.0F))
        : count_(count), bytes_(count * sizeof(T) + 3 * margin) {
        std::memset(bytes_.data(), canary, bytes_.size());
        std::fill_n(data(), count, value);
    }
    explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
        std::copy(values.begin(), values.end(), data());
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    T* data() {
        const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data() + margin);
        return reinterpret_cast<T*>((address + 63) / 64 * 64);
    }
    T& operator[](std::size_t i) { return data()[i]; }
    std::size_t size() const { return count_; }

    // Nothing around the elements was written to.
    bool intact() {
        const auto* begin = reinterpret_cast<const unsigned char*>(data());
        const auto* end = begin + count_ * sizeof(T);
        const auto untouched = [](unsigned char byte) { return byte == canary; };
        return std::all_of<const unsigned char*>(bytes_.data(), begin, untouched) &&
               std::all_of<const unsigned char*>(end, bytes_.data() + bytes_.size(), untouched);
    }

private:
    static constexpr std::size_t margin = 128;
    static constexpr unsigned char canary = 0xA5;
    std::size_t count_;
    std::vector<unsigned char> bytes_;
};

using Floats = Guarded<float>;
using Halves = Guarded<bfloat16>;

// A tile of bf16 drawn as integers of [lowest, highest] / divisor, a power of two.
inline std::vector<bfloat16> integer_tile(unsigned seed, int lowest, int highest, float divisor = 1.0F) {
    std::mt19937 engine(seed);
    std::uniform_int_distribution<int> integer(lowest, highest);
    std::vector<bfloat16> values(tile_size);
    std::generate(values.begin(), values.end(),
                  [&] { return exactly(static_cast<float>(integer(engine)) / divisor); });
    return values;
}

inline std::vector<bfloat16> normal_tile(unsigned seed, float deviation = 1.0F) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0.0F, deviation);
    std::vector<bfloat16> values(tile_size);
    std::generate(values.begin(), values.end(), [&] { return nearest(normal(engine)); });
    return values;
}

inline std::vector<float> normal_floats(unsigned seed, std::size_t count, float deviation = 1.0F) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0.0F, deviation);
    std::vector<float> values(count);
    std::generate(values.begin(), values.end(), [&] { return normal(engine); });
    return values;
}

// How stores rounded: the mean of (stored - exact) in steps of bf16, and the largest distance. To nearest
// even the mean is near 0 and the distance at most a half; under floor, near -1/2 and at most 1, and never
// above.
struct StoreStatistics {
    double sum = 0;
    double largest = -1e300;
    double smallest = 1e300;
    int count = 0;

    void add(bfloat16 stored, double exact) {
        const double steps = (static_cast<double>(value_of(stored)) - exact) / step_at(exact);
        sum += steps;
        largest = std::max(largest, steps);
        smallest = std::min(smallest, steps);
        ++count;
    }
    double mean() const { return sum / count; }

    // `slack`: the error before the store, in steps.
    bool looks_even(double slack) const {
        return std::abs(mean()) < 0.05 && largest <= 0.5 + slack && smallest >= -0.5 - slack;
    }
    bool looks_floored(double slack) const {
        return std::abs(mean() + 0.5) < 0.05 && largest <= slack && smallest >= -1 - slack;
    }
};

}  // namespace kernels::aie2_test
