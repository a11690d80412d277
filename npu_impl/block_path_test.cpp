// Norms, MLP and the encoder's end through plan, packing, device and store: bit for bit the kernels called
// directly, within the declared error of fp64, and loud when a launch, a transfer or a layout is wrong.
#include <gmock/gmock.h>
#include <tbb/global_control.h>

#include <bit>
#include <cmath>

#include "datasets/op_weights.hpp"
#include "datasets/case_name_test.hpp"
#include "kernels/kernel_module.hpp"
#include "kernels/tile_model_test.hpp"
#include "npu_impl/layer_plan.hpp"
#include "npu_impl/layer_time.hpp"
#include "npu_impl/npu_path.hpp"
#include "npu_impl/plain_layer_test.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using datasets::Arithmetic;
using datasets::Emulation;
using datasets::OpRange;
using datasets::Part;
using kernels::KernelTable;

constexpr std::int64_t side = 64;
constexpr OpRange mlp_piece{Op::mlp_norm, Op::fc2};
constexpr OpRange attention_piece{Op::attention_norm, Op::output};
constexpr std::array block_steps{Op::attention_norm, Op::mlp_norm, Op::fc1, Op::gelu, Op::fc2, Op::encoder};

bool is_norm(Op op) {
    return op == Op::attention_norm || op == Op::mlp_norm || op == Op::encoder;
}

// A block with weights of every kind, a norm behind it, and every tensor that a step of them reads.
struct Block {
    explicit Block(LayerShape shape, unsigned seed = 1)
        : layer(random_layer(shape, seed)), end{shape, {}}, random(seed + 1000) {
        norm(layer.weights.attention_norm);
        norm(layer.weights.mlp_norm);
        norm(end.norm);
        linear(layer.weights.fc1, shape.mlp_width(), shape.width());
        linear(layer.weights.fc2, shape.width(), shape.mlp_width());
        for (const Op op :
             {Op::embedding, Op::attention_residual, Op::mlp_norm, Op::fc1, Op::gelu, Op::block}) {
            std::vector<float>& tensor = upstream[op];
            tensor.resize(element_count(op, shape));
            fill_normal(tensor, random, 1.5);
            for (std::size_t i = 0; i < tensor.size(); i += 97) {
                tensor[i] *= 8;
            }
        }
    }

    void norm(datasets::Norm& norm) {
        norm.gain.resize(at(layer.shape.width()));
        norm.bias.resize(norm.gain.size());
        fill_normal(norm.gain, random, 1);
        fill_normal(norm.bias, random, 0.5);
    }

    void linear(datasets::Linear& linear, std::int64_t out, std::int64_t in) {
        linear.weight.resize(at(out * in));
        linear.bias.resize(at(out));
        fill_normal(linear.weight, random, 1 / std::sqrt(double(in)));
        fill_normal(linear.bias, random, 0.5);
    }

    [[nodiscard]] const datasets::Norm& norm_of(Op op) const {
        return op == Op::encoder    ? end.norm
               : op == Op::mlp_norm ? layer.weights.mlp_norm
                                    : layer.weights.attention_norm;
    }
    [[nodiscard]] const datasets::Linear& linear_of(Op op) const {
        return *datasets::linear_of(layer.weights, op);
    }
    [[nodiscard]] static Op input_of(Op op) { return datasets::info(op).inputs.front(); }

    LayerCase layer;
    datasets::EndCase end;
    Tensors upstream;

private:
    std::mt19937 random;
};

std::unique_ptr<datasets::PreparedLayer> prepare(NpuPath& path, const Block& block, Op op) {
    return op == Op::encoder ? path.prepare(block.end) : path.prepare(block.layer);
}

// One step on the block's upstream.
std::vector<float> run_alone(Device& device, const Design& design, const Block& block, Op op) {
    NpuPath path(device, design);
    const TensorSource source(block.layer.shape, block.upstream);
    KeepingSink sink(block.layer.shape);
    prepare(path, block, op)->compute({{op, op}, -1}, source, sink);
    EXPECT_EQ(sink.blocks.at(op), block.layer.shape.blocks());
    return sink.tensors.at(op);
}

EmulatedDevice open(Emulation emulation) {
    return EmulatedDevice({kernels::aie2_module().table(), kernels::tile_kernels(), emulation});
}

kernels::Store operand_store(const Arithmetic& arithmetic) {
    return arithmetic.operand_rounding == datasets::Rounding::nearest_even ? kernels::Store::bf16_nearest_even
                                                                           : kernels::Store::bf16_toward_zero;
}

