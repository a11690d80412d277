// Layer norm of rows and GELU, by the chain kernels on every vector target of this CPU and by the modules of
// the core's own kernels at every level: within the declared error of fp64, one set of bits for all targets,
// stores by their law, nothing written outside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>

#include "kernels/kernel_module.hpp"
#include "kernels/tile_model_test.hpp"

namespace kernels {
namespace {

using model::Bits;
using model::Floats;
using model::Guarded;
using model::infinity;
using model::not_a_number;
using model::to_float;

constexpr Store core_stores[] = {Store::bf16_nearest_even, Store::bf16_floor};

std::size_t index(int row, int columns, int column) {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
           static_cast<std::size_t>(column);
}

Floats normal_floats(unsigned seed, std::size_t count, float mean, float deviation) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(mean, deviation);
    Floats values(count);
    std::ranges::generate(values, [&] { return normal(engine); });
    return values;
}

Bits as_bf16(const Floats& values) {
    Bits bits;
    std::ranges::transform(values, std::back_inserter(bits),
                           [](float value) { return model::to_bf16(value, Store::bf16_nearest_even); });
    return bits;
}

// Rows that differ: plain, one offset far from its spread, tiny, huge, constant, one with an outlier.
struct Rows {
    int columns;
    Floats x;
    Bits gain, bias;

    static constexpr int count = 6;

    explicit Rows(int width) : columns(width) {
        const auto size = static_cast<std::size_t>(width);
        const float means[] = {0, 8, 0, 1000, 2.5F, 0};
        const float deviations[] = {1, 1, 1e-3F, 500, 0, 1};
        for (int row = 0; row < count; ++row) {
            const Floats values =
                normal_floats(static_cast<unsigned>(row), size, means[row], deviations[row]);
            x.insert(x.end(), values.begin(), values.end());
        }
        x[index(5, width, width / 2)] = 300;
        gain = as_bf16(normal_floats(11, size, 1, 0.5F));
        bias = as_bf16(normal_floats(12, size, 0, 0.5F));
    }

