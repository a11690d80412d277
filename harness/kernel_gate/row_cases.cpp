// The kernels of whole rows: layer_norm_rows, gelu, bias_scale.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

// What a kernel may lose before its last rounding: kernels.h, and layer_norm.cc for a row of so many columns.
constexpr double gelu_error = 0x1p-11;
constexpr double gelu_floor = 0x1p-8;
constexpr double norm_error(int columns) {
    return (columns / 16 + 8) * 0x1p-23;
}
constexpr double sum_error = 0x1p-22;

struct Rows {
    int rows, columns;
};

// Rows about `mean`, each a little farther from zero than the one before.
std::vector<double> rows_about(Rows shape, double mean, double deviation) {
    Random random(static_cast<std::uint64_t>(shape.columns));
    std::vector<double> x = random.normals(shape.rows * shape.columns, deviation, Type::f32);
    for (std::size_t i = 0; i < x.size(); ++i) {
        const auto row = static_cast<double>(i / static_cast<std::size_t>(shape.columns));
        x[i] = exact_in(Type::f32, x[i] + mean + deviation * row / 2);
    }
    return x;
}

void expect_norm(std::span<const double> x, const std::vector<double>& gamma, const std::vector<double>& beta,
                 Expectation& into) {
    const auto columns = static_cast<double>(x.size());
    double mean = 0;
    double magnitude = 0;
    double variance = 0;
    for (const double value : x) {
        mean += value / columns;
        magnitude += std::abs(value) / columns;
    }
    for (const double value : x) {
        variance += (value - mean) * (value - mean) / columns;
    }
    const double deviation = std::sqrt(variance + 1e-5);
    const double error = norm_error(static_cast<int>(x.size())) * (1 + magnitude / deviation);
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double normalised = (x[i] - mean) / deviation;
        into.add(normalised * gamma[i] + beta[i],
                 error * (std::abs(gamma[i]) * (1 + std::abs(normalised)) + std::abs(beta[i])));
    }
}

TileCase layer_norm_case(std::string name, Rows shape, const std::vector<double>& x, Rounding rounding) {
    const auto [rows, columns] = shape;
    Random random(static_cast<std::uint64_t>(columns + 1));
    const std::vector<double> gamma = random.normals(columns, 1, Type::bf16);
    const std::vector<double> beta = random.normals(columns, 1, Type::bf16);
    Expectation expected;
    for (int row = 0; row < rows; ++row) {
        const auto length = static_cast<std::size_t>(columns);
        expect_norm(std::span(x).subspan(static_cast<std::size_t>(row) * length, length), gamma, beta,
                    expected);
    }
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"x", Type::f32, Use::in, rows, columns, {}, x, {}},
                    {"gamma", Type::bf16, Use::in, 1, columns, {}, gamma, {}},
                    {"beta", Type::bf16, Use::in, 1, columns, {}, beta, {}},
                    {"out", Type::bf16, Use::out, rows, columns, {}, {}, {}}};
    one.call = [rows = shape.rows, columns = shape.columns](void* function, void* const* p) {
        using Function = void(const void*, const void*, const void*, int, int, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], p[2], rows, columns, p[3]);
    };
    one.rounding = rounding;
    return expecting(std::move(one), std::move(expected));
}

std::vector<TileCase> layer_norm_cases(Rounding rounding) {
    std::vector<TileCase> cases;
    for (const Rows shape : {Rows{5, 512}, Rows{1, 384}, Rows{3, 1280}, Rows{64, 16}, Rows{5, 48},
                             Rows{7, 112}, Rows{2, 768}, Rows{2, 1024}}) {
        cases.push_back(layer_norm_case(fmt::format("{} x {}", shape.rows, shape.columns), shape,
                                        rows_about(shape, 0, 3), rounding));
    }
    const Rows shape{4, 512};
    const auto add = [&](std::string name, const std::vector<double>& x) {
        cases.push_back(layer_norm_case(std::move(name), shape, x, rounding));
    };
    add("deviation 0.001", rows_about(shape, 0.01, 0.001));
    add("mean 300, deviation 1", rows_about(shape, 300, 1));
    add("large numbers", rows_about(shape, 1e4, 1e6));
    const std::vector<double> constants{0, 1.7, -300.3, 0.001};
    std::vector<double> x;
    for (const double value : constants) {
        x.insert(x.end(), static_cast<std::size_t>(shape.columns), exact_in(Type::f32, value));
    }
    add("constant rows", x);
    x = rows_about(shape, 0, 3);
    x[600] = not_a_number;
    add("NaN in a row", x);
    return cases;
}

TileCase gelu_case(std::string name, const std::vector<double>& x, Rounding rounding) {
    Expectation expected;
    for (const double value : x) {
        const double exact = 0.5 * value * std::erfc(-value / std::numbers::sqrt2);
        // The contract says nothing of -infinity, which is 0 in the limit and NaN by the formula.
        const bool unsaid = value == -infinity;
        expected.add(exact, unsaid ? infinity : gelu_error * std::max(gelu_floor, std::abs(exact)));
    }
    const int count = static_cast<int>(x.size());
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"x", Type::f32, Use::in, 1, count, {}, x, {}},
                    {"out", Type::bf16, Use::out, 1, count, {}, {}, {}}};
    one.call = [count](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, int, void*)>(function)(p[0], count, p[1]);
    };
    one.rounding = rounding;
    return expecting(std::move(one), std::move(expected));
}

