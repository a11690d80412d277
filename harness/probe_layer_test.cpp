// The layers of a probe recording: their projections are what they promise, to the last bit; every design
// passes them, from query to context; and each fails the faults that its probe exists for.
#include "harness/probe_layer.hpp"
#include "harness/index.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "datasets/bf16.hpp"
#include "harness/certificate.hpp"
#include "harness/probes.hpp"
#include "harness/self_check/candidate.hpp"
#include "harness/self_check/faults.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::LayerShape;
using datasets::Op;
using testing::Contains;

// Shapes whose tiles, codes and heads end differently.
const LayerShape shapes[] = {{1, 2}, {2, 3}, {64, 2}, {65, 2}, {250, 8}};

class EveryProbe : public testing::TestWithParam<int> {
protected:
    [[nodiscard]] static Probe probe() { return static_cast<Probe>(GetParam()); }
};

TEST_P(EveryProbe, HasProjectionsThatNoFormatRounds) {
    for (const LayerShape shape : shapes) {
        SCOPED_TRACE(testing::Message() << "T = " << shape.context << ", heads " << shape.heads);
        const KnownLayer known = probe_layer(probe(), shape);
        const datasets::LayerCase& layer = known.layer();
        for (const auto& [op, tensor] : layer.recorded) {
            ASSERT_EQ(std::ssize(tensor), shape.context * shape.width());
            for (const float x : tensor) {
                ASSERT_EQ(datasets::round_to_bf16(x, datasets::Rounding::floor), x) << datasets::name(op);
            }
        }
        for (const float x : layer.input) {
            ASSERT_EQ(datasets::round_to_bf16(x, datasets::Rounding::floor), x);
        }
        // The golden multiplies by BLAS; the oracle of its certificate in fp64 loops.
        const reference::GoldenSource golden(layer);
        for (const Op op : {Op::query, Op::key, Op::value}) {
            std::vector<float> got(index(shape.context * shape.width()));
            golden.rows(op, {-1, 0, shape.context}, got);
            EXPECT_TRUE(std::ranges::equal(got, known.tensor(op))) << datasets::name(op);
        }
        EXPECT_EQ(certify(layer, golden, {Op::query, Op::output}, 1).fault, "");
    }
}

// What the design makes of the layer's input passes.
void expect_passed(Probe probe, const KnownLayer& known, npu_impl::Device& device,
                   const npu_impl::Design& design) {
    npu_impl::NpuPath path(device, design);
    const auto rows = run_known_probe(*path.prepare(known.layer()), path, known, probe, {});
    EXPECT_FALSE(rows.empty());
    for (const ProbeRow& row : rows) {
        EXPECT_EQ(row.judgement.verdict, Verdict::passed)
            << design.name << " " << datasets::name(row.op) << " T = " << row.shape.context << " rho "
            << row.rho << " " << row.judgement.reason;
        EXPECT_GT(row.judged, 0) << design.name;
    }
}

TEST_P(EveryProbe, PassesEveryDesign) {
    const auto device = npu_impl::open_device("emulated");
    for (const LayerShape shape : {LayerShape{65, 2}, LayerShape{130, 3}}) {
        const KnownLayer known = probe_layer(probe(), shape);
        for (const npu_impl::Design& design : npu_impl::designs()) {
            expect_passed(probe(), known, *device, design);
        }
    }
}

