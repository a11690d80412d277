// Every composition of the manifest, whole layer, against plain loops: bit for bit.
#include <gtest/gtest.h>

#include <cmath>

#include "datasets/case_name_test.hpp"
#include "npu_impl/chain_layer_test.hpp"
#include "npu_impl/host_sum.hpp"
#include "npu_impl/npu_path.hpp"

namespace npu_impl {
namespace {

using namespace testing;

class EveryComposition : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> composition_names() {
    std::vector<std::string> names;
    for (const Design* design : attention_designs()) {
        names.push_back(design->name);
    }
    return names;
}

INSTANTIATE_TEST_SUITE_P(Designs, EveryComposition, ::testing::ValuesIn(composition_names()),
                         datasets::testing::CaseName{});

TEST_P(EveryComposition, ComputesWhatItDeclaresInChainOrder) {
    const Design& design = *find_design(GetParam());
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design);
    for (const std::int64_t context : {1, 63, 64, 65, 127, 250}) {
        const LayerCase layer = random_layer({context, 2}, static_cast<unsigned>(context), 2);
        const Tensors input{{Op::attention_norm, layer.input}};
        const TensorSource source(layer.shape, input);
        KeepingSink sink(layer.shape);
        path.prepare(layer)->compute({datasets::attention_ops, -1}, source, sink);
        const ChainLayer expected(layer, design);
        for (const auto& [op, got] : sink.tensors) {
            const std::vector<float>& want = expected.tensors.at(op);
            ASSERT_EQ(got.size(), want.size());
            const auto pair = std::ranges::mismatch(got, want);
            EXPECT_EQ(pair.in1, got.end())
                << datasets::name(op) << " at T = " << context << ", element " << pair.in1 - got.begin();
        }
        EXPECT_EQ(sink.tensors.size(), attention_steps(path).size());
    }
}

// The designs differ where their declarations do.
TEST(Designs, EachDeclarationHasItsOwnBits) {
    const LayerCase layer = random_layer({130, 2}, 41);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    EmulatedDevice device(kernels::tile_kernels());
    std::vector<Tensors> runs;
    for (const char* name :
         {"gemm_array", "gemm_array_floor", "gemm_array_rerounded", "tile64", "legacy_tile64"}) {
        NpuPath path(device, *find_design(name));
        KeepingSink sink(layer.shape);
        path.prepare(layer)->compute({datasets::attention_ops, -1}, source, sink);
        for (const Tensors& other : runs) {
            EXPECT_NE(other.at(Op::query), sink.tensors.at(Op::query)) << name;
            EXPECT_NE(other.at(Op::context), sink.tensors.at(Op::context)) << name;
        }
        runs.push_back(sink.tensors);
    }
}

// What the harness rounds and packs for the next step is the host's sum, not something that passed through
// the device.
TEST(Designs, TilesSummedByTheHostStayInF32) {
    const LayerCase layer = random_layer({70, 2}, 42);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    EmulatedDevice device(kernels::tile_kernels());
    for (const char* name : {"tile64", "legacy_tile64"}) {
        NpuPath path(device, *find_design(name));
        KeepingSink sink(layer.shape);
        path.prepare(layer)->compute({datasets::attention_ops, -1}, source, sink);
        for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
            const auto& values = sink.tensors.at(op);
            const auto fine = std::ranges::count_if(values, [](float value) {
                return datasets::round_to_bf16(value, datasets::Rounding::toward_zero) != value;
            });
            EXPECT_GT(fine, std::int64_t(values.size()) / 4) << name << " " << datasets::name(op);
        }
    }
}

TEST(HostSum, AddsTilesInOrderThenBiasThenScales) {
    std::vector<float> tiles(3 * 64 * 64, 0.0F);
    tiles[0] = 0x1p24F;
    tiles[64 * 64] = 1;  // lost beside 2^24: rounds to even
    tiles[2 * 64 * 64] = -0x1p24F;
    tiles[65] = 3;
    std::vector<float> bias(64, 0.5F);
    std::vector<float> out(2 * 10, -1.0F);
    const HostMatrix from{reinterpret_cast<std::byte*>(tiles.data()), datasets::DType::f32, 256};
    const HostMatrix into{reinterpret_cast<std::byte*>(out.data()), datasets::DType::f32, 40};
    sum_tiles(from, 3, bias, 4, 2, 9, into);
    EXPECT_EQ(out[0], 2) << "(2^24 + 1 - 2^24 = 0, + 0.5) x 4";
    EXPECT_EQ(out[11], 14);
    EXPECT_EQ(out[8], 2);
    EXPECT_EQ(out[9], -1) << "beyond the columns";
    sum_tiles(from, 3, {}, 1, 1, 1, into);
    EXPECT_EQ(out[0], 0);
}

}  // namespace
}  // namespace npu_impl
