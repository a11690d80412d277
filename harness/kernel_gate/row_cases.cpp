// The kernels of whole rows: layer_norm_rows, gelu, bias_scale.
#include <fmt/format.h>

#include <cmath>
#include <numbers>

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

TileCase with(TileCase one, Expectation expected, Rounding rounding) {
    one.expect = [expected = std::move(expected)](const Results&) { return std::vector{expected}; };
    one.rounding = rounding;
    return one;
}

void expect(Expectation& into, double value, double error, Rounding rounding) {
    into.value.push_back(value);
    into.bound.push_back(error + store_error(std::abs(value) + error, rounding));
}

TileCase layer_norm_case(int rows, int columns, Rounding rounding) {
    Random random(static_cast<std::uint64_t>(columns));
    std::vector<double> x = random.normals(rows * columns, 3, Type::f32);
    const std::vector<double> gamma = random.normals(columns, 1, Type::bf16);
    const std::vector<double> beta = random.normals(columns, 1, Type::bf16);
    Expectation expected;
    for (int row = 0; row < rows; ++row) {
        double* values = x.data() + row * columns;
        double mean = 0;
        double magnitude = 0;
        double variance = 0;
        for (int i = 0; i < columns; ++i) {
            values[i] = exact_in(Type::f32, values[i] + 2.0 * row);
            mean += values[i] / columns;
            magnitude += std::abs(values[i]) / columns;
        }
        for (int i = 0; i < columns; ++i) {
            variance += (values[i] - mean) * (values[i] - mean) / columns;
        }
        const double deviation = std::sqrt(variance + 1e-5);
        const double error = norm_error(columns) * (1 + magnitude / deviation);
        for (int i = 0; i < columns; ++i) {
            const auto column = static_cast<std::size_t>(i);
            const double normalised = (values[i] - mean) / deviation;
            expect(expected, normalised * gamma[column] + beta[column],
                   error * (std::abs(gamma[column]) * (1 + std::abs(normalised)) + std::abs(beta[column])),
                   rounding);
        }
    }
    TileCase one;
    one.name = fmt::format("{} x {}", rows, columns);
    one.operands = {{"x", Type::f32, Use::in, rows, columns, {}, x, {}},
                    {"gamma", Type::bf16, Use::in, 1, columns, {}, gamma, {}},
                    {"beta", Type::bf16, Use::in, 1, columns, {}, beta, {}},
                    {"out", Type::bf16, Use::out, rows, columns, {}, {}, {}}};
    one.call = [rows, columns](void* function, void* const* p) {
        using Function = void(const void*, const void*, const void*, int, int, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], p[2], rows, columns, p[3]);
    };
    return with(std::move(one), std::move(expected), rounding);
}

TileCase gelu_case(std::string name, const std::vector<double>& x, Rounding rounding) {
    Expectation expected;
    for (const double value : x) {
        const double exact = 0.5 * value * std::erfc(-value / std::numbers::sqrt2);
        expect(expected, exact, gelu_error * std::max(gelu_floor, std::abs(exact)), rounding);
    }
    const int count = static_cast<int>(x.size());
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"x", Type::f32, Use::in, 1, count, {}, x, {}},
                    {"out", Type::bf16, Use::out, 1, count, {}, {}, {}}};
    one.call = [count](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, int, void*)>(function)(p[0], count, p[1]);
    };
    return with(std::move(one), std::move(expected), rounding);
}

TileCase bias_scale_case(int rows, int columns, float scale, Rounding rounding) {
    Random random(static_cast<std::uint64_t>(rows * columns));
    const std::vector<double> x = random.normals(rows * columns, 3, Type::f32);
    const std::vector<double> bias = random.normals(columns, 3, Type::bf16);
    Expectation expected;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double b = bias[i % static_cast<std::size_t>(columns)];
        const double wide = static_cast<double>(scale);
        expect(expected, wide * (x[i] + b), wide * sum_error * (std::abs(x[i]) + std::abs(b)), rounding);
    }
    TileCase one;
    one.name = fmt::format("{} x {}, scale {}", rows, columns, scale);
    one.operands = {{"x", Type::f32, Use::in, rows, columns, {}, x, {}},
                    {"bias", Type::bf16, Use::in, 1, columns, {}, bias, {}},
                    {"out", Type::bf16, Use::out, rows, columns, {}, {}, {}}};
    one.call = [rows, columns, scale](void* function, void* const* p) {
        using Function = void(const void*, const void*, float, int, int, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], scale, rows, columns, p[2]);
    };
    return with(std::move(one), std::move(expected), rounding);
}

}  // namespace

std::vector<TileCase> row_cases(std::string_view role) {
    const auto [stem, rounding] = split_role(role);
    if (!rounding) {
        return {};
    }
    if (stem == "layer_norm_rows") {
        return {layer_norm_case(5, 512, *rounding), layer_norm_case(1, 384, *rounding),
                layer_norm_case(3, 1280, *rounding)};
    }
    if (stem == "gelu") {
        Random random(5);
        std::vector<double> ladder;
        std::vector<double> near_zero;
        for (int i = -1024; i < 1024; ++i) {
            ladder.push_back(i / 128.0);
            near_zero.push_back(i / 16384.0);
        }
        return {gelu_case("-8 to 8", ladder, *rounding), gelu_case("-1/16 to 1/16", near_zero, *rounding),
                gelu_case("random data", random.normals(4096, 3, Type::f32), *rounding),
                gelu_case("16 large values", random.normals(16, 100, Type::f32), *rounding)};
    }
    if (stem == "bias_scale") {
        return {bias_scale_case(5, 512, 1, *rounding), bias_scale_case(1, 16, 1, *rounding),
                bias_scale_case(64, 64, 0.125F, *rounding)};
    }
    return {};
}

}  // namespace harness::kernel_gate
