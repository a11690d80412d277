// The path end to end on the emulated device: exact on integers, within derived bounds on random data, and
// loud when a launch, a transfer or a layout is wrong.
#include "npu_impl/npu_path.hpp"

#include <gmock/gmock.h>
#include <tbb/global_control.h>

#include <bit>
#include <numeric>

#include "datasets/case_name_test.hpp"
#include "npu_impl/layer_plan.hpp"
#include "npu_impl/layer_time.hpp"
#include "npu_impl/plain_layer_test.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using datasets::attention_ops;
using datasets::OpRange;
using datasets::Part;

constexpr std::int64_t side = 64;

const Design& design(std::string_view name) {
    const Design* found = find_design(name);
    EXPECT_NE(found, nullptr) << name;
    return *found;
}

std::uint64_t mix(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15ULL;
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31U);
}

// Two heads of integers on which every op is exact. Row i of the input carries its own code (64 signs,
// channels 0..63) and that of another row (channels 64..127). Keys read the first, times 256, queries the
// second (head 0) or the first (head 1): so each query scores its chosen key at least 128 above all others,
// whose exponentials are exactly 0.
struct IntegerLayer {
    explicit IntegerLayer(std::int64_t context) : layer(empty_layer({context, 2})) {
        std::vector<std::uint64_t> codes;
        for (std::int64_t row = 0; row < context; ++row) {
            codes.push_back(mix(static_cast<std::uint64_t>(row)));
            chosen.push_back({(row * 7 + 3) % context, row});
        }
        for (std::int64_t row = 0; row < context; ++row) {
            for (std::int64_t bit = 0; bit < side; ++bit) {
                const auto sign = [bit](std::uint64_t code) {
                    return ((code >> bit) & 1U) != 0 ? 1.0F : -1.0F;
                };
                layer.input[at(row * 128 + bit)] = sign(codes[at(row)]);
                layer.input[at(row * 128 + side + bit)] = sign(codes[at(chosen[at(row)][0])]);
            }
        }
        auto& [query, key, value, output] = layer.weights.attention;
        for (std::int64_t c = 0; c < side; ++c) {
            query.weight[at(c * 128 + side + c)] = 1;
            query.weight[at((side + c) * 128 + c)] = 1;
            key.weight[at(c * 128 + c)] = 256;
            key.weight[at((side + c) * 128 + c)] = 256;
        }
        for (std::int64_t i = 0; i < 128 * 128; ++i) {
            value.weight[at(i)] = float(std::int64_t(mix(at(i)) % 3) - 1);
            output.weight[at(i)] = float(std::int64_t(mix(at(i) + 99999) % 17) - 8);
        }
        for (std::int64_t i = 0; i < 128; ++i) {
            value.bias[at(i)] = float(std::int64_t(mix(at(i) + 7) % 21) - 10);
            output.bias[at(i)] = float(std::int64_t(mix(at(i) + 77) % 201) - 100);
        }
    }

    [[nodiscard]] std::vector<float> linear(const std::vector<float>& x,
                                            const datasets::Linear& weights) const {
        std::vector<float> y(x.size());
        for (std::int64_t row = 0; row < layer.shape.context; ++row) {
            for (std::int64_t out = 0; out < 128; ++out) {
                auto sum = weights.bias.empty() ? 0 : std::int64_t(weights.bias[at(out)]);
                for (std::int64_t in = 0; in < 128; ++in) {
                    sum += std::int64_t(x[at(row * 128 + in)]) *
                           std::int64_t(weights.weight[at(out * 128 + in)]);
                }
                y[at(row * 128 + out)] = float(sum);
            }
        }
        return y;
    }

    // What every op must be, to the bit.
    [[nodiscard]] Tensors expected() const {
        const datasets::LayerShape shape = layer.shape;
        Tensors all{{Op::attention_norm, layer.input},
                    {Op::query, linear(layer.input, layer.weights.attention.query)},
                    {Op::key, linear(layer.input, layer.weights.attention.key)},
                    {Op::value, linear(layer.input, layer.weights.attention.value)}};
        const std::vector<float>& query = all[Op::query];
        const std::vector<float>& key = all[Op::key];
        std::vector<float> scores(element_count(Op::scores, shape));
        std::vector<float> probabilities(scores.size());
        std::vector<float> context(layer.input.size());
        for (int head = 0; head < 2; ++head) {
            for (std::int64_t row = 0; row < shape.context; ++row) {
                const std::int64_t pick = chosen[at(row)][at(head)];
                const std::size_t line = element(Op::scores, shape, head, row, 0);
                probabilities[line + at(pick)] = 1;
                for (std::int64_t c = 0; c < side; ++c) {
                    context[element(Op::context, shape, head, row, c)] =
                        all[Op::value][element(Op::value, shape, head, pick, c)];
                }
                for (std::int64_t j = 0; j < shape.context; ++j) {
                    const float* q = query.data() + element(Op::query, shape, head, row, 0);
                    const float* k = key.data() + element(Op::key, shape, head, j, 0);
                    std::int64_t sum = 0;
                    for (std::int64_t c = 0; c < side; ++c) {
                        sum += std::int64_t(q[c]) * std::int64_t(k[c]);
                    }
                    scores[line + at(j)] = float(sum) / 8;
                }
            }
        }
        all[Op::output] = linear(context, layer.weights.attention.output);
        all[Op::scores] = std::move(scores);
        all[Op::probabilities] = std::move(probabilities);
        all[Op::context] = std::move(context);
        return all;
    }