TEST_P(EveryProbe, PassesAtFullContexts) {
    const auto device = npu_impl::open_device("emulated");
    for (const std::int64_t context : {1500, 3001}) {
        const KnownLayer known = probe_layer(probe(), {context, 2});
        for (const char* design : {"unfused", "fused"}) {
            expect_passed(probe(), known, *device, *npu_impl::find_design(design));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Probes, EveryProbe, testing::Range(0, probe_count),
                         [](const auto& one) { return std::string(name(static_cast<Probe>(one.param))); });

// Scaled logits of one head in fp64, [query, key].
std::vector<double> logits(const KnownLayer& known, int head) {
    const std::int64_t keys = known.layer().shape.context;
    std::vector<float> query(index(keys * datasets::head_width));
    std::vector<float> key(query.size());
    known.rows(Op::query, {head, 0, keys}, query);
    known.rows(Op::key, {head, 0, keys}, key);
    std::vector<double> out;
    for (std::int64_t i = 0; i < keys; ++i) {
        for (std::int64_t j = 0; j < keys; ++j) {
            double sum = 0;
            for (std::int64_t c = 0; c < datasets::head_width; ++c) {
                sum += double{query[index(i * datasets::head_width + c)]} *
                       double{key[index(j * datasets::head_width + c)]};
            }
            out.push_back(sum / 8);
        }
    }
    return out;
}

struct Extremes {
    double lowest = 0;
    double highest = 0;
};

// Calls check(logits of a row) for every row of every head.
template <typename Check>
void for_rows(Probe probe, LayerShape shape, Check check) {
    const KnownLayer known = probe_layer(probe, shape);
    for (int head = 0; head < shape.heads; ++head) {
        const std::vector<double> all = logits(known, head);
        for (std::int64_t row = 0; row < shape.context; ++row) {
            check(head, row, std::span(all).subspan(index(row * shape.context), index(shape.context)));
        }
    }
}

constexpr LayerShape usual{250, 3};

TEST(ProbeLayer, OnesHaveLogitsFarBelowZeroAndValuesOfOne) {
    for_rows(Probe::ones, usual,
             [](int, std::int64_t, std::span<const double> row) { EXPECT_LE(std::ranges::max(row), -100); });
    const KnownLayer known = probe_layer(Probe::ones, usual);
    EXPECT_THAT(known.tensor(Op::value), testing::Each(1.0F));
}

TEST(ProbeLayer, ZeroKeysAreZeroAndTheirValuesDiffer) {
    const KnownLayer known = probe_layer(Probe::zero_keys, usual);
    EXPECT_THAT(known.tensor(Op::key), testing::Each(0.0F));
    const auto value = known.tensor(Op::value);
    EXPECT_GT(std::set<float>(value.begin(), value.end()).size(), 10U);
}

TEST(ProbeLayer, RaisedKeysHaveRowsAboveAHundredAndFarBelowInTurnAndNoTwoAlike) {
    std::set<double> maxima;
    for_rows(Probe::raised_keys, usual, [&](int, std::int64_t i, std::span<const double> row) {
        const double largest = std::ranges::max(row);
        EXPECT_TRUE(i % 2 == 0 ? largest >= 100 : largest <= -90) << i << " " << largest;
        maxima.insert(largest);
    });
    EXPECT_GT(maxima.size(), 20U);
}

TEST(ProbeLayer, DeepKeysReachEveryDepthInEveryRow) {
    for_rows(Probe::deep_keys, usual, [](int, std::int64_t, std::span<const double> row) {
        EXPECT_EQ(row[0], 2 - 1.0 / 32) << "a lead over all other keys";
        std::set<double> depths_seen(row.begin() + 1, row.end());
        EXPECT_EQ(*depths_seen.rbegin(), 0);
        EXPECT_GE(*depths_seen.begin(), -63);
        EXPECT_LE(*depths_seen.begin(), -60);
        EXPECT_GT(depths_seen.size(), 55U) << "250 keys fall into most of 64 classes";
    });
}

TEST(ProbeLayer, OneHotRowsFindTheirKeyAndItsValueSaysWhereItIs) {
    const KnownLayer known = probe_layer(Probe::one_hot, usual);
    for_rows(Probe::one_hot, usual, [](int, std::int64_t row, std::span<const double> all) {
        const std::int64_t due = hot_key(row, usual.context);
        for (std::int64_t key = 0; key < usual.context; ++key) {
            EXPECT_LE(all[index(key)], all[index(due)] - (key == due ? 0 : code_margin(usual.context)));
        }
    });
    std::vector<float> value(datasets::head_width);
    for (std::int64_t row = 0; row < usual.context; ++row) {
        for (int head = 0; head < usual.heads; ++head) {
            known.rows(Op::value, {head, row, 1}, value);
            for (int c = 0; c < datasets::head_width; ++c) {
                ASSERT_EQ(value[index(c)], index_value(head, row, c));
            }
        }
    }
}

TEST(ProbeLayer, IntegersHaveScoresThatBf16Holds) {
    for (const LayerShape shape : {LayerShape{250, 3}, LayerShape{300, 6}, LayerShape{70, 20}}) {
        Extremes extremes;
        for_rows(Probe::integers, shape, [&](int, std::int64_t, std::span<const double> row) {
            extremes.lowest = std::min(extremes.lowest, std::ranges::min(row) * 8);
            extremes.highest = std::max(extremes.highest, std::ranges::max(row) * 8);
        });
        EXPECT_GE(extremes.lowest, -256);
        EXPECT_LE(extremes.highest, 256);
        EXPECT_GT(extremes.highest, 32);
    }
}

TEST(ProbeLayer, NeedsTwoHeads) {
    EXPECT_THROW(probe_layer(Probe::deep_keys, {64, 1}), std::invalid_argument);
}

// A fault, and the probe that must fail.
struct Expected {
    const char* fault;
    const char* design;
    Probe probe;
};

void PrintTo(const Expected& expected, std::ostream* out) {
    *out << expected.fault << " by " << name(expected.probe);
}

class KnownFault : public testing::TestWithParam<Expected> {};

TEST_P(KnownFault, FailsTheProbeThatExistsForIt) {
    const auto faults = planted_faults();
    const auto fault = std::ranges::find(faults, GetParam().fault, &Fault::name);
    ASSERT_NE(fault, faults.end());
    const Ground nothing;
    Candidate faulty(fault->plant, nothing, *npu_impl::find_design(GetParam().design),
                     datasets::Emulation::fast);
    const KnownLayer known = probe_layer(GetParam().probe, usual);
    const auto rows =
        run_known_probe(*faulty.path().prepare(known.layer()), faulty.path(), known, GetParam().probe, {});
    std::vector<Verdict> verdicts;
    std::ranges::transform(rows, std::back_inserter(verdicts),
                           [](const ProbeRow& row) { return row.judgement.verdict; });
    EXPECT_THAT(verdicts, Contains(Verdict::failed));
}

INSTANTIATE_TEST_SUITE_P(Probes, KnownFault,
                         testing::Values(Expected{"padded_keys_unmasked", "fused", Probe::ones},
                                         Expected{"padded_keys_unmasked_on_peaked_rows", "fused",
                                                  Probe::ones},
                                         Expected{"softmax_sum_per_tile", "unfused", Probe::ones},
                                         Expected{"softmax_bf16_sum", "unfused", Probe::ones},
                                         Expected{"zero_tile", "fused", Probe::zero_keys},
                                         Expected{"last_key_dropped", "fused", Probe::zero_keys},
                                         Expected{"softmax_without_max", "fused", Probe::raised_keys},
                                         Expected{"softmax_maximum_shared", "fused", Probe::raised_keys},
                                         Expected{"scale_of_63_channels", "fused", Probe::deep_keys},
                                         Expected{"scale_missing", "fused", Probe::deep_keys},
                                         Expected{"exp_to_base_two", "fused", Probe::deep_keys},
                                         Expected{"tiles_exchanged", "fused", Probe::one_hot},
                                         Expected{"value_tile_transposed", "fused", Probe::one_hot},
                                         Expected{"core_half_a_percent_off", "unfused", Probe::integers},
                                         Expected{"wrong_k_slice", "unfused", Probe::integers},
                                         Expected{"bias_missing", "unfused", Probe::integers}),
                         [](const auto& one) {
                             return std::string(one.param.fault) + "_in_" + one.param.design + "_by_" +
                                    std::string(name(one.param.probe));
                         });

}  // namespace
}  // namespace harness