std::vector<std::uint16_t> operands(const std::vector<float>& values, const Arithmetic& arithmetic) {
    std::vector<std::uint16_t> bits;
    for (const float value : values) {
        bits.push_back(kernels::model::to_bf16(value, operand_store(arithmetic)));
    }
    return bits;
}

std::vector<float> as_floats(const std::vector<std::uint16_t>& bits) {
    std::vector<float> values;
    for (const std::uint16_t value : bits) {
        values.push_back(kernels::model::to_float(value));
    }
    return values;
}

// The kernels called by hand, on the operands that the design declares.
struct Direct {
    const KernelTable& table;
    const Design& design;
    const Block& block;

    // A dense tile [64, 64] of bf16 out of [rows, columns], zeros beyond.
    static std::vector<std::uint16_t> tile(const std::vector<std::uint16_t>& from, std::int64_t columns,
                                           std::int64_t row, std::int64_t column) {
        std::vector<std::uint16_t> out(at(side * side));
        const std::int64_t rows = static_cast<std::int64_t>(from.size()) / columns;
        for (std::int64_t i = 0; i < std::min(side, rows - row); ++i) {
            std::copy_n(from.begin() + (row + i) * columns + column, side, out.begin() + i * side);
        }
        return out;
    }

    [[nodiscard]] std::vector<float> of(Op op) const {
        table.reset();
        return is_norm(op) ? norm(op) : op == Op::gelu ? gelu() : product(op);
    }

    [[nodiscard]] std::vector<float> norm(Op op) const {
        const Arithmetic& arithmetic = design.arithmetic_of(op);
        const std::vector<float>& x = block.upstream.at(Block::input_of(op));
        const auto gain = operands(block.norm_of(op).gain, arithmetic);
        const auto bias = operands(block.norm_of(op).bias, arithmetic);
        std::vector<std::uint16_t> out(x.size());
        table.layer_norm(x.data(), gain.data(), bias.data(), int(block.layer.shape.context),
                         int(block.layer.shape.width()), tile_output(arithmetic).store, out.data());
        return as_floats(out);
    }

    [[nodiscard]] std::vector<float> gelu() const {
        const std::vector<float>& x = block.upstream.at(Op::fc1);
        std::vector<std::uint16_t> out(x.size());
        table.gelu(x.data(), int(x.size()), tile_output(design.arithmetic_of(Op::gelu)).store, out.data());
        return as_floats(out);
    }

    [[nodiscard]] std::vector<float> product(Op op) const {
        const Arithmetic& arithmetic = design.arithmetic_of(op);
        const std::int64_t columns = datasets::row_width(op, block.layer.shape);
        const std::int64_t depth = datasets::row_width(Block::input_of(op), block.layer.shape);
        const auto left = operands(block.upstream.at(Block::input_of(op)), arithmetic);
        const auto right = operands(block.linear_of(op).weight, arithmetic);
        const auto bias = operands(block.linear_of(op).bias, arithmetic);
        std::vector<float> result(element_count(op, block.layer.shape));
        for (std::int64_t row = 0; row < block.layer.shape.context; row += side) {
            for (std::int64_t column = 0; column < columns; column += side) {
                const std::vector<float> out =
                    tile_output(arithmetic).partial
                        ? summed(left, right, bias.data() + column, depth, row, column, arithmetic)
                        : accumulated(left, right, bias.data() + column, depth, row, column);
                for (std::int64_t i = 0; i < std::min(side, block.layer.shape.context - row); ++i) {
                    std::copy_n(out.begin() + i * side, side, result.begin() + (row + i) * columns + column);
                }
            }
        }
        return result;
    }

private:
    using Bits = std::vector<std::uint16_t>;

    // The sum stays on the core, and leaves it as fp32.
    [[nodiscard]] std::vector<float> accumulated(const Bits& left, const Bits& right,
                                                 const std::uint16_t* bias, std::int64_t depth,
                                                 std::int64_t row, std::int64_t column) const {
        std::vector<float> sum(at(side * side));
        table.start(bias, sum.data());
        for (std::int64_t k = 0; k < depth; k += side) {
            table.multiply(tile(left, depth, row, k).data(), tile(right, depth, column, k).data(),
                           kernels::Right::n_by_k, sum.data());
        }
        return sum;
    }