    LayerCase layer;
    std::vector<std::array<std::int64_t, 2>> chosen;
};

// The bits of every emitted op equal the expected ones, whole tensors.
void expect_exact(const KeepingSink& sink, const NpuPath& path, OpRange ops, const Tensors& expected) {
    for (const datasets::OpInfo& op : datasets::ops_in(ops)) {
        if (!path.emits(op.op)) {
            EXPECT_FALSE(sink.tensors.contains(op.op)) << op.name;
            continue;
        }
        ASSERT_TRUE(sink.tensors.contains(op.op)) << op.name;
        const std::vector<float>& got = sink.tensors.at(op.op);
        const std::vector<float>& want = expected.at(op.op);
        ASSERT_EQ(got.size(), want.size());
        std::int64_t wrong = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
            wrong += got[i] == want[i] ? 0 : 1;
        }
        EXPECT_EQ(wrong, 0) << op.name << " of " << got.size();
    }
}

class EveryDesign : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Designs, EveryDesign,
                         ::testing::Values("unfused", "fused", "tile64_batch", "tile64", "legacy_tile64",
                                           "gemm_array_floor", "gemm_array_rerounded",
                                           "tile64,attention_fused"),
                         datasets::testing::CaseName{});

// Those that round to nearest, and each sum at most once.
class NearestDesign : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Designs, NearestDesign,
                         ::testing::Values("unfused", "fused", "tile64_batch", "tile64",
                                           "tile64,attention_fused"),
                         datasets::testing::CaseName{});

// The products of the output are too large for the first port's bf16 tiles.
OpRange exact_on_integers(const Design& of) {
    const bool narrow = of.arithmetic_of(Op::output).tile_store == datasets::DType::bf16;
    return narrow ? OpRange{Op::query, Op::context} : attention_ops;
}

TEST_P(EveryDesign, IsExactOnIntegersForRaggedContexts) {
    for (const std::int64_t context : {1, 63, 64, 65, 127, 513}) {
        SCOPED_TRACE(context);
        const IntegerLayer integers(context);
        const Tensors expected = integers.expected();
        const TensorSource source(integers.layer.shape, expected);
        EmulatedDevice device(kernels::tile_kernels());
        NpuPath path(device, design(GetParam()));
        const auto prepared = path.prepare(integers.layer);

        KeepingSink chained(integers.layer.shape);
        prepared->compute({attention_ops, -1}, source, chained);
        const OpRange exact = exact_on_integers(design(GetParam()));
        expect_exact(chained, path, exact, expected);

        for (const OpRange step : attention_steps(path)) {
            if (!exact.contains(step.last)) {
                continue;
            }
            KeepingSink isolated(integers.layer.shape);
            prepared->compute({step, -1}, source, isolated);
            expect_exact(isolated, path, step, expected);
        }
    }
}

// Elements of one head of `op` that equal the expected ones.
std::int64_t equal_elements(const Tensors& got, const Tensors& expected, Op op, const LayerShape& shape,
                            int head) {
    const std::vector<float>& tensor = got.at(op);
    const std::vector<float>& wanted = expected.at(op);
    std::int64_t equal = 0;
    for (std::int64_t row = 0; row < shape.context; ++row) {
        for (std::int64_t column = 0; column < datasets::row_width(op, shape); ++column) {
            const std::size_t index = element(op, shape, head, row, column);
            equal += tensor[index] == wanted[index] ? 1 : 0;
        }
    }
    return equal;
}

