// Exact and fast emulation: what each computes, and which jobs a fast one computes exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "kernels/kernel_module.hpp"
#include "npu_impl/chain_layer_test.hpp"
#include "npu_impl/layer_plan.hpp"
#include "npu_impl/npu_path.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using datasets::attention_ops;
using datasets::Emulation;

constexpr std::int64_t side = kernels::tile;

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

// A fast device whose exact products all come out as `mark`, and how often they did.
struct MarkedDevice {
    static constexpr float mark = 1;
    std::atomic<int> stored{0};
    EmulatedDevice device{{marking(), kernels::tile_kernels(), Emulation::fast}};

    kernels::KernelTable marking() {
        kernels::KernelTable table = kernels::aie2_module().table();
        table.finish = [this](const float*, float, kernels::Store store, void* out) {
            ++stored;
            for (std::size_t i = 0; i < 64 * 64; ++i) {
                if (store == kernels::Store::f32) {
                    static_cast<float*>(out)[i] = mark;
                } else {
                    static_cast<std::uint16_t*>(out)[i] = 0x3F80;
                }
            }
        };
        return table;
    }
};

// Property: in a chained run that somebody sees, as in a step alone, the exact kernels make all of what is
// stored as fp32, and elsewhere the first tile of every core and the last row block.
TEST(FastEmulation, ComputesTheSampleExactlyInAChainToo) {
    const Design& design = *find_design("unfused");
    const LayerCase layer = random_layer({500, 8}, 79, 3);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    MarkedDevice marked;
    NpuPath path(marked.device, design);
    const auto prepared = path.prepare(layer);
    KeepingSink sink(layer.shape);
    prepared->compute({attention_ops, -1}, source, sink);
    const auto share = [&](Op op) {
        const std::vector<float>& values = sink.tensors.at(op);
        return static_cast<double>(std::ranges::count(values, MarkedDevice::mark)) /
               static_cast<double>(values.size());
    };
    EXPECT_EQ(share(Op::scores), 1);
    EXPECT_EQ(share(Op::output), 1);
    for (const Op op : {Op::query, Op::key, Op::value, Op::context}) {
        EXPECT_LT(share(op), 0.6) << datasets::name(op);
        std::set<int> cores;
        for (int head = 0; head < layer.shape.heads; ++head) {
            for (std::int64_t row = 0; row < layer.shape.context; row += side) {
                const auto is_marked = [&](std::int64_t column) {
                    return sink.tensors.at(op)[element(op, layer.shape, head, row, column)] ==
                           MarkedDevice::mark;
                };
                // A value that is 1 by itself does not fill a row.
                if (is_marked(0) && is_marked(1) && is_marked(63)) {
                    cores.insert(prepared->locate(op, head, row, 0)->core);
                } else {
                    EXPECT_LT(row, 7 * side) << datasets::name(op) << " head " << head;
                }
            }
        }
        EXPECT_EQ(cores.size(), 16U) << datasets::name(op);
    }
}

// Takes every result and looks at none.
class UnseenSink final : public KeepingSink {
public:
    using KeepingSink::KeepingSink;
    bool looks() const override { return false; }
};

// Property: what is seen of an op does not depend on which others are seen, and nothing is computed exactly
// that nobody sees.
TEST(FastEmulation, ComputesNothingExactlyThatNobodySees) {
    const LayerCase layer = random_layer({200, 2}, 80, 3);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    for (const char* name : {"unfused", "fused", "tile64"}) {
        EmulatedDevice fast = open(Emulation::fast);
        NpuPath path(fast, *find_design(name));
        const auto prepared = path.prepare(layer);
        KeepingSink all(layer.shape);
        prepared->compute({attention_ops, -1}, source, all);
        KeepingSink one(layer.shape, Op::output);
        prepared->compute({attention_ops, -1}, source, one);
        EXPECT_EQ(one.tensors.at(Op::output), all.tensors.at(Op::output)) << name;

        MarkedDevice marked;
        NpuPath unseen(marked.device, *find_design(name));
        datasets::NullSink nobody;
        const auto timed = unseen.prepare(layer);
        timed->compute({attention_ops, -1}, source, nobody);
        timed->compute({{Op::query, Op::query}, -1}, source, nobody);
        UnseenSink unseen_results(layer.shape);
        timed->compute({attention_ops, -1}, source, unseen_results);
        EXPECT_EQ(unseen_results.blocks, all.blocks) << name;
        EXPECT_EQ(marked.stored, 0) << name;
        KeepingSink somebody(layer.shape, Op::output);
        timed->compute({attention_ops, -1}, source, somebody);
        EXPECT_GT(marked.stored, 0) << name;
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