    // The host adds up the products of the k tiles, and the bias.
    [[nodiscard]] std::vector<float> summed(const Bits& left, const Bits& right, const std::uint16_t* bias,
                                            std::int64_t depth, std::int64_t row, std::int64_t column,
                                            const Arithmetic& arithmetic) const {
        const kernels::Store store = tile_output(arithmetic).store;
        std::vector<float> total(at(side * side));
        for (std::int64_t k = 0; k < depth; k += side) {
            std::vector<float> product(at(side * side));
            table.start(nullptr, product.data());
            table.multiply(tile(left, depth, row, k).data(), tile(right, depth, column, k).data(),
                           kernels::Right::n_by_k, product.data());
            if (store != kernels::Store::f32) {
                Bits stored(product.size());
                table.finish(product.data(), 1, store, stored.data());
                product = as_floats(stored);
            }
            for (std::size_t i = 0; i < total.size(); ++i) {
                total[i] += product[i];
            }
        }
        for (std::size_t i = 0; i < total.size(); ++i) {
            total[i] += kernels::model::to_float(bias[i % side]);
        }
        return total;
    }
};

// Sizes of Whisper's tiny, base and large, each with ragged and whole row blocks.
std::vector<LayerShape> shapes() {
    std::vector<LayerShape> list;
    for (const int heads : {6, 8, 20}) {
        for (const std::int64_t context : {1, 63, 64, 65, 127}) {
            if (heads < 20 || context == 1 || context == 65) {
                list.push_back({context, heads});
            }
        }
    }
    return list;
}

TEST(BlockOnTheExactDevice, EqualsTheKernelsCalledDirectly) {
    EmulatedDevice device = open(Emulation::exact);
    const KernelTable table = kernels::aie2_module().table();
    for (const LayerShape shape : shapes()) {
        const Block block(shape);
        for (const char* name : {"unfused", "gelu_tiles_floor,norm_rows_floor"}) {
            const Design& design = *find_design(name);
            for (const Op op : block_steps) {
                const bool product = op == Op::fc1 || op == Op::fc2;
                if (product && design.name != "unfused") {
                    continue;
                }
                EXPECT_EQ(run_alone(device, design, block, op), (Direct{table, design, block}.of(op)))
                    << datasets::name(op) << " at T = " << shape.context << ", width " << shape.width();
            }
        }
    }
}

// Every law of the class gemm, its own way of rounding and summing included.
TEST(BlockOnTheExactDevice, ProductsFollowTheLawOfTheirDesign) {
    EmulatedDevice device = open(Emulation::exact);
    const Block block({65, 3});
    for (const char* name : {"legacy_tile64", "tile64", "tile64_batch", "gemm_array", "gemm_array_floor",
                             "gemm_array_rerounded"}) {
        const Design& design = *find_design(name);
        const bool scalar = design.step_of(Op::fc1).kernel.source == KernelSource::scalar;
        const KernelTable table = scalar ? kernels::tile_kernels() : kernels::aie2_module().table();
        for (const Op op : {Op::fc1, Op::fc2}) {
            EXPECT_EQ(run_alone(device, design, block, op), (Direct{table, design, block}.of(op)))
                << name << " " << datasets::name(op);
        }
    }
}

// The sum is all there is to a product that is stored as fp32, so alone it is exact; norms and GELU are those
// of the fast kernels but on the sample, which holds the last row block.
TEST(BlockOnTheFastDevice, EqualsTheFastKernelsButOnTheSample) {
    EmulatedDevice device = open(Emulation::fast);
    const Block block({193, 8});
    const Design& design = *find_design("unfused");
    const KernelTable exact_table = kernels::aie2_module().table();
    for (const Op op : block_steps) {
        const std::vector<float> got = run_alone(device, design, block, op);
        const std::vector<float> exact = Direct{exact_table, design, block}.of(op);
        if (op == Op::fc1 || op == Op::fc2) {
            EXPECT_EQ(got, exact) << datasets::name(op);
            continue;
        }
        const std::vector<float> fast = Direct{kernels::tile_kernels(), design, block}.of(op);
        const std::size_t last = at(192 * datasets::row_width(op, block.layer.shape));
        std::size_t differ = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
            ASSERT_TRUE(got[i] == exact[i] || (i < last && got[i] == fast[i])) << datasets::name(op);
            differ += exact[i] == fast[i] ? 0U : 1U;
        }
        EXPECT_LT(differ, got.size() / 50) << datasets::name(op);
    }
}

// fp64 of one step, from the operands that the test supplied, and what the declaration allows before the
// store.
struct Reference {
    double value = 0;
    double error = 0;
};