TEST_P(EveryDesign, IsExactOnIntegersForOneHeadOf1500Rows) {
    static const IntegerLayer integers(1500);
    static const Tensors expected = integers.expected();
    const datasets::LayerShape shape = integers.layer.shape;
    const TensorSource source(shape, expected);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    KeepingSink sink(shape);
    path.prepare(integers.layer)->compute({{Op::query, Op::context}, 1}, source, sink);
    for (const Op op : {Op::query, Op::key, Op::value, Op::scores, Op::probabilities, Op::context}) {
        if (path.emits(op)) {
            EXPECT_EQ(equal_elements(sink.tensors, expected, op, shape, 1),
                      1500 * datasets::row_width(op, shape))
                << datasets::name(op);
        }
    }
    EXPECT_EQ(sink.seen.size(), path.emits(Op::scores) ? 6U * 24U : 4U * 24U);
    for (const auto& [op, head, begin] : sink.seen) {
        EXPECT_EQ(head, 1);
    }
}

// Unit roundoffs of the declared arithmetic: bf16 stores and operands, fp32 additions.
constexpr double u_bf16 = 0x1p-8;
constexpr double u_f32 = 0x1p-24;

double rounded(float value) {
    return double(datasets::round_to_bf16(value, datasets::Rounding::nearest_even));
}

// |c - r| <= u |r| + gamma sum |a||b| for a chain of n additions on the rounded operands (Higham,
// section 3.1).
void expect_within(double got, double exact, double magnitude, std::int64_t additions, double u_store) {
    const double gamma = double(additions + 1) * u_f32;
    const double bound = u_store * std::abs(exact) + (1 + u_store) * gamma * magnitude;
    ASSERT_LE(std::abs(got - exact), bound) << "exact " << exact;
}

TEST_P(NearestDesign, ProjectionsAreWithinTheDerivedBound) {
    const LayerCase layer = random_layer({130, 3}, 11);
    const Tensors plain = plain_layer(layer);
    const TensorSource source(layer.shape, plain);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    const std::int64_t width = layer.shape.width();
    const auto check = [&](Op op, Op input, const datasets::Linear& linear, double u_store) {
        KeepingSink sink(layer.shape);
        prepared->compute({{op, op}, -1}, source, sink);
        for (std::int64_t row = 0; row < layer.shape.context; ++row) {
            for (std::int64_t out = 0; out < width; ++out) {
                double sum = linear.bias.empty() ? 0 : rounded(linear.bias[at(out)]);
                double magnitude = std::abs(sum);
                for (std::int64_t in = 0; in < width; ++in) {
                    const double product = rounded(plain.at(input)[at(row * width + in)]) *
                                           rounded(linear.weight[at(out * width + in)]);
                    sum += product;
                    magnitude += std::abs(product);
                }
                expect_within(double(sink.tensors[op][at(row * width + out)]), sum, magnitude, width,
                              u_store);
            }
        }
    };
    check(Op::query, Op::attention_norm, layer.weights.attention.query, u_bf16);
    check(Op::key, Op::attention_norm, layer.weights.attention.key, u_bf16);
    check(Op::value, Op::attention_norm, layer.weights.attention.value, u_bf16);
    check(Op::output, Op::context, layer.weights.attention.output, 0);
}

// Weighs the errors of softmax: each exponential errs by E on its own argument and by u |d| through the
// rounding of that argument, once for the key and once for each later growth of the running maximum (at most
// one per key tile).
TEST_P(NearestDesign, ContextOfTheSquarePartIsWithinTheDerivedBound) {
    const LayerCase layer = random_layer({200, 3}, 12, 3);
    const Tensors plain = plain_layer(layer);
    const TensorSource source(layer.shape, plain);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    KeepingSink sink(layer.shape);
    prepared->compute({{Op::scores, Op::context}, -1}, source, sink);
    const double e = path.arithmetic(Op::context).exp_error + 0.0102038;
    for (int head = 0; head < 3; ++head) {
        for (std::int64_t row = 0; row < layer.shape.context; ++row) {
            std::vector<double> score(at(layer.shape.context));
            double highest = -INFINITY;
            for (std::int64_t j = 0; j < layer.shape.context; ++j) {
                for (std::int64_t c = 0; c < side; ++c) {
                    score[at(j)] +=
                        rounded(plain.at(Op::query)[element(Op::query, layer.shape, head, row, c)]) *
                        rounded(plain.at(Op::key)[element(Op::key, layer.shape, head, j, c)]) / 8;
                }
                highest = std::max(highest, score[at(j)]);
            }
            double total = 0;
            double spread = 0;
            for (const double s : score) {
                total += std::exp(s - highest);
                spread = std::max(spread, highest - s);
            }
            for (std::int64_t c = 0; c < side; ++c) {
                double exact = 0;
                double bound = 0;
                for (std::int64_t j = 0; j < layer.shape.context; ++j) {
                    const double p = std::exp(score[at(j)] - highest) / total;
                    const double v =
                        rounded(plain.at(Op::value)[element(Op::value, layer.shape, head, j, c)]);
                    const double growths = 1 + double((layer.shape.context + side - 1) / side);
                    const double error =
                        std::pow(1 + e, growths) * std::exp(u_bf16 * (highest - score[at(j)]) + 1e-4) - 1;
                    exact += p * v;
                    bound += p * (std::abs(v) * error * 2 + std::abs(v) * u_bf16 * 2);
                }
                bound += u_bf16 * std::abs(exact) + 1e-6;
                const float got = sink.tensors[Op::context][element(Op::context, layer.shape, head, row, c)];
                ASSERT_LE(std::abs(double(got) - exact), bound) << "head " << head << " row " << row;
            }
        }
    }
}