std::vector<TileCase> gelu_cases(Rounding rounding) {
    Random random(5);
    std::vector<double> ladder;
    std::vector<double> near_zero;
    for (int i = -1024; i < 1024; ++i) {
        ladder.push_back(i / 128.0);
        near_zero.push_back(i / 16384.0);
    }
    std::vector<TileCase> cases{gelu_case("-8 to 8", ladder, rounding),
                                gelu_case("-1/16 to 1/16", near_zero, rounding),
                                gelu_case("random data", random.normals(4096, 3, Type::f32), rounding),
                                gelu_case("16 large values", random.normals(16, 100, Type::f32), rounding)};
    for (const int count : {16, 32, 48, 80, 112}) {
        cases.push_back(
            gelu_case(fmt::format("count {}", count), random.normals(count, 2, Type::f32), rounding));
    }
    std::vector<double> special = random.normals(64, 3, Type::f32);
    std::ranges::copy(special_values(Type::f32), special.begin() + 9);
    cases.push_back(gelu_case("special values", special, rounding));
    return cases;
}

enum class Sums : std::uint8_t { rounded, exact };

struct BiasScale {
    Rows shape;
    float scale;
    std::vector<double> x, bias;
    Sums sums = Sums::rounded;  // of x + bias in fp32
};

TileCase bias_scale_case(std::string name, const BiasScale& in, Rounding rounding) {
    const auto [rows, columns] = in.shape;
    const auto wide = static_cast<double>(in.scale);
    Expectation expected;
    for (std::size_t i = 0; i < in.x.size(); ++i) {
        const double b = in.bias[i % in.bias.size()];
        const double sum = in.x[i] + b;
        const bool exact = in.sums == Sums::exact || !std::isfinite(sum);
        expected.add(wide * sum, exact ? 0 : wide * sum_error * (std::abs(in.x[i]) + std::abs(b)));
    }
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"x", Type::f32, Use::in, rows, columns, {}, in.x, {}},
                    {"bias", Type::bf16, Use::in, 1, columns, {}, in.bias, {}},
                    {"out", Type::bf16, Use::out, rows, columns, {}, {}, {}}};
    one.call = [shape = in.shape, scale = in.scale](void* function, void* const* p) {
        using Function = void(const void*, const void*, float, int, int, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], scale, shape.rows, shape.columns, p[2]);
    };
    one.rounding = rounding;
    return expecting(std::move(one), std::move(expected));
}

// Sums of 256 to 511 of either sign, which bf16 holds in steps of two: every odd one is a tie. And zeros.
BiasScale ties(float scale) {
    Random random(6);
    BiasScale in{
        {4, 64}, scale, random.integers(4 * tile, 156, 255), random.integers(tile, 100, 255), Sums::exact};
    for (std::size_t i = 0; i < in.x.size(); ++i) {
        const std::size_t column = i % tile;
        in.bias[column] = i < tile && column % 2 == 1 ? -in.bias[column] : in.bias[column];
        in.x[i] = i / tile == 2 ? -in.bias[column] : std::copysign(in.x[i], in.bias[column]);
    }
    return in;
}

std::vector<TileCase> bias_scale_cases(Rounding rounding) {
    std::vector<TileCase> cases;
    const auto random_case = [](Rows shape, float scale) {
        Random random(static_cast<std::uint64_t>(shape.rows * shape.columns));
        std::vector<double> x = random.normals(shape.rows * shape.columns, 3, Type::f32);
        return BiasScale{shape, scale, std::move(x), random.normals(shape.columns, 3, Type::bf16)};
    };
    const auto add = [&](Rows shape, float scale) {
        cases.push_back(bias_scale_case(fmt::format("{} x {}, scale {}", shape.rows, shape.columns, scale),
                                        random_case(shape, scale), rounding));
    };
    add({5, 512}, 1);
    add({1, 16}, 1);
    add({64, 64}, 0.125F);
    for (const int columns : {16, 32, 48, 80, 112, 128}) {
        add({2, columns}, 0.25F);
    }
    for (const float scale : {1.0F, 0.125F}) {
        cases.push_back(
            bias_scale_case(fmt::format("ties and zeros, scale {}", scale), ties(scale), rounding));
        BiasScale special = random_case({3, 48}, scale);
        std::ranges::copy(special_values(Type::f32), special.x.begin() + 50);
        cases.push_back(bias_scale_case(fmt::format("special values, scale {}", scale), special, rounding));
    }
    return cases;
}

}  // namespace

std::vector<TileCase> row_cases(std::string_view role) {
    const auto [stem, rounding] = split_role(role);
    if (!rounding) {
        return {};
    }
    if (stem == "layer_norm_rows") {
        return layer_norm_cases(*rounding);
    }
    if (stem == "gelu") {
        return gelu_cases(*rounding);
    }
    return stem == "bias_scale" ? bias_scale_cases(*rounding) : std::vector<TileCase>();
}

}  // namespace harness::kernel_gate