Reference norm_reference(const Block& block, Op op, std::int64_t row, std::int64_t column) {
    const std::int64_t width = block.layer.shape.width();
    const float* x = block.upstream.at(Block::input_of(op)).data() + row * width;
    const auto bf16 = [](float value) {
        return double(datasets::round_to_bf16(value, datasets::Rounding::nearest_even));
    };
    double mean = 0;
    double magnitude = 0;
    double variance = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        mean += double(x[i]) / double(width);
        magnitude += std::abs(double(x[i])) / double(width);
    }
    for (std::int64_t i = 0; i < width; ++i) {
        variance += std::pow(double(x[i]) - mean, 2) / double(width);
    }
    const double deviation = std::sqrt(variance + 1e-5);
    const double normalised = (double(x[column]) - mean) / deviation;
    const double gain = bf16(block.norm_of(op).gain[at(column)]);
    const double bias = bf16(block.norm_of(op).bias[at(column)]);
    const double relative = (double(width) / 16 + 8) * 0x1p-23 * (1 + magnitude / deviation);
    return {normalised * gain + bias,
            relative * (std::abs(gain) * (1 + std::abs(normalised)) + std::abs(bias))};
}

// VMACs of eight products: each aligns nine terms to the largest and rounds them, so gamma is 5 2^-23 a VMAC
// of the sum of magnitudes; chains of fp32 lie below that.
Reference product_reference(const Block& block, Op op, std::int64_t row, std::int64_t column) {
    const std::int64_t depth = datasets::row_width(Block::input_of(op), block.layer.shape);
    const auto bf16 = [](float value) {
        return double(datasets::round_to_bf16(value, datasets::Rounding::nearest_even));
    };
    const float* x = block.upstream.at(Block::input_of(op)).data() + row * depth;
    const float* weight = block.linear_of(op).weight.data() + column * depth;
    double sum = bf16(block.linear_of(op).bias[at(column)]);
    double magnitude = std::abs(sum);
    for (std::int64_t k = 0; k < depth; ++k) {
        const double product = bf16(x[k]) * bf16(weight[k]);
        sum += product;
        magnitude += std::abs(product);
    }
    return {sum, 5 * 0x1p-23 * double(depth / 8 + 1) * magnitude};
}

Reference gelu_reference(const Block& block, const Arithmetic& arithmetic, std::size_t index) {
    const double x = double(block.upstream.at(Op::fc1)[index]);
    const double exact = 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    return {exact, arithmetic.function_error * std::max(std::abs(exact), arithmetic.function_floor)};
}

// The store is to the nearest (u = 2^-8), or by floor (one unit, below).
void expect_within(float got, const Reference& reference, const Arithmetic& arithmetic) {
    const double error = double(got) - reference.value;
    if (arithmetic.store == datasets::DType::f32) {
        ASSERT_LE(std::abs(error), reference.error);
        return;
    }
    const bool floor = arithmetic.store_rounding == datasets::Rounding::floor;
    const double unit = 0x1p-7 * (std::abs(reference.value) + reference.error) + 0x1p-133;
    ASSERT_LE(error, reference.error + (floor ? 0 : unit / 2));
    ASSERT_GE(error, -reference.error - (floor ? unit : unit / 2));
}

TEST(BlockPath, IsWithinTheDeclaredErrorOfFp64InBothEmulations) {
    const Block block({127, 6});
    for (const Emulation emulation : {Emulation::exact, Emulation::fast}) {
        EmulatedDevice device = open(emulation);
        for (const char* name : {"unfused", "gelu_tiles_floor,norm_rows_floor"}) {
            const Design& design = *find_design(name);
            for (const Op op : block_steps) {
                const Arithmetic arithmetic = NpuPath(device, design).arithmetic(op);
                EXPECT_EQ(arithmetic.emulation, emulation);
                const std::vector<float> got = run_alone(device, design, block, op);
                const std::int64_t width = datasets::row_width(op, block.layer.shape);
                for (std::size_t i = 0; i < got.size(); i += 5) {
                    const auto row = static_cast<std::int64_t>(i) / width;
                    const auto column = static_cast<std::int64_t>(i) % width;
                    SCOPED_TRACE(datasets::name(op));
                    expect_within(got[i],
                                  is_norm(op)      ? norm_reference(block, op, row, column)
                                  : op == Op::gelu ? gelu_reference(block, arithmetic, i)
                                                   : product_reference(block, op, row, column),
                                  arithmetic);
                }
            }
        }
    }
}