TEST(NpuPath, UnfusedProbabilitiesSumToOneAndExcludePadding) {
    const LayerCase layer = random_layer({65, 1}, 13);
    const Tensors plain = plain_layer(layer);
    const TensorSource source(layer.shape, plain);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design("unfused"));
    KeepingSink sink(layer.shape);
    path.prepare(layer)->compute({{Op::probabilities, Op::probabilities}, -1}, source, sink);
    for (std::int64_t row = 0; row < 65; ++row) {
        double sum = 0;
        for (std::int64_t j = 0; j < 65; ++j) {
            const std::size_t index = element(Op::probabilities, layer.shape, 0, row, j);
            sum += double(sink.tensors[Op::probabilities][index]);
        }
        EXPECT_NEAR(sum, 1, u_bf16);
    }
}

// Wants every op, keeps none.
class DroppingSink final : public datasets::Sink {
public:
    bool wants(Op) const override { return true; }
    void accept(Op, datasets::Rows, const datasets::TensorView&) override {}
};

TEST_P(EveryDesign, PlannedEqualsCounted) {
    for (const datasets::LayerShape shape : {datasets::LayerShape{1, 1}, {65, 3}, {127, 8}, {700, 6}}) {
        const LayerCase layer = random_layer(shape, 5);
        const Tensors plain =
            shape.context > 200 ? Tensors{{Op::attention_norm, layer.input}} : plain_layer(layer);
        const TensorSource source(shape, plain);
        EmulatedDevice device(kernels::tile_kernels());
        NpuPath path(device, design(GetParam()));
        const auto prepared = path.prepare(layer);
        std::vector<datasets::Work> works{{attention_ops, -1}, {{Op::query, Op::context}, shape.heads - 1}};
        if (shape.context <= 200) {
            works.push_back({{Op::scores, Op::context}, -1});
            works.push_back({{Op::scores, Op::output}, -1});
            for (const OpRange step : attention_steps(path)) {
                works.push_back({step, -1});
            }
        }
        for (const datasets::Work& work : works) {
            const Counters before = device.counters();
            DroppingSink sink;
            const auto counted = prepared->compute(work, source, sink);
            const auto planned = prepared->planned(work);
            ASSERT_EQ(counted.size(), planned.size());
            Part sum;
            for (std::size_t i = 0; i < counted.size(); ++i) {
                EXPECT_EQ(counted[i].ops, planned[i].ops);
                EXPECT_EQ(counted[i].launches, planned[i].launches);
                EXPECT_EQ(counted[i].tiles, planned[i].tiles);
                EXPECT_EQ(counted[i].bytes, planned[i].bytes);
                EXPECT_EQ(counted[i].clock, datasets::Clock::none);
                EXPECT_EQ(counted[i].seconds, 0);
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

TEST(NpuPath, CountsTheLaunchesOfWhisperBase) {
    EmulatedDevice device(kernels::tile_kernels());
    const LayerCase layer = random_layer({1500, 8}, 1);
    const auto launches = [&](std::string_view name) {
        std::vector<std::int64_t> counts;
        for (const Part& part : NpuPath(device, design(name)).prepare(layer)->planned({attention_ops, -1})) {
            counts.push_back(part.launches);
        }
        return counts;
    };
    EXPECT_THAT(launches("unfused"), ::testing::ElementsAre(1, 1, 1, 12, 12, 12, 1));
    EXPECT_THAT(launches("fused"), ::testing::ElementsAre(1, 1, 1, 12, 1));
    // 24 x 8 tiles of a projection, and 24 x 24 x 8 tiles of scores, eight to a launch.
    EXPECT_THAT(launches("tile64_batch"), ::testing::ElementsAre(24, 24, 24, 576, 12, 24, 24));
}

// 4 x 24 x 8 x 8 + 2 x 8 x 24 x 24 products of a tile at T = 1500; 47 row blocks at 3001.
TEST(NpuPath, CountsTheLaunchesOfOneTileEach) {
    for (const char* name : {"tile64", "legacy_tile64"}) {
        const auto products = [&](std::int64_t context) {
            std::vector<std::int64_t> launches;
            for (const StepCost& step : step_costs(design(name), {context, 8}, {})) {
                if (!attention_ops.contains(step.ops.last)) {
                    continue;
                }
                launches.push_back(step.launches);
                EXPECT_TRUE(step.launches == step.tiles || step.ops.last == Op::probabilities);
            }
            EXPECT_EQ(launches.size(), 7U);
            launches.erase(launches.begin() + 4);
            return launches;
        };
        EXPECT_THAT(products(1500), ::testing::ElementsAre(1536, 1536, 1536, 4608, 4608, 1536));
        EXPECT_THAT(products(3001), ::testing::ElementsAre(3008, 3008, 3008, 17672, 17672, 3008));
        const auto sum = [&](std::int64_t context) {
            const auto all = products(context);
            return std::accumulate(all.begin(), all.end(), std::int64_t{0});
        };
        EXPECT_EQ(sum(1500), 15360);
        EXPECT_EQ(sum(3001), 47376);
    }
}

TEST(NpuPath, AWaveInTurnsOfFewerCoresGivesTheSameBits) {
    const LayerCase layer = random_layer({330, 5}, 31, 2);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    EmulatedDevice device(kernels::tile_kernels());
    for (const char* name : {"unfused", "fused", "tile64", "gemm_array_rerounded"}) {
        std::vector<Tensors> runs;
        for (const int cores : {1, 3, 8, 16}) {
            NpuPath path(device, with_cores(design(name), cores));
            KeepingSink sink(layer.shape);
            path.prepare(layer)->compute({attention_ops, -1}, source, sink);
            runs.push_back(sink.tensors);
            EXPECT_EQ(runs.front(), runs.back()) << name << " on " << cores << " cores";
        }
    }
}

TEST_P(EveryDesign, SinkSeesWholeKeysAndValuesFirstAndEveryBlockOnce) {
    const LayerCase layer = random_layer({300, 5}, 6);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    KeepingSink sink(layer.shape);
    path.prepare(layer)->compute({attention_ops, -1}, source, sink);
    const std::int64_t blocks = layer.shape.blocks() * layer.shape.heads;
    for (const datasets::OpInfo& op : datasets::ops_in(attention_ops)) {
        if (path.emits(op.op)) {
            EXPECT_EQ(sink.blocks[op.op], op.op == Op::output ? layer.shape.blocks() : blocks);
        }
    }
    using Arrived = std::pair<std::int64_t, std::int64_t>;
    EXPECT_THAT(sink.whole_before[Op::context], ::testing::ElementsAre(Arrived{blocks, blocks}));
    if (path.emits(Op::scores)) {
        EXPECT_THAT(sink.whole_before[Op::scores], ::testing::ElementsAre(Arrived{blocks, blocks}));
    }
}

TEST_P(EveryDesign, ChainedStepsReadTheirOwnStoredTensorsBitForBit) {
    const LayerCase layer = random_layer({100, 2}, 8, 2);
    const Tensors plain = plain_layer(layer);
    const TensorSource source(layer.shape, plain);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    KeepingSink chained(layer.shape);
    prepared->compute({attention_ops, -1}, source, chained);
    chained.tensors[Op::attention_norm] = layer.input;
    const TensorSource own(layer.shape, chained.tensors);
    for (const OpRange step : attention_steps(path)) {
        KeepingSink isolated(layer.shape);
        prepared->compute({step, -1}, own, isolated);
        expect_exact(isolated, path, step, chained.tensors);
    }
}

// An operand that two steps round differently is sent once for each.
TEST_P(EveryDesign, EachStepReadsTheInputRoundedAsItDeclares) {
    const LayerCase layer = random_layer({70, 2}, 17);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    Design mixed = design(GetParam());
    mixed.arithmetic[index_of(Op::key)].operand_rounding = datasets::Rounding::toward_zero;
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, mixed);
    const auto prepared = path.prepare(layer);
    KeepingSink together(layer.shape);
    prepared->compute({{Op::query, Op::value}, -1}, source, together);
    for (const Op op : {Op::query, Op::key, Op::value}) {
        KeepingSink alone(layer.shape);
        prepared->compute({{op, op}, -1}, source, alone);
        EXPECT_EQ(alone.tensors[op], together.tensors[op]) << datasets::name(op);
    }
}

TEST_P(EveryDesign, ResultsDoNotDependOnThreadsOrOnWhatRanBefore) {
    const LayerCase layer = random_layer({190, 3}, 9);
    const LayerCase other = random_layer({190, 3}, 10);
    const Tensors input{{Op::attention_norm, layer.input}};
    const Tensors other_input{{Op::attention_norm, other.input}};
    const TensorSource source(layer.shape, input);
    const TensorSource other_source(layer.shape, other_input);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    std::vector<Tensors> runs;
    for (const std::size_t threads : {1U, 2U, 4U}) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
        KeepingSink sink(layer.shape);
        prepared->compute({attention_ops, -1}, source, sink);
        runs.push_back(sink.tensors);
        KeepingSink between(layer.shape);
        prepared->compute({attention_ops, -1}, other_source, between);
        EXPECT_NE(between.tensors.at(Op::output), sink.tensors.at(Op::output));
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_EQ(runs[0], runs[2]);
}

TEST_P(EveryDesign, OneHeadEqualsThatHeadOfAll) {
    const LayerCase layer = random_layer({129, 3}, 14);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    KeepingSink all(layer.shape);
    prepared->compute({attention_ops, -1}, source, all);
    for (int head = 0; head < 3; ++head) {
        KeepingSink one(layer.shape);
        prepared->compute({{Op::query, Op::context}, head}, source, one);
        for (const auto& [op, begin_head, begin] : one.seen) {
            EXPECT_EQ(begin_head, head);
            const std::int64_t columns = datasets::row_width(op, layer.shape);
            for (std::int64_t row = begin; row < std::min<std::int64_t>(begin + 64, 129); ++row) {
                for (std::int64_t column = 0; column < columns; ++column) {
                    const std::size_t index = element(op, layer.shape, head, row, column);
                    ASSERT_EQ(one.tensors[op][index], all.tensors[op][index]) << datasets::name(op);
                }
            }
        }
        EXPECT_EQ(one.seen.size(), (path.emits(Op::scores) ? 6U : 4U) * 3U);
    }
}

TEST_P(EveryDesign, AllocatesInPrepareOnlyAndReleasesEverything) {
    const LayerCase layer = random_layer({65, 2}, 15);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    RecordingDevice device;
    NpuPath path(device, design(GetParam()));
    {
        const auto prepared = path.prepare(layer);
        const int after_prepare = device.allocations;
        for (const int head : {-1, 0, 1, 0}) {
            datasets::NullSink sink;
            prepared->compute({{Op::query, Op::context}, head}, source, sink);
        }
        EXPECT_EQ(device.allocations, after_prepare);
        EXPECT_EQ(device.releases, 0);
    }
    EXPECT_EQ(device.allocations, device.releases);
}

// Bytes from the start of the buffer to what a job writes first.
std::int64_t output_offset(const Job& job) {
    return std::visit([](const auto& work) { return work.out.offset; }, job.work);
}

// The launches of each step, in the step's own order, out of a run of the whole layer: those of the square
// part come interleaved by wave. Told apart by the buffers they read and write.
std::map<Op, std::vector<Launch>> launches_by_step(const std::vector<Launch>& submitted,
                                                   const std::vector<Part>& parts) {
    std::vector<std::vector<Launch>> groups;
    for (const Launch& launch : submitted) {
        const auto same = std::ranges::find_if(
            groups, [&](const std::vector<Launch>& group) { return group[0].buffers == launch.buffers; });
        if (same == groups.end()) {
            groups.push_back({launch});
        } else {
            same->push_back(launch);
        }
    }
    std::map<Op, std::vector<Launch>> by_step;
    EXPECT_EQ(groups.size(), parts.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
        EXPECT_EQ(std::int64_t(groups[i].size()), parts[i].launches);
        by_step[parts[i].ops.last] = groups[i];
    }
    return by_step;
}

// Every job of every launch (of those of one tile the first) is where `locate` says, and (where the op's
// tensor is whole, and on the device) writes there.
void expect_located(const datasets::PreparedLayer& prepared, const std::map<Op, std::vector<Launch>>& by_step,
                    const Design& of, LayerShape shape, int only_head) {
    for (const auto& [op, launches] : by_step) {
        const bool square = datasets::is_square(op);
        const std::int64_t wide = op == Op::output ? shape.heads : (square ? shape.blocks() : 1);
        const bool partial = tile_output(of.arithmetic_of(op)).partial;
        std::set<std::pair<int, std::int64_t>> located;
        for (std::size_t i = 0; i < launches.size(); ++i) {
            for (const Job& job : launches[i].jobs) {
                if (!located.insert({job.head, job.tile}).second) {
                    EXPECT_TRUE(partial);
                    continue;
                }
                const std::int64_t row = job.tile / wide * side;
                const auto site = prepared.locate(op, job.head, row, job.tile % wide * side);
                ASSERT_TRUE(site.has_value()) << datasets::name(op);
                EXPECT_EQ(site->launch, std::int64_t(i)) << datasets::name(op);
                EXPECT_EQ(site->core, job.core);
                EXPECT_EQ(site->tile, job.tile);
                if (!square && op != Op::output && !partial) {
                    const std::int64_t width = only_head < 0 ? shape.width() : side;
                    const std::int64_t column = (job.head - std::max(only_head, 0)) * side;
                    EXPECT_EQ(output_offset(job), (row * width + column) * 2);
                }
            }
        }
    }
}

TEST_P(EveryDesign, LocateAgreesWithTheJobsSubmitted) {
    const LayerCase layer = random_layer({200, 5}, 16);
    const Tensors input{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, input);
    RecordingDevice device;
    NpuPath path(device, design(GetParam()));
    const auto prepared = path.prepare(layer);
    datasets::NullSink sink;
    for (const int head : {-1, 3}) {
        const OpRange ops = head < 0 ? attention_ops : OpRange{Op::query, Op::context};
        device.submitted.clear();
        const auto parts = prepared->compute({ops, head}, source, sink);
        expect_located(*prepared, launches_by_step(device.submitted, parts), design(GetParam()), layer.shape,
                       head);
    }
    EXPECT_FALSE(prepared->locate(Op::query, 0, 0, 0).has_value()) << "only head 3 ran";
    EXPECT_FALSE(prepared->locate(Op::query, 3, 200, 0).has_value());
    EXPECT_FALSE(prepared->locate(Op::fc1, -1, 0, 0).has_value());
    EXPECT_EQ(prepared->locate(Op::scores, 3, 0, 0).has_value(), path.emits(Op::scores));
    // Columns of a whole row of an op with heads count over all of them.
    EXPECT_EQ(prepared->locate(Op::query, -1, 70, 3 * side + 1)->tile, 1);
}

// Faults: each must change what the sink sees, or throw.

struct Fault {
    LayerCase layer = random_layer({130, 4}, 21, 2);
    Tensors plain = plain_layer(layer);
    TensorSource source{layer.shape, plain};
    RecordingDevice device;

    Tensors run(std::string_view design_name) {
        NpuPath path(device, design(design_name));
        KeepingSink sink(layer.shape);
        path.prepare(layer)->compute({attention_ops, -1}, source, sink);
        return sink.tensors;
    }
};

bool has_nan(const std::vector<float>& values) {
    return std::ranges::any_of(values, [](float value) { return std::isnan(value); });
}

TEST_P(EveryDesign, ASilentCoreLeavesPoison) {
    Fault fault;
    EXPECT_FALSE(has_nan(fault.run(GetParam())[Op::output]));
    fault.device.edit = [](Launch& launch) {
        const bool alone = launch.jobs.size() == 1;
        std::erase_if(launch.jobs,
                      [alone](const Job& job) { return job.core == 5 || (alone && job.tile == 1); });
    };
    const Tensors got = fault.run(GetParam());
    EXPECT_TRUE(has_nan(got.at(Op::query)));
    EXPECT_TRUE(has_nan(got.at(Op::context)));
    const auto nan = std::ranges::find_if(got.at(Op::query), [](float value) { return std::isnan(value); });
    const bool f32 = tile_output(design(GetParam()).arithmetic_of(Op::query)).store == kernels::Store::f32;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(*nan), f32 ? 0x7FC07FC0U : 0x7FC00000U) << "the poison itself";
}

// What never comes back to the host is poisoned all the same: what a healthy run left on the device must not
// stand in for what a core no longer makes.
TEST_P(EveryDesign, ASilentCoreLeavesPoisonInWhatStaysOnTheDevice) {
    Fault fault;
    NpuPath path(fault.device, design(GetParam()));
    const auto prepared = path.prepare(fault.layer);
    const auto output = [&] {
        KeepingSink sink(fault.layer.shape, Op::output);
        prepared->compute({attention_ops, -1}, fault.source, sink);
        EXPECT_EQ(sink.tensors.size(), 1U);
        return sink.tensors.at(Op::output);
    };
    EXPECT_FALSE(has_nan(output()));
    for (const OpRange step : path.steps()) {
        if (!datasets::has_heads(step.last)) {
            continue;
        }
        const std::string kernel = design(GetParam()).step_of(step.last).kernel.name;
        std::int64_t erased = 0;
        fault.device.edit = [&](Launch& launch) {
            const bool alone = launch.jobs.size() == 1;
            erased += launch.kernel != kernel
                          ? 0
                          : static_cast<std::int64_t>(std::erase_if(launch.jobs, [alone](const Job& job) {
                                return job.head >= 0 && (job.core == 5 || (alone && job.tile == 1));
                            }));
        };
        EXPECT_TRUE(has_nan(output())) << datasets::name(step.last);
        EXPECT_GT(erased, 0);
    }
    fault.device.edit = nullptr;
    EXPECT_FALSE(has_nan(output()));
}

TEST_P(EveryDesign, MissingTransfersShowAsNaN) {
    for (const Direction direction : {Direction::to_device, Direction::from_device}) {
        Fault fault;
        fault.device.drop_sync = [direction](Direction asked) { return asked == direction; };
        if (direction == Direction::to_device) {
            // Neither poison nor guard reach the device either: what comes back is fresh device memory.
            EXPECT_THROW(fault.run(GetParam()), IntegrityError);
        } else {
            EXPECT_TRUE(has_nan(fault.run(GetParam())[Op::output]));
        }
    }
}

TEST_P(EveryDesign, DroppedLastKTileAndUnmaskedPaddingChangeResults) {
    Fault fault;
    const Tensors healthy = fault.run(GetParam());
    fault.device.edit = [](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* matmul = std::get_if<MatmulJob>(&job.work); matmul != nullptr && matmul->k_tiles == 4) {
                matmul->k_tiles = 3;
            } else if (matmul != nullptr && launch.jobs.size() == 1) {
                matmul->k_tiles = 0;
            }
        }
    };
    EXPECT_NE(fault.run(GetParam()).at(Op::query), healthy.at(Op::query));
    fault.device.edit = [](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* softmax = std::get_if<SoftmaxJob>(&job.work)) {
                softmax->keys = softmax->key_tiles * 64;
            }
            if (auto* attention = std::get_if<AttentionJob>(&job.work)) {
                attention->keys = attention->key_tiles * 64;
            }
        }
    };
    const Tensors unmasked = fault.run(GetParam());
    EXPECT_EQ(unmasked.at(Op::value), healthy.at(Op::value));
    EXPECT_NE(unmasked.at(Op::context), healthy.at(Op::context));
}