    struct Expected {
        double exact;
        double error;  // before the store, as declared
    };
    [[nodiscard]] Expected of(int row, int column) const {
        double mean = 0;
        double magnitude = 0;
        double variance = 0;
        for (int c = 0; c < columns; ++c) {
            mean += double(x[index(row, columns, c)]) / columns;
            magnitude += std::abs(double(x[index(row, columns, c)])) / columns;
        }
        for (int c = 0; c < columns; ++c) {
            variance += std::pow(double(x[index(row, columns, c)]) - mean, 2) / columns;
        }
        const double deviation = std::sqrt(variance + 1e-5);
        const double normalised = (double(x[index(row, columns, column)]) - mean) / deviation;
        const double g = double(to_float(gain[static_cast<std::size_t>(column)]));
        const double b = double(to_float(bias[static_cast<std::size_t>(column)]));
        const double relative = (columns / 16 + 8) * 0x1p-23 * (1 + magnitude / deviation);
        return {normalised * g + b, relative * (std::abs(g) * (1 + std::abs(normalised)) + std::abs(b))};
    }
};

// Half a unit of bf16 for the nearest; a whole one, below only, for floor.
void expect_stored(float got, double exact, double error, Store store) {
    const double unit = std::ldexp(1, std::max(std::ilogb(std::abs(exact) + error), -126) - 7);
    if (store == Store::bf16_nearest_even) {
        ASSERT_NEAR(double(got), exact, error + unit / 2);
        return;
    }
    ASSERT_LE(double(got), exact + error);
    ASSERT_GE(double(got), exact - error - unit);
}

void check_layer_norm(const KernelTable& table) {
    for (const int columns : {16, 64, 384, 512, 1280}) {
        const Rows rows(columns);
        for (const Store store : core_stores) {
            Guarded<std::uint16_t> out(rows.x.size());
            table.reset();
            table.layer_norm(rows.x.data(), rows.gain.data(), rows.bias.data(), Rows::count, columns, store,
                             out.data());
            EXPECT_TRUE(out.intact());
            for (int row = 0; row < Rows::count; ++row) {
                for (int column = 0; column<columns; column += columns> 64 ? 7 : 1) {
                    const auto [exact, error] = rows.of(row, column);
                    SCOPED_TRACE(row);
                    expect_stored(to_float(out.data()[index(row, columns, column)]), exact, error, store);
                }
            }
        }
    }
}

double exact_gelu(double x) {
    return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

// A ladder over [-9, 9] that hits the seams of the pieces and both of their neighbours, and random values.
Floats gelu_arguments() {
    Floats x;
    for (int i = -9 * 512; i <= 9 * 512; ++i) {
        x.push_back(float(i) / 512);
    }
    for (const float seam : {1.5F, 3.25F, 5.0F}) {
        for (const float sign : {1.0F, -1.0F}) {
            x.push_back(sign * std::nextafter(seam, 0.0F));
            x.push_back(sign * std::nextafter(seam, infinity));
        }
    }
    const Floats random = normal_floats(3, 4096, 0, 3);
    x.insert(x.end(), random.begin(), random.end());
    x.resize((x.size() + 15) / 16 * 16, 0.25F);
    return x;
}

// 2^-11.4, of max(|GELU(x)|, 2^-8).
const double gelu_error = std::exp2(-11.4);
constexpr double gelu_floor = 0x1p-8;

void check_gelu(const KernelTable& table) {
    const Floats x = gelu_arguments();
    for (const Store store : core_stores) {
        Guarded<std::uint16_t> out(x.size());
        table.reset();
        table.gelu(x.data(), int(x.size()), store, out.data());
        EXPECT_TRUE(out.intact());
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double exact = exact_gelu(double(x[i]));
            SCOPED_TRACE(x[i]);
            expect_stored(to_float(out.data()[i]), exact, gelu_error * std::max(std::abs(exact), gelu_floor),
                          store);
        }
    }
}

void check_specials(const KernelTable& table) {
    Floats x(16, 0.0F);
    x[1] = infinity;
    x[2] = -infinity;
    x[3] = not_a_number;
    Bits out(16);
    table.reset();
    table.gelu(x.data(), 16, Store::bf16_nearest_even, out.data());
    EXPECT_EQ(out[0], 0);
    EXPECT_EQ(to_float(out[1]), infinity);
    EXPECT_EQ(to_float(out[2]), 0.0F);
    EXPECT_TRUE(std::isnan(to_float(out[3])));

    // A NaN spoils its own row only.
    Rows rows(64);
    rows.x[70] = not_a_number;
    Bits normed(rows.x.size());
    table.layer_norm(rows.x.data(), rows.gain.data(), rows.bias.data(), Rows::count, 64,
                     Store::bf16_nearest_even, normed.data());
    for (std::size_t i = 0; i < normed.size(); ++i) {
        EXPECT_EQ(std::isnan(to_float(normed[i])), i / 64 == 1) << i;
    }
}

using BlockKernels = model::EveryTarget;
INSTANTIATE_TEST_SUITE_P(Targets, BlockKernels, testing::ValuesIn(model::targets_of_this_cpu()),
                         model::target_name);

TEST_P(BlockKernels, LayerNormIsWithinItsErrorOfFp64) {
    check_layer_norm(kernels());
}

TEST_P(BlockKernels, GeluIsWithinItsErrorOfFp64) {
    check_gelu(kernels());
}

TEST_P(BlockKernels, SpecialValuesStayWhereTheyAre) {
    check_specials(kernels());
}

TEST_P(BlockKernels, RefusesToStoreFloats) {
    const Floats x(64, 1.0F);
    const Bits weights(64, 0x3F80);
    Bits out(64);
    EXPECT_THROW(kernels().gelu(x.data(), 64, Store::f32, out.data()), std::invalid_argument);
    EXPECT_THROW(
        kernels().layer_norm(x.data(), weights.data(), weights.data(), 1, 64, Store::f32, out.data()),
        std::invalid_argument);
}

// Sums in another order, or a fused multiply-add on one target, would show in the cut stores.
TEST_P(BlockKernels, TheBitsAreThoseOfEveryTarget) {
    const Rows rows(512);
    const Floats x = gelu_arguments();
    const auto run = [&](const KernelTable& table) {
        Bits out(rows.x.size());
        Bits gelu(x.size());
        table.layer_norm(rows.x.data(), rows.gain.data(), rows.bias.data(), Rows::count, 512,
                         Store::bf16_toward_zero, out.data());
        table.gelu(x.data(), int(x.size()), Store::bf16_toward_zero, gelu.data());
        out.insert(out.end(), gelu.begin(), gelu.end());
        return out;
    };
    const Bits got = run(kernels());
    hwy::SetSupportedTargetsForTest(model::targets_of_this_cpu().front());
    EXPECT_EQ(got, run(tile_kernels()));
}

TEST(BlockModule, EveryLevelIsWithinItsErrorOfFp64) {
    for (const std::string_view level : x86_64_levels()) {
        SCOPED_TRACE(level);
        const KernelModule module(module_file(level));
        check_layer_norm(module.table());
        check_gelu(module.table());
        check_specials(module.table());
    }
}

TEST(BlockModule, RefusesRowsAndStoresThatTheCoreDoesNotHave) {
    const KernelTable table = aie2_module().table();
    const Floats x(4112, 1.0F);
    const Bits weights(4112, 0x3F80);
    Bits out(4112);
    EXPECT_THROW(table.gelu(x.data(), 16, Store::bf16_toward_zero, out.data()), std::invalid_argument);
    EXPECT_THROW(table.layer_norm(x.data(), weights.data(), weights.data(), 1, 64, Store::f32, out.data()),
                 std::invalid_argument);
    EXPECT_THROW(
        table.layer_norm(x.data(), weights.data(), weights.data(), 1, 4112, Store::bf16_floor, out.data()),
        std::invalid_argument);
}

}  // namespace
}  // namespace kernels