class BlockDesign : public ::testing::TestWithParam<const char*> {
protected:
    const Design& design() { return *find_design(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Designs, BlockDesign,
                         ::testing::Values("unfused", "fused", "tile64_batch", "tile64", "legacy_tile64",
                                           "gemm_array_floor,gelu_tiles_floor,norm_rows_floor",
                                           "gemm_array_rerounded"),
                         datasets::testing::CaseName{});

TEST_P(BlockDesign, ListsItsStepsInDataflowOrder) {
    EmulatedDevice device(kernels::tile_kernels());
    const NpuPath path(device, design());
    std::vector<Op> last;
    for (const OpRange step : path.steps()) {
        last.push_back(step.last);
        EXPECT_EQ(path.emits(step.last), true);
    }
    EXPECT_TRUE(std::ranges::is_sorted(last));
    EXPECT_THAT(last, ::testing::IsSupersetOf(block_steps));
    EXPECT_FALSE(path.emits(Op::attention_residual));
    EXPECT_FALSE(path.emits(Op::block));
}

// Chained, a step reads what the one before it stored: the same bits as alone on its stored tensor.
TEST_P(BlockDesign, ChainedStepsReadTheirOwnStoredTensorsBitForBit) {
    const Block block({100, 2}, 8);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design());
    const auto prepared = path.prepare(block.layer);
    for (const OpRange piece : {attention_piece, mlp_piece}) {
        const TensorSource source(block.layer.shape, block.upstream);
        KeepingSink chained(block.layer.shape);
        prepared->compute({piece, -1}, source, chained);
        Tensors own = chained.tensors;
        own[Op::embedding] = block.upstream.at(Op::embedding);
        own[Op::attention_residual] = block.upstream.at(Op::attention_residual);
        const TensorSource own_source(block.layer.shape, own);
        for (const OpRange step : path.steps()) {
            if (!piece.contains(step.last)) {
                continue;
            }
            KeepingSink isolated(block.layer.shape);
            prepared->compute({step, -1}, own_source, isolated);
            EXPECT_EQ(isolated.tensors.at(step.last), chained.tensors.at(step.last))
                << datasets::name(step.last);
        }
    }
}

TEST_P(BlockDesign, RunsAnyStepsInARow) {
    const Block block({70, 2}, 9);
    const TensorSource source(block.layer.shape, block.upstream);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design());
    const auto prepared = path.prepare(block.layer);
    for (const OpRange ops :
         {OpRange{Op::mlp_norm, Op::fc1}, {Op::fc1, Op::gelu}, {Op::gelu, Op::fc2}, {Op::fc1, Op::fc2}}) {
        KeepingSink sink(block.layer.shape);
        const auto parts = prepared->compute({ops, -1}, source, sink);
        EXPECT_EQ(parts.front().ops.first, ops.first);
        EXPECT_EQ(parts.back().ops.last, ops.last);
        EXPECT_EQ(sink.tensors.size(), parts.size());
    }
    KeepingSink norm_and_query(block.layer.shape);
    prepared->compute({{Op::attention_norm, Op::query}, -1}, source, norm_and_query);
    EXPECT_EQ(norm_and_query.tensors.size(), 2U);
}

TEST_P(BlockDesign, ResultsDoNotDependOnThreadsOrOnWhatRanBefore) {
    const Block block({130, 2}, 10);
    const Block other({130, 2}, 11);
    const TensorSource source(block.layer.shape, block.upstream);
    const TensorSource other_source(block.layer.shape, other.upstream);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design());
    const auto prepared = path.prepare(block.layer);
    std::vector<Tensors> runs;
    for (const std::size_t threads : {1U, 2U, 4U}) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
        KeepingSink sink(block.layer.shape);
        prepared->compute({mlp_piece, -1}, source, sink);
        runs.push_back(sink.tensors);
        KeepingSink between(block.layer.shape);
        prepared->compute({mlp_piece, -1}, other_source, between);
        EXPECT_NE(between.tensors.at(Op::fc2), sink.tensors.at(Op::fc2));
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_EQ(runs[0], runs[2]);
}