TEST_P(EveryDesign, AWriteBehindTheOutputIsAnIntegrityError) {
    Fault fault;
    fault.device.edit = [](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* matmul = std::get_if<MatmulJob>(&job.work);
                matmul != nullptr && job.tile == 2 && job.head == 3) {
                matmul->out.offset += 512;
            }
        }
    };
    try {
        fault.run(GetParam());
        FAIL() << "no IntegrityError";
    } catch (const IntegrityError& error) {
        EXPECT_THAT(error.what(), ::testing::HasSubstr("query: launches "));
        EXPECT_THAT(error.what(), ::testing::HasSubstr("buffer"));
    }
}

TEST(NpuPath, RefusesWorkThatItCannotDo) {
    const LayerCase layer = random_layer({65, 2}, 22);
    const Tensors plain = plain_layer(layer);
    const TensorSource source(layer.shape, plain);
    EmulatedDevice device(kernels::tile_kernels());
    NpuPath fused(device, design("fused"));
    const auto prepared = fused.prepare(layer);
    datasets::NullSink sink;
    EXPECT_THROW(prepared->compute({{Op::probabilities, Op::context}, -1}, source, sink),
                 std::invalid_argument);
    EXPECT_THROW(prepared->compute({{Op::query, Op::scores}, -1}, source, sink), std::invalid_argument);
    EXPECT_THROW(prepared->compute({attention_ops, 0}, source, sink), std::invalid_argument);
    EXPECT_THAT(
        [&] {
            prepared->compute({{Op::query, Op::query}, 2}, source, sink);
        },
        ::testing::ThrowsMessage<std::invalid_argument>(::testing::HasSubstr("head 2 of 2")));
    EXPECT_THROW(prepared->compute({{Op::fc1, Op::fc1}, -1}, source, sink), std::invalid_argument);
    EXPECT_THROW(std::ignore = prepared->planned({{Op::context, Op::output}, -1}), std::invalid_argument);
    EXPECT_FALSE(fused.emits(Op::scores));
    EXPECT_TRUE(fused.emits(Op::context));
    EXPECT_THROW(std::ignore = fused.arithmetic(Op::attention_residual), std::invalid_argument);

    LayerCase short_weights = layer;
    short_weights.weights.attention.value.weight.pop_back();
    EXPECT_THROW(fused.prepare(short_weights), std::invalid_argument);
    EmulatedDevice small(kernels::tile_kernels(), 8);
    EXPECT_THROW(NpuPath(small, design("fused")), DeviceError);
    EXPECT_THROW(NpuPath(small, design("tile64_batch")), DeviceError) << "its softmax has 16";
    EXPECT_NO_THROW(NpuPath(small, with_cores(design("fused"), 8)));
}

}  // namespace
}  // namespace npu_impl
