#include "npu_impl/matmul.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "datasets/bf16.hpp"
#include "npu_impl/plain_layer_test.hpp"

namespace npu_impl {
namespace {

using testing::at;
using testing::RecordingDevice;

struct Integers {
    std::vector<float> left, right, bias, expected;
};

// Small integers: every operand is exact in bf16, every sum in fp32.
Integers integers(const MatmulCase& product, unsigned seed, std::int64_t high) {
    const auto& [rows, reduction, columns] = product.shape;
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> pick(-static_cast<int>(high), static_cast<int>(high));
    const auto fill = [&](std::int64_t count) {
        std::vector<float> values(at(count));
        for (float& value : values) {
            value = float(pick(random));
        }
        return values;
    };
    Integers data{fill(rows * reduction), fill(reduction * columns), fill(columns), {}};
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
            auto sum = std::int64_t(data.bias[at(j)]);
            for (std::int64_t k = 0; k < reduction; ++k) {
                const std::int64_t index =
                    product.layout == kernels::Right::k_by_n ? k * columns + j : j * reduction + k;
                sum += std::int64_t(data.left[at(i * reduction + k)]) * std::int64_t(data.right[at(index)]);
            }
            data.expected.push_back(float(sum) * product.scale);
        }
    }
    return data;
}

void expect_exact(const MatmulCase& product, unsigned seed, std::int64_t high, std::string_view design) {
    SCOPED_TRACE(
        fmt::format("{} x {} x {}", product.shape.rows, product.shape.reduction, product.shape.columns));
    const Integers data = integers(product, seed, high);
    EmulatedDevice device(kernels::tile_kernels());
    Matmul matmul(device, *find_design(design), product);
    matmul.load_right(data.right, data.bias);
    std::vector<float> out(data.expected.size(), -1);
    matmul.compute(data.left, out);
    ASSERT_EQ(out, data.expected);
}

TEST(Matmul, IsExactOnIntegersForRaggedSizes) {
    unsigned seed = 0;
    for (const std::int64_t rows : {1, 63, 64, 65, 127}) {
        for (const std::int64_t columns : {1, 63, 65, 127}) {
            for (const std::int64_t reduction : {1, 64, 65, 127}) {
                const auto layout = ++seed % 2 == 0 ? kernels::Right::k_by_n : kernels::Right::n_by_k;
                expect_exact({{rows, reduction, columns}, datasets::Op::output, layout, 1}, seed, 100,
                             "unfused");
            }
        }
    }
    expect_exact({{1499, 65, 130}, datasets::Op::output, kernels::Right::k_by_n, 0.125F}, 1, 100, "unfused");
    expect_exact({{70, 3001, 66}, datasets::Op::output, kernels::Right::n_by_k, 1}, 2, 50, "tile64_batch");
    for (const char* name : {"tile64", "gemm_array_rerounded", "tile64,attention_fused"}) {
        expect_exact({{130, 200, 70}, datasets::Op::output, kernels::Right::k_by_n, 0.5F}, 5, 100, name);
        expect_exact({{65, 129, 130}, datasets::Op::query, kernels::Right::n_by_k, 1}, 6, 1, name);
    }
    expect_exact({{66, 70, 1500}, datasets::Op::scores, kernels::Right::k_by_n, 0.5F}, 3, 100, "unfused");
}

TEST(Matmul, IsExactOnRandomShapes) {
    std::mt19937 random(7);
    std::uniform_int_distribution<std::int64_t> size(1, 200);
    for (unsigned i = 0; i < 40; ++i) {
        const auto layout = i % 2 == 0 ? kernels::Right::k_by_n : kernels::Right::n_by_k;
        expect_exact({{size(random), size(random), size(random)}, datasets::Op::output, layout, 1}, i, 100,
                     i % 3 == 0 ? "tile64_batch" : "fused");
    }
}

// bf16 integers up to 256 are exact: sums this small survive the store.
TEST(Matmul, StoresBf16WhereTheDesignSaysSo) {
    expect_exact({{65, 16, 70}, datasets::Op::query, kernels::Right::n_by_k, 1}, 4, 3, "unfused");
}

TEST(Matmul, RoundsOperandsAsDeclared) {
    EmulatedDevice device(kernels::tile_kernels());
    for (const auto rounding :
         {datasets::Rounding::nearest_even, datasets::Rounding::toward_zero, datasets::Rounding::floor}) {
        Design design = *find_design("unfused");
        for (datasets::Arithmetic& arithmetic : design.arithmetic) {
            arithmetic.operand_rounding = rounding;
        }
        Matmul matmul(device, design, {{1, 1, 1}});
        const float value = -1.0078F;
        matmul.load_right(std::vector{1.0F}, {});
        std::vector<float> out(1);
        matmul.compute(std::vector{value}, out);
        EXPECT_EQ(out[0], datasets::round_to_bf16(value, rounding));
    }
}

TEST(Matmul, AllocatesOnceAndLaunchesAsPlanned) {
    RecordingDevice device;
    {
        Matmul matmul(device, *find_design("tile64_batch"), {{130, 70, 200}});
        const std::vector<float> right(70 * 200, 1.0F);
        const std::vector<float> left(130 * 70, 1.0F);
        std::vector<float> out(130 * 200);
        EXPECT_EQ(device.allocations, 4);
        EXPECT_THROW(matmul.compute(left, out), std::logic_error);
        matmul.load_right(right, {});
        for (int i = 0; i < 3; ++i) {
            const Counters before = device.counters();
            matmul.compute(left, out);
            EXPECT_EQ(device.counters().launches - before.launches,
                      std::int64_t(matmul.plan().launches.size()));
            EXPECT_EQ(device.counters().tiles - before.tiles, matmul.plan().tiles());
        }
        EXPECT_EQ(device.allocations, 4);
        EXPECT_EQ(out, std::vector<float>(out.size(), 70));
        EXPECT_THROW(matmul.compute(right, out), std::invalid_argument);
        EXPECT_THROW(matmul.load_right(left, {}), std::invalid_argument);
    }
    EXPECT_EQ(device.releases, 4);
    EXPECT_THROW(Matmul(device, *find_design("fused"), {{1, 1, 1}, datasets::Op::context}),
                 std::invalid_argument);
}

TEST(Matmul, AnIdleCoreLeavesNaN) {
    RecordingDevice device;
    device.edit = [](Launch& launch) {
        std::erase_if(launch.jobs, [](const Job& job) { return job.core == 1; });
    };
    Matmul matmul(device, *find_design("unfused"), {{64, 64, 128}});
    matmul.load_right(std::vector<float>(64 * 128, 1.0F), {});
    std::vector<float> out(64 * 128);
    matmul.compute(std::vector<float>(64 * 64, 1.0F), out);
    EXPECT_EQ(out[0], 64);
    EXPECT_TRUE(std::isnan(out[64]));
}

}  // namespace
}  // namespace npu_impl