// Launches, tiles and bytes as planned, and a modelled time for each.
TEST_P(BlockDesign, PlannedEqualsCounted) {
    for (const LayerShape shape : {LayerShape{1, 1}, {65, 3}, {127, 6}}) {
        const Block block(shape, 5);
        const TensorSource source(shape, block.upstream);
        EmulatedDevice device(kernels::tile_kernels());
        NpuPath path(device, design());
        const auto layer = path.prepare(block.layer);
        const auto end = path.prepare(block.end);
        std::vector<OpRange> works{attention_piece, mlp_piece, datasets::end_ops, {Op::fc1, Op::fc2}};
        for (const Op op : block_steps) {
            works.push_back({op, op});
        }
        for (const OpRange ops : works) {
            datasets::PreparedLayer& prepared = ops == datasets::end_ops ? *end : *layer;
            const std::vector<Part> planned = prepared.planned({ops, -1});
            KeepingSink loading(shape);
            prepared.compute({ops, -1}, source, loading);
            const Counters before = device.counters();
            KeepingSink sink(shape);
            const std::vector<Part> counted = prepared.compute({ops, -1}, source, sink);
            ASSERT_EQ(counted.size(), planned.size());
            Part sum;
            for (std::size_t i = 0; i < counted.size(); ++i) {
                EXPECT_EQ(counted[i].ops, planned[i].ops);
                EXPECT_EQ(counted[i].launches, planned[i].launches);
                EXPECT_EQ(counted[i].tiles, planned[i].tiles);
                EXPECT_EQ(counted[i].bytes, planned[i].bytes) << datasets::name(counted[i].ops.last);
                EXPECT_EQ(planned[i].clock, datasets::Clock::modelled);
                EXPECT_GT(planned[i].seconds, 0);
                sum.launches += counted[i].launches;
                sum.bytes += counted[i].bytes;
            }
            const Counters after = device.counters();
            EXPECT_EQ(sum.launches, after.launches - before.launches);
            EXPECT_EQ(sum.bytes, after.bytes_to_device + after.bytes_from_device - before.bytes_to_device -
                                     before.bytes_from_device);
        }
    }
}

TEST(BlockPath, CountsTheLaunchesOfWhisperBase) {
    const auto launches = [](std::string_view name) {
        std::map<Op, std::int64_t> counts;
        for (const StepCost& step : step_costs(*find_design(name), {1500, 8}, {})) {
            counts[step.ops.last] = step.launches;
        }
        return counts;
    };
    for (const Op op : block_steps) {
        EXPECT_EQ(launches("unfused").at(op), 1) << datasets::name(op);
    }
    // 24 x 32 tiles of fc1 and 24 x 8 of fc2, eight to a launch; or one k tile to a launch.
    EXPECT_EQ(launches("tile64_batch").at(Op::fc1), 96);
    EXPECT_EQ(launches("tile64_batch").at(Op::fc2), 24);
    EXPECT_EQ(launches("tile64").at(Op::fc1), 24 * 32 * 8);
    EXPECT_EQ(launches("tile64").at(Op::fc2), 24 * 8 * 32);
    EXPECT_EQ(launches("tile64").at(Op::gelu), 1);
}

// Work as the kernels' files count it: 42 VMACs for 16 elements of GELU, 15 of a norm.
TEST(BlockPath, ModelsTimeFromBytesAndVmacs) {
    CostModel model;
    model.contexts = Contexts::shared;
    const double clock = model.spec.clock_hz;
    std::map<Op, StepCost> costs;
    for (const StepCost& step : step_costs(*find_design("unfused"), {1500, 8}, model)) {
        costs[step.ops.last] = step;
    }
    const Cost& gelu = costs.at(Op::gelu).seconds;
    EXPECT_EQ(gelu.launches, 1);
    EXPECT_DOUBLE_EQ(gelu.launch, model.spec.call_seconds);
    EXPECT_NEAR(gelu.compute, 48.0 * 42 * 256 * 2 / clock, 1e-12);  // 2 cycles a VMAC at 64 MAC per cycle
    EXPECT_NEAR(gelu.bounds.dram_roof, 1536.0 * 2048 * 4 / model.spec.dram_read_bytes_per_second, 1e-9);
    EXPECT_GE(gelu.compute + gelu.transfer + gelu.idle, gelu.bounds.dram_roof);
    const Cost& norm = costs.at(Op::mlp_norm).seconds;
    EXPECT_NEAR(norm.compute, 2.0 * 15 * 256 * 8 * 2 / clock, 1e-12);
    // Two rounds of row blocks, each with gain and bias.
    EXPECT_NEAR(norm.bounds.dram_roof,
                (1536.0 * 512 * 4 + 2 * 2 * 512 * 2) / model.spec.dram_read_bytes_per_second, 1e-9);
    EXPECT_EQ(costs.at(Op::mlp_norm).idle_slots, 8);
    EXPECT_NEAR(costs.at(Op::encoder).seconds.compute, norm.compute, 1e-12);
}

