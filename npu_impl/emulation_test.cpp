// Exact and fast emulation: what each computes, and which jobs a fast one computes exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "kernels/kernel_module.hpp"
#include "npu_impl/chain_layer_test.hpp"
#include "npu_impl/layer_plan.hpp"
#include "npu_impl/npu_path.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using datasets::Emulation;

EmulatedDevice open(Emulation emulation) {
    return EmulatedDevice({kernels::aie2_module().table(), kernels::tile_kernels(), emulation});
}

// One step on the upstream of `upstream`.
std::vector<float> run_alone(Device& device, const Design& design, const LayerCase& layer, Op op,
                             const Tensors& upstream) {
    NpuPath path(device, design);
    const TensorSource source(layer.shape, upstream);
    KeepingSink sink(layer.shape);
    path.prepare(layer)->compute({{op, op}, -1}, source, sink);
    return sink.tensors.at(op);
}

// Property: on the exact device every product of every design is, bit for bit, what the integer model of the
// VMAC gives, from operand rounding and padding to the store; and a fast device gives the same where it
// stores fp32.
TEST(ExactEmulation, EqualsTheIntegerModelOfTheVmac) {
    constexpr std::array products{Op::query, Op::key, Op::value, Op::scores, Op::context, Op::output};
    EmulatedDevice exact = open(Emulation::exact);
    EmulatedDevice fast = open(Emulation::fast);
    for (const char* name :
         {"gemm_array", "gemm_array_floor", "gemm_array_rerounded", "tile64", "legacy_tile64"}) {
        const Design& design = *find_design(name);
        const LayerCase layer = random_layer({73, 2}, 77, 3);
        const ChainLayer expected(layer, design, Emulation::exact);
        for (const Op op : products) {
            const std::vector<float>& want = expected.tensors.at(op);
            EXPECT_EQ(run_alone(exact, design, layer, op, expected.tensors), want)
                << name << " " << datasets::name(op);
            if (tile_output(design.arithmetic_of(op)).store == kernels::Store::f32) {
                EXPECT_EQ(run_alone(fast, design, layer, op, expected.tensors), want)
                    << name << " " << datasets::name(op);
            }
        }
    }
}

TEST(FastEmulation, DiffersFromTheExactOneButOnTheSample) {
    const Design& design = *find_design("gemm_array");
    const LayerCase layer = random_layer({400, 2}, 78, 3);
    const ChainLayer vmacs(layer, design, Emulation::exact);
    const ChainLayer chains(layer, design, Emulation::fast);
    EmulatedDevice fast = open(Emulation::fast);
    const std::vector<float> got = run_alone(fast, design, layer, Op::query, vmacs.tensors);
    const std::vector<float>& exact = vmacs.tensors.at(Op::query);
    const std::vector<float>& chain = chains.tensors.at(Op::query);
    const std::size_t last_block = at(6 * 64 * layer.shape.width());
    EXPECT_TRUE(std::equal(got.begin() + std::ptrdiff_t(last_block), got.end(),
                           exact.begin() + std::ptrdiff_t(last_block)));
    EXPECT_NE(exact, chain);
    for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(got[i] == exact[i] || got[i] == chain[i]) << i;
    }
}

TEST(FastEmulation, SamplesEveryCoreAndTheRaggedEdge) {
    const LayerBuffers no_buffers = [] {
        LayerBuffers buffers;
        buffers.tensor.fill(Buffer{0});
        buffers.weight.fill(Buffer{0});
        buffers.bias.fill(Buffer{0});
        buffers.partial = Buffer{0};
        return buffers;
    }();
    for (const Design* design : attention_designs()) {
        const LayerPlan plan = plan_layer(*design, {500, 8}, {0, 8});
        for (const StepPlan& step : plan.steps) {
            std::set<int> cores;
            bool last_row = false;
            std::int64_t sampled = 0;
            for (std::int64_t wave = 0; wave < step.tiles.waves(); ++wave) {
                std::vector<Launch> launches = bind(plan, step, wave, no_buffers);
                mark_sample(plan, step, wave, launches);
                for (std::size_t i = 0; i < launches.size(); ++i) {
                    for (std::size_t j = 0; j < launches[i].jobs.size(); ++j) {
                        const Slot& slot = step.tiles.launches_of(wave)[i].slots[j];
                        if (launches[i].jobs[j].sampled) {
                            ++sampled;
                            cores.insert(slot.core);
                            last_row = last_row || slot.row == step.tiles.rows.tiles() - 1;
                        }
                    }
                }
            }
            const bool norm = step.tiles.kernel.function == KernelFunction::norm;
            EXPECT_EQ(cores.size(), norm ? 8U : std::size_t(step.tiles.cores)) << design->name;
            EXPECT_TRUE(last_row) << design->name;
            EXPECT_GT(sampled, 0);
        }
    }
}

TEST(Emulation, IsDeclaredWhereItMatters) {
    EmulatedDevice fast = open(Emulation::fast);
    EmulatedDevice exact = open(Emulation::exact);
    EXPECT_EQ(NpuPath(fast, *find_design("unfused")).arithmetic(Op::query).emulation, Emulation::fast);
    EXPECT_EQ(NpuPath(exact, *find_design("unfused")).arithmetic(Op::query).emulation, Emulation::exact);
    // A scalar kernel's chain of additions is computed as it is by both.
    EXPECT_EQ(NpuPath(fast, *find_design("legacy_tile64")).arithmetic(Op::query).emulation, Emulation::exact);
}

}  // namespace
}  // namespace npu_impl