// Nothing is allocated for steps that nobody asks for.
TEST_P(BlockDesign, AllocatesAndPacksOnFirstUse) {
    const Block block({65, 2}, 15);
    LayerCase attention_alone = block.layer;
    attention_alone.weights.attention_norm = {};
    attention_alone.weights.mlp_norm = {};
    attention_alone.weights.fc1 = {};
    attention_alone.weights.fc2 = {};
    const TensorSource source(block.layer.shape, block.upstream);
    datasets::NullSink sink;
    RecordingDevice device;
    NpuPath path(device, design());
    path.prepare(attention_alone);
    const int of_attention = device.allocations;
    const std::int64_t sent = device.counters().bytes_to_device;
    {
        const auto prepared = path.prepare(block.layer);
        EXPECT_EQ(device.allocations, 2 * of_attention);
        EXPECT_EQ(device.counters().bytes_to_device, 2 * sent);
        prepared->compute({mlp_piece, -1}, source, sink);
        prepared->compute({{Op::attention_norm, Op::attention_norm}, -1}, source, sink);
        const int after_first = device.allocations;
        EXPECT_GT(after_first, 2 * of_attention);
        for (const OpRange ops : {mlp_piece, attention_piece, OpRange{Op::gelu, Op::gelu}}) {
            prepared->compute({ops, -1}, source, sink);
        }
        EXPECT_EQ(device.allocations, after_first);
    }
    EXPECT_EQ(device.allocations, device.releases);
}

TEST(BlockPath, RefusesWorkThatItCannotDo) {
    const Block block({65, 2});
    const TensorSource source(block.layer.shape, block.upstream);
    datasets::NullSink sink;
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, *find_design("fused"));
    const auto layer = path.prepare(block.layer);
    const auto end = path.prepare(block.end);
    const auto refuses = [&](datasets::PreparedLayer& prepared, datasets::Work work, const char* what) {
        EXPECT_THAT([&] { prepared.compute(work, source, sink); },
                    ::testing::ThrowsMessage<std::invalid_argument>(::testing::HasSubstr(what)));
        EXPECT_THROW(std::ignore = prepared.planned(work), std::invalid_argument) << what;
    };
    refuses(*layer, {{Op::attention_norm, Op::fc2}, -1}, "attention_norm..fc2 is not part of");
    refuses(*layer, {{Op::output, Op::mlp_norm}, -1}, "output..mlp_norm is not part of");
    refuses(*layer, {{Op::attention_residual, Op::fc1}, -1}, "attention_residual..fc1");
    refuses(*layer, {datasets::end_ops, -1}, "what was prepared: attention_norm..fc2");
    refuses(*end, {mlp_piece, -1}, "what was prepared: encoder..encoder");
    refuses(*layer, {{Op::fc1, Op::fc1}, 0}, "head 0 of 2");
    refuses(*layer, {{Op::attention_norm, Op::query}, 1}, "head 1 of 2");

    LayerCase attention_alone = block.layer;
    attention_alone.weights.mlp_norm = {};
    const auto partial = path.prepare(attention_alone);
    EXPECT_THAT(
        [&] {
            partial->compute({mlp_piece, -1}, source, sink);
        },
        ::testing::ThrowsMessage<std::invalid_argument>(
            ::testing::HasSubstr("holds no weights of mlp_norm")));
    EXPECT_NO_THROW(partial->compute({datasets::mlp_ops, -1}, source, sink));
    LayerCase short_bias = block.layer;
    short_bias.weights.fc1.bias.pop_back();
    short_bias.weights.attention_norm.bias.clear();
    const auto shortened = path.prepare(short_bias);
    EXPECT_THROW(shortened->compute({mlp_piece, -1}, source, sink), std::invalid_argument);
    EXPECT_THROW(shortened->compute({attention_piece, -1}, source, sink), std::invalid_argument);
    // Wider than any Whisper: the attention runs, the norm has no room.
    const Block wide({1, 21});
    const TensorSource wide_source(wide.layer.shape, wide.upstream);
    const auto wide_layer = path.prepare(wide.layer);
    EXPECT_THAT(
        [&] {
            wide_layer->compute({attention_piece, -1}, wide_source, sink);
        },
        ::testing::ThrowsMessage<std::invalid_argument>(
            ::testing::HasSubstr("attention_norm takes rows of 1280 channels, not of 1344")));
    EXPECT_THROW(std::ignore = wide_layer->planned({mlp_piece, -1}), std::invalid_argument);
    EXPECT_NO_THROW(std::ignore = wide_layer->planned({datasets::attention_ops, -1}));
    EXPECT_NO_THROW(wide_layer->compute({datasets::mlp_ops, -1}, wide_source, sink));
}

// Faults.

bool has_nan(const std::vector<float>& values) {
    return std::ranges::any_of(values, [](float value) { return std::isnan(value); });
}

struct Fault {
    Block block{{130, 3}, 21};
    TensorSource source{block.layer.shape, block.upstream};
    RecordingDevice device;

    // Runs one step, and leaves behind what was prepared.
    std::vector<float> run(const Design& design, Op op) {
        NpuPath path(device, design);
        prepared = prepare(path, block, op);
        KeepingSink sink(block.layer.shape);
        prepared->compute({{op, op}, -1}, source, sink);
        return sink.tensors.at(op);
    }

    std::unique_ptr<datasets::PreparedLayer> prepared;
};

// A core that does nothing leaves poison, just where `locate` says that it works.
TEST_P(BlockDesign, ASilentCoreLeavesPoisonWhereLocateFindsIt) {
    for (const Op op : block_steps) {
        Fault fault;
        const int silent = design().step_of(op).cores == 1 ? 0 : 2;
        const bool partial = tile_output(design().arithmetic_of(op)).partial;
        fault.device.edit = [&](Launch& launch) {
            std::erase_if(launch.jobs, [&](const Job& job) {
                return job.core == silent && (silent > 0 || job.tile == 1);
            });
        };
        const std::vector<float> got = fault.run(design(), op);
        EXPECT_TRUE(has_nan(got)) << datasets::name(op);
        const std::int64_t width = datasets::row_width(op, fault.block.layer.shape);
        for (std::size_t i = 0; i < got.size(); ++i) {
            const auto row = static_cast<std::int64_t>(i) / width;
            const auto site = fault.prepared->locate(op, -1, row, static_cast<std::int64_t>(i) % width);
            ASSERT_TRUE(site.has_value());
            const bool expected = site->core == silent && (silent > 0 || site->tile == 1);
            ASSERT_TRUE(std::isnan(got[i]) == expected || partial) << datasets::name(op) << " " << i;
            ASSERT_TRUE(!expected || std::isnan(got[i])) << datasets::name(op) << " " << i;
        }
    }
}

TEST_P(BlockDesign, MissingTransfersShow) {
    for (const Op op : block_steps) {
        for (const Direction direction : {Direction::to_device, Direction::from_device}) {
            Fault fault;
            fault.device.drop_sync = [direction](Direction asked) { return asked == direction; };
            if (direction == Direction::to_device) {
                EXPECT_THROW(fault.run(design(), op), IntegrityError);
            } else {
                EXPECT_TRUE(has_nan(fault.run(design(), op))) << datasets::name(op);
            }
        }
    }
}

// The last tile of all, or of a wave's 36 partial ones, is put half a row further.
TEST_P(BlockDesign, AWriteBehindTheOutputIsAnIntegrityError) {
    for (const Op op : block_steps) {
        Fault fault;
        const std::int64_t last_row = tile_output(design().arithmetic_of(op)).partial ? 35 * side : 2 * side;
        fault.device.edit = [last_row](Launch& launch) {
            for (Job& job : launch.jobs) {
                std::visit(
                    [last_row](auto& work) {
                        work.out.offset += work.out.offset >= last_row * work.out.stride ? 512 : 0;
                    },
                    job.work);
            }
        };
        try {
            fault.run(design(), op);
            FAIL() << "no IntegrityError of " << datasets::name(op);
        } catch (const IntegrityError& error) {
            EXPECT_THAT(error.what(), ::testing::HasSubstr(std::string(datasets::name(op)) + ": launches "));
        }
    }
}

// Gain and bias of the wrong norm, or a row block of the wrong rows, change results.
TEST(BlockPath, MisplacedOperandsChangeResults) {
    Fault healthy;
    const Design& design = *find_design("unfused");
    const std::vector<float> norm = healthy.run(design, Op::mlp_norm);
    const std::vector<float> gelu = healthy.run(design, Op::gelu);
    Fault fault;
    fault.device.edit = [](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* work = std::get_if<NormJob>(&job.work)) {
                std::swap(work->gain, work->bias);
            }
            if (auto* work = std::get_if<GeluJob>(&job.work); work != nullptr && job.tile == 3) {
                work->x.offset = 0;
            }
        }
    };
    EXPECT_NE(fault.run(design, Op::mlp_norm), norm);
    EXPECT_NE(fault.run(design, Op::gelu), gelu);
}

}  // namespace
}  // namespace npu_impl
