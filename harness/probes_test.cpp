// Probes: every design passes them, and each fails the fault that it exists for, on the emulated device and
// on an attention in plain loops that is written apart from any design.
#include "harness/probes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "datasets/synthetic.hpp"
#include "harness/bounds.hpp"
#include "harness/probe_bound.hpp"
#include "harness/self_check/faults.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;

datasets::LayerCase layer_of(std::int64_t context, datasets::Profile profile = datasets::Profile::hard) {
    datasets::SyntheticModel model;
    model.profile = profile;
    model.shape.context = context;
    const auto residual = datasets::synthetic_embedding(model);
    return reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
}

std::vector<ProbeRow> probe(const datasets::LayerCase& layer, datasets::Path& path, int head = -1) {
    const reference::GoldenSource golden(layer);
    const auto prepared = path.prepare(layer);
    return run_layer_probes(*prepared, path, golden, layer.shape, head, "harness --compare --layer 0");
}

const ProbeRow& row_of(const std::vector<ProbeRow>& rows, Probe probe) {
    return *std::ranges::find(rows, probe, &ProbeRow::probe);
}

std::string explain(const std::vector<ProbeRow>& rows) {
    std::string out;
    for (const ProbeRow& row : rows) {
        out += "\n  " + std::string(name(row.probe)) + " T " + std::to_string(row.shape.context) + " rho " +
               std::to_string(row.rho) + " sums " + std::to_string(row.row_sum_rho) + " " +
               std::string(name(row.judgement.verdict)) + " " + row.judgement.reason;
    }
    return out;
}

std::set<Probe> failed(const std::vector<ProbeRow>& rows) {
    std::set<Probe> out;
    for (const ProbeRow& row : rows) {
        if (row.judgement.verdict == Verdict::failed) {
            out.insert(row.probe);
        }
    }
    return out;
}

void expect_healthy(const std::vector<ProbeRow>& rows, const std::string& what) {
    for (const ProbeRow& row : rows) {
        EXPECT_THAT(row.judgement.verdict, testing::AnyOf(Verdict::passed, Verdict::covered))
            << what << explain({row});
        EXPECT_EQ(row.nonfinite, 0);
        EXPECT_GT(row.judgement.verdict == Verdict::covered ? 1 : row.judged, 0) << what << explain({row});
    }
}

// The largest ratio to a bound, for the envelope in gate.cpp.
class Envelope {
public:
    void add(const std::vector<ProbeRow>& rows) {
        for (const ProbeRow& row : rows) {
            double& rho = rho_[static_cast<std::size_t>(row.probe)];
            rho = std::max(rho, row.rho);
            row_sum_ = std::max(row_sum_, row.row_sum_rho);
        }
    }
    ~Envelope() {
        for (int i = 0; i < probe_count; ++i) {
            testing::Test::RecordProperty(std::string(name(Probe(i))), std::to_string(rho_[std::size_t(i)]));
        }
        testing::Test::RecordProperty("row_sums", std::to_string(row_sum_));
    }

private:
    std::array<double, probe_count> rho_{};
    double row_sum_ = 0;
};

constexpr std::array emulations{datasets::Emulation::fast, datasets::Emulation::exact};

class EveryDesign : public testing::TestWithParam<datasets::Emulation> {};

TEST_P(EveryDesign, PassesOnHardAndBenignLayers) {
    Envelope envelope;
    const auto device = npu_impl::open_device("emulated", GetParam());
    for (const datasets::Profile profile : {datasets::Profile::hard, datasets::Profile::benign}) {
        const datasets::LayerCase layer = layer_of(300, profile);
        for (const npu_impl::Design& design : npu_impl::designs()) {
            npu_impl::NpuPath path(*device, design);
            const auto rows = probe(layer, path, 3);
            EXPECT_EQ(rows.size(), std::size_t{probe_count});
            expect_healthy(rows, design.name);
            envelope.add(rows);
        }
    }
}

TEST_P(EveryDesign, PassesAtRaggedContexts) {
    Envelope envelope;
    const auto device = npu_impl::open_device("emulated", GetParam());
    for (const npu_impl::Design& design : npu_impl::designs()) {
        npu_impl::NpuPath path(*device, design);
        for (const std::int64_t context : {1, 2, 63, 64, 65, 127}) {
            const auto rows = run_ragged_probes(path, context);
            expect_healthy(rows, design.name);
            envelope.add(rows);
            EXPECT_EQ(rows.size(), std::size_t{probe_count} + 4);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Emulations, EveryDesign, testing::ValuesIn(emulations),
                         [](const auto& one) { return std::string(datasets::name(one.param)); });

TEST(Probes, PassAtFullContexts) {
    Envelope envelope;
    const auto device = npu_impl::open_device("emulated");
    for (const char* design : {"unfused", "fused"}) {
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        for (const std::int64_t context : {1499, 3001}) {
            const auto rows = run_ragged_probes(path, context);
            expect_healthy(rows, design);
            envelope.add(rows);
        }
        for (const int head : {0, 6}) {
            const auto rows = probe(layer_of(1500), path, head);
            expect_healthy(rows, design);
            envelope.add(rows);
        }
    }
}

std::unique_ptr<npu_impl::Device> broken_device(const std::string& fault, npu_impl::Device& healthy) {
    const auto faults = planted_faults();
    const auto found = std::ranges::find(faults, fault, &Fault::name);
    return found == faults.end() ? nullptr : found->plant.device(healthy);
}

struct Expected {
    const char* fault;
    Probe probe;
    std::vector<const char*> designs;
};

void PrintTo(const Expected& expected, std::ostream* out) {
    *out << expected.fault << " by " << name(expected.probe);
}

class DeviceFault : public testing::TestWithParam<Expected> {};

TEST_P(DeviceFault, FailsTheProbeThatExistsForIt) {
    const datasets::LayerCase layer = layer_of(250);
    const auto healthy = npu_impl::open_device("emulated");
    for (const char* design : GetParam().designs) {
        const auto device = broken_device(GetParam().fault, *healthy);
        ASSERT_NE(device, nullptr);
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        const auto rows = probe(layer, path);
        EXPECT_THAT(failed(rows), testing::Contains(GetParam().probe)) << design << explain(rows);
        const ProbeRow& row = row_of(rows, GetParam().probe);
        EXPECT_FALSE(row.judgement.findings.empty());
        EXPECT_EQ(row.reproduce, "harness --compare --layer 0 --op context");
        RecordProperty(std::string("rho_") + design, std::to_string(row.rho));
        RecordProperty(std::string("row_sum_rho_") + design, std::to_string(row.row_sum_rho));
    }
}

// One key of padding is all that T = 63 has.
TEST(Probes, SeeOneUnmaskedKey) {
    const auto healthy = npu_impl::open_device("emulated");
    for (const npu_impl::Design& design : npu_impl::designs()) {
        const auto device = broken_device("padded_keys_unmasked", *healthy);
        npu_impl::NpuPath path(*device, design);
        EXPECT_THAT(failed(run_ragged_probes(path, 63)), testing::Contains(Probe::ones)) << design.name;
        EXPECT_THAT(failed(run_ragged_probes(path, 64)), testing::IsEmpty()) << "there is none";
    }
}

TEST(Probes, SeeTheValuesOfAnotherHead) {
    const datasets::LayerCase layer = layer_of(130);
    const auto healthy = npu_impl::open_device("emulated");
    const auto faults = planted_faults();
    const auto fault = std::ranges::find(faults, "heads_swapped", &Fault::name);
    npu_impl::NpuPath path(*healthy, *npu_impl::find_design("fused"));
    const auto swapped = fault->plant.path(path, {});
    const auto rows = probe(layer, *swapped);
    EXPECT_THAT(failed(rows), testing::IsSupersetOf({Probe::zero_keys, Probe::one_hot})) << explain(rows);
    EXPECT_THAT(row_of(rows, Probe::one_hot).judgement.reason, testing::HasSubstr("say: head 1, row "));
    RecordProperty("rho", std::to_string(row_of(rows, Probe::zero_keys).rho));
}

INSTANTIATE_TEST_SUITE_P(
    Probes, DeviceFault,
    testing::Values(Expected{"padded_keys_unmasked", Probe::ones, {"unfused", "fused"}},
                    Expected{"last_key_dropped", Probe::one_hot, {"unfused", "fused"}},
                    Expected{"value_tile_transposed", Probe::one_hot, {"unfused", "fused"}},
                    Expected{"tiles_exchanged", Probe::one_hot, {"unfused", "fused"}},
                    Expected{"tile_rows_shifted_by_one", Probe::one_hot, {"unfused", "fused"}},
                    Expected{"zero_tile", Probe::zero_keys, {"unfused", "fused"}},
                    Expected{"core_half_a_percent_off", Probe::integers, {"unfused"}},
                    Expected{"scale_missing", Probe::integers, {"unfused"}},
                    Expected{"scale_of_63_channels", Probe::deep_keys, {"unfused", "fused"}},
                    Expected{"core_silent", Probe::raised_keys, {"unfused", "fused"}}),
    [](const auto& one) {
        return std::string(one.param.fault) + "_by_" + std::string(name(one.param.probe));
    });

// Seven padded keys with logit 0 beside logits near +90: e^-90 of the probability, which no recorded
// activation shows.
TEST(Probes, SeesSevenUnmaskedPadsBesideAPeakedHeadAtT3001) {
    const datasets::LayerCase layer = layer_of(3001);
    const auto healthy = npu_impl::open_device("emulated");
    for (const char* design : {"unfused", "fused"}) {
        const auto device = broken_device("padded_keys_unmasked", *healthy);
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        const auto rows = probe(layer, path, 0);
        const ProbeRow& ones = row_of(rows, Probe::ones);
        EXPECT_EQ(ones.judgement.verdict, Verdict::failed) << design << explain(rows);
        EXPECT_LT(ones.worst.got, 0.01) << "the padding takes all";
        EXPECT_THAT(ones.judgement.reason, testing::HasSubstr("padding takes part"));
        if (std::string(design) == "unfused") {
            EXPECT_GT(ones.row_sum_rho, 1);
            EXPECT_TRUE(std::ranges::any_of(ones.judgement.findings, [](const Finding& finding) {
                return finding.quantity == Quantity::probe_row_sum;
            }));
        }
    }
}

// Logits of the integer model spread, so that their scale counts where that of a recording does not.
TEST(Probes, SeeAMissingScaleInAFusedStep) {
    const auto healthy = npu_impl::open_device("emulated");
    const auto device = broken_device("scale_missing", *healthy);
    npu_impl::NpuPath path(*device, *npu_impl::find_design("fused"));
    const auto rows = run_ragged_probes(path, 127);
    EXPECT_THAT(failed(rows), testing::Contains(Probe::raised_keys)) << explain(rows);
}

// The bound of a long row has no more room than that of a short one, where no maximum has to be rescaled.
TEST(Probes, SeeAScaleOf63ChannelsInAFusedStepAtAnyLength) {
    const auto healthy = npu_impl::open_device("emulated");
    for (const std::int64_t context : {65, 1500, 3001}) {
        const auto device = broken_device("scale_of_63_channels", *healthy);
        npu_impl::NpuPath path(*device, *npu_impl::find_design("fused"));
        const auto rows = run_ragged_probes(path, context);
        EXPECT_THAT(failed(rows), testing::Contains(Probe::deep_keys)) << "T = " << context << explain(rows);
    }
}

TEST(Probes, NameWhatALayoutErrorPutWhere) {
    const datasets::LayerCase layer = layer_of(250);
    const auto healthy = npu_impl::open_device("emulated");
    const auto device = broken_device("tile_rows_shifted_by_one", *healthy);
    npu_impl::NpuPath path(*device, *npu_impl::find_design("fused"));
    const ProbeRow& row = row_of(probe(layer, path, 2), Probe::one_hot);
    ASSERT_EQ(row.judgement.verdict, Verdict::failed);
    EXPECT_TRUE(row.site.has_value());
    EXPECT_THAT(row.judgement.reason, testing::HasSubstr("; due: row "));
    EXPECT_THAT(row.judgement.reason,
                testing::AnyOf(testing::HasSubstr("say: head 2, row "), testing::HasSubstr("hold no index")));
}

// What a kernel in plain loops may get wrong.
enum class Flaw : std::uint8_t {
    none,
    no_maximum,         // exp of the logits as they are
    two_pads,           // two keys of logit 0 and value 0 beyond the last
    pads_after_hot,     // the same only where the row's largest logit is below 0
    no_rescale,         // sum and context of a tile keep the maximum of their time
    sum_in_bf16,        // the running sum rounded after every key
    first_key_twice,    // counted twice
    bf16_log2_e,        // 2^(1.4453125 d): 1.8 parts in 1000 of each exponent
    value_of_neighbour  // row j + 1 of V for row j
};

// Fused attention, fp32 sums and an exact exp, one running maximum over tiles of 64 keys.
class PlainAttention final : public datasets::Path {
public:
    explicit PlainAttention(Flaw flaw) : flaw_(flaw) {}

    [[nodiscard]] std::string_view name() const override { return "plain"; }
    [[nodiscard]] std::span<const OpRange> steps() const override {
        static constexpr OpRange step{Op::scores, Op::context};
        return {&step, 1};
    }
    [[nodiscard]] bool emits(Op op) const override { return op == Op::context; }
    [[nodiscard]] datasets::Arithmetic arithmetic(Op) const override {
        datasets::Arithmetic out;
        out.operand = datasets::DType::bf16;
        out.accumulation = datasets::Accumulation::chain_f32;
        out.key_tile = 64;
        out.exp_error = 1e-6;
        return out;
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override {
        return std::make_unique<Prepared>(layer.shape, flaw_);
    }

private:
    class Prepared final : public datasets::PreparedLayer {
    public:
        Prepared(datasets::LayerShape shape, Flaw flaw) : shape_(shape), flaw_(flaw) {}

        std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                            datasets::Sink& sink) override {
            for (int head = std::max(work.head, 0); head < (work.head < 0 ? shape_.heads : work.head + 1);
                 ++head) {
                std::vector<float> q(std::size_t(shape_.context * 64));
                std::vector<float> k = q;
                std::vector<float> v = q;
                for (auto [op, into] : {std::pair{Op::query, &q}, {Op::key, &k}, {Op::value, &v}}) {
                    source.rows(op, {head, 0, shape_.context}, *into);
                    for (float& x : *into) {
                        x = datasets::round_to_bf16(x, datasets::Rounding::nearest_even);
                    }
                }
                for (std::int64_t begin = 0; begin < shape_.context; begin += 64) {
                    const std::int64_t count = std::min<std::int64_t>(64, shape_.context - begin);
                    std::vector<float> out;
                    for (std::int64_t row = begin; row < begin + count; ++row) {
                        attend(std::span(q).subspan(std::size_t(row * 64), 64), k, v, out);
                    }
                    sink.accept(Op::context, {head, begin, count}, {out.data(), count, 64, 64});
                }
            }
            return {};
        }
        [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work) const override { return {}; }
        [[nodiscard]] std::optional<datasets::Site> locate(Op, int, std::int64_t,
                                                           std::int64_t) const override {
            return std::nullopt;
        }

    private:
        void attend(std::span<const float> q, const std::vector<float>& k, const std::vector<float>& v,
                    std::vector<float>& out) const {
            const std::int64_t keys = shape_.context;
            const auto score = [&](std::int64_t j) {
                float sum = 0;
                for (std::size_t c = 0; c < 64 && j < keys; ++c) {
                    sum += q[c] * k[std::size_t(j * 64) + c];
                }
                return sum / 8;
            };
            std::int64_t all = keys + (flaw_ == Flaw::two_pads ? 2 : 0);
            if (flaw_ == Flaw::pads_after_hot) {
                float top = -std::numeric_limits<float>::infinity();
                for (std::int64_t j = 0; j < keys; ++j) {
                    top = std::max(top, score(j));
                }
                all += top < 0 ? 2 : 0;
            }
            float maximum = -std::numeric_limits<float>::infinity();
            float sum = 0;
            std::vector<float> context(64, 0.0F);
            for (std::int64_t first = 0; first < all; first += 64) {
                const std::int64_t end = std::min(first + 64, all);
                std::vector<float> s;
                for (std::int64_t j = first; j < end; ++j) {
                    s.push_back(score(j));
                }
                const float before = maximum;
                maximum = flaw_ == Flaw::no_maximum ? 0 : std::max(maximum, *std::ranges::max_element(s));
                const float factor = flaw_ == Flaw::no_rescale || first == 0 ? 1 : std::exp(before - maximum);
                sum *= factor;
                std::ranges::for_each(context, [&](float& x) { x *= factor; });
                for (std::int64_t j = first; j < end; ++j) {
                    const float d = s[std::size_t(j - first)] - maximum;
                    const float w = flaw_ == Flaw::bf16_log2_e ? std::exp2(1.4453125F * d) : std::exp(d);
                    sum += w * (flaw_ == Flaw::first_key_twice && j == 0 ? 2 : 1);
                    sum = flaw_ == Flaw::sum_in_bf16
                              ? datasets::round_to_bf16(sum, datasets::Rounding::nearest_even)
                              : sum;
                    const std::int64_t from = flaw_ == Flaw::value_of_neighbour ? (j + 1) % keys : j;
                    for (std::size_t c = 0; c < 64 && j < keys; ++c) {
                        context[c] += w * v[std::size_t(from * 64) + c];
                    }
                }
            }
            for (const float x : context) {
                out.push_back(x / sum);
            }
        }

        datasets::LayerShape shape_;
        Flaw flaw_;
    };

    Flaw flaw_;
};

TEST(PlainAttention, PassesWhereItIsRight) {
    PlainAttention path(Flaw::none);
    for (const datasets::Profile profile : {datasets::Profile::hard, datasets::Profile::benign}) {
        const auto rows = probe(layer_of(200, profile), path);
        expect_healthy(rows, "plain");
        EXPECT_EQ(rows.back().judgement.verdict, Verdict::covered);
    }
}

// On benign data, where logits are small: what the golden comparison cannot see.
TEST(PlainAttention, IsFoundOnBenignData) {
    const datasets::LayerCase layer = layer_of(200, datasets::Profile::benign);
    for (const auto& [flaw, probe_of_it] :
         {std::pair{Flaw::no_maximum, Probe::raised_keys}, std::pair{Flaw::two_pads, Probe::ones},
          std::pair{Flaw::pads_after_hot, Probe::ones}, std::pair{Flaw::sum_in_bf16, Probe::ones},
          std::pair{Flaw::first_key_twice, Probe::zero_keys}, std::pair{Flaw::bf16_log2_e, Probe::deep_keys},
          std::pair{Flaw::value_of_neighbour, Probe::one_hot}}) {
        PlainAttention path(flaw);
        const auto rows = probe(layer, path);
        EXPECT_THAT(failed(rows), testing::Contains(probe_of_it)) << int(flaw) << explain(rows);
    }
    PlainAttention path(Flaw::no_rescale);
    EXPECT_THAT(failed(probe(layer_of(200), path)), testing::Contains(Probe::one_hot));
}

TEST(PlainAttention, NamesTheRowThatStandsWhereAnotherIsDue) {
    PlainAttention path(Flaw::value_of_neighbour);
    const ProbeRow& row = row_of(probe(layer_of(200), path, 5), Probe::one_hot);
    const std::int64_t due = hot_key(row.worst.row, 200);
    const std::int64_t found = (due + 1) % 200;
    EXPECT_THAT(row.judgement.reason, testing::HasSubstr("due: row " + std::to_string(due % 64) +
                                                         " of tile " + std::to_string(due / 64)));
    EXPECT_THAT(row.judgement.reason, testing::HasSubstr("say: head 5, row " + std::to_string(found % 64) +
                                                         " of tile " + std::to_string(found / 64)));
}

TEST(ProbeData, HotKeysAreAPermutationThatScatters) {
    for (const std::int64_t keys : {1, 2, 3, 63, 64, 65, 127, 1500, 3001}) {
        std::set<std::int64_t> seen;
        for (std::int64_t row = 0; row < keys; ++row) {
            seen.insert(hot_key(row, keys));
        }
        EXPECT_EQ(std::ssize(seen), keys);
        EXPECT_EQ(*seen.begin(), 0);
        EXPECT_EQ(*seen.rbegin(), keys - 1);
    }
}

TEST(ProbeData, CodesLieApartByTheirMargin) {
    for (const std::int64_t keys : {2, 65, 300}) {
        for (std::int64_t i = 0; i < keys; ++i) {
            for (std::int64_t j = 0; j < keys; ++j) {
                double own = 0;
                double other = 0;
                for (int c = 0; c < 64; ++c) {
                    own += double{code(i, keys, c)} * double{code(i, keys, c)} / 8;
                    other += double{code(i, keys, c)} * double{code(j, keys, c)} / 8;
                }
                ASSERT_TRUE(i == j || own - other >= code_margin(keys)) << keys << " " << i << " " << j;
            }
        }
    }
    EXPECT_GE(code_margin(3001), 60) << "others weigh less than 1e-26";
    EXPECT_GE(code_margin(65536), 60);
}

TEST(ProbeData, EveryRowMeetsEveryDepthOnceAndEveryClassHasKeys) {
    for (const int head : {0, 7}) {
        for (const std::int64_t row : {0, 1, 63, 64, 3000}) {
            std::set<float> seen;
            float lead = 0;
            for (int channel = 0; channel < depths; ++channel) {
                seen.insert(depth_query(head, row, channel));
                lead += depth_query(head, row, channel) * depth_key(head, 0, channel) / 8;
                EXPECT_EQ(depth_value(head, 0, channel), 0) << "what leads has no share in any context";
            }
            EXPECT_EQ(lead, 2 - 1.0F / 32) << "more than the error of any row's logits";
            EXPECT_EQ(std::ssize(seen), depths);
            EXPECT_EQ(*seen.begin(), 1 - depths);
            EXPECT_EQ(*seen.rbegin(), 0);
        }
        std::set<int> classes;
        for (std::int64_t key = 0; key < 1500; ++key) {
            classes.insert(depth_class(head, key));
        }
        EXPECT_EQ(std::ssize(classes), depths);
    }
}

TEST(ProbeData, ShiftsReachTheirMarginAndAreExact) {
    const datasets::LayerCase layer = layer_of(300);
    const reference::GoldenSource golden(layer);
    const auto maxima = logit_maxima(golden.row_statistics().max, layer.shape);
    for (int head = 0; head < 8; ++head) {
        std::vector<float> q(300 * 64);
        std::vector<float> k(300 * 64);
        golden.rows(Op::query, {head, 0, 300}, q);
        golden.rows(Op::key, {head, 0, 300}, k);
        for (const ShiftTo to : {ShiftTo::below, ShiftTo::above}) {
            const Shift shift = shift_of(q, k, maxima[std::size_t(head)], to, 100);
            EXPECT_EQ(shift.key, datasets::round_to_bf16(shift.key, datasets::Rounding::toward_zero));
            for (std::size_t row = 0; row < 300; ++row) {
                double top = -std::numeric_limits<double>::infinity();
                for (std::size_t key = 0; key < 300; ++key) {
                    double s = double{shift.query_of(std::int64_t(row))} * double{shift.key};
                    for (std::size_t c = 0; c < 64; ++c) {
                        s +=
                            int(c) == shift.channel ? 0.0 : double{q[row * 64 + c]} * double{k[key * 64 + c]};
                    }
                    top = std::max(top, s / 8);
                }
                const bool raised = to == ShiftTo::above && row % 2 == 0;
                const double least = to == ShiftTo::below ? 99.99 : 0;
                ASSERT_TRUE(raised ? top >= 99.99 : top <= -least) << head << " " << row << " " << top;
                ASSERT_LT(std::abs(top), 500);
            }
        }
    }
}

TEST(ProbeData, IntegerSumsAreExactInBf16) {
    for (const std::int64_t keys : {1, 63, 64, 3001}) {
        const auto chosen = integer_keys(keys / 2, keys);
        EXPECT_EQ(std::set<std::int64_t>(chosen.begin(), chosen.end()).size(), chosen.size());
        EXPECT_LE(2 * std::ssize(chosen), 256);
    }
}

// Row sums of the softmax's own worst case, by its two ways to a weight: kept with the running maximum of its
// time and rescaled, or made anew.
TEST(ProbeBound, HoldsForSumsThatWereRescaledWithTheLargestError) {
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath path(*device, *npu_impl::find_design("unfused"));
    const ProbeBound bound(path, 256);
    const datasets::Arithmetic declared = path.arithmetic(Op::probabilities);
    std::vector<float> scores(256, -5.0F);
    EXPECT_LT(bound.row_sum(scores), 0.01) << "nothing grows";
    for (std::size_t j = 192; j < 256; ++j) {
        scores[j] = -2;
    }
    // Three growths of which each factor errs by E, against weights that err by E the other way.
    double sum = 0;
    double stored = 0;
    for (std::size_t j = 0; j < 256; ++j) {
        const double weight = std::exp(double{scores[j]} + 2);
        sum += weight * (j < 192 ? (1 - declared.exp_error) * (1 - declared.exp_error) : 1.0);
        stored += weight * (j < 192 ? 1 + declared.exp_error : 1.0);
    }
    EXPECT_GT(bound.row_sum(scores), stored / sum - 1);
    EXPECT_LT(bound.row_sum(scores), 0.1);
}

// The judge derives the same bound from weights that it has anyway.
TEST(ProbeBound, IsWhatTheJudgeHoldsEveryRowTo) {
    class Scores final : public datasets::Source {
    public:
        void rows(Op, datasets::Rows rows, std::span<float> out) const override {
            for (std::size_t i = 0; i < out.size(); ++i) {
                const auto row = static_cast<float>(rows.begin + std::int64_t(i / 300));
                const auto key = static_cast<float>(i % 300);
                out[i] = 3 * std::sin(0.37F * key * (1 + row)) + 0.01F * row * key;  // grows in some
            }
        }
    };
    const auto device = npu_impl::open_device("emulated");
    for (const char* design : {"unfused", "gemm_array,softmax_rows_floor", "legacy_tile64"}) {
        npu_impl::NpuPath path(*device, *npu_impl::find_design(design));
        datasets::LayerCase layer;
        layer.shape = {300, 1};
        const Scores scores;
        Bounded judged;
        Bounds(layer, scores)
            .of(Op::probabilities, {0, 0, 64}, path.arithmetic(Op::probabilities), false, judged);
        ASSERT_EQ(judged.row_sum.size(), 64U);
        const ProbeBound probed(path, 300);
        std::vector<float> row(300);
        for (std::int64_t r = 0; r < 64; ++r) {
            scores.rows(Op::scores, {0, r, 1}, row);
            const double wanted = probed.row_sum(row);
            EXPECT_GT(judged.row_sum[std::size_t(r)], wanted * (1 - 1e-6)) << design << " " << r;
            EXPECT_LT(judged.row_sum[std::size_t(r)], wanted * 1.02) << design << " " << r;
        }
        const auto [least, most] = std::ranges::minmax(judged.row_sum);
        EXPECT_GT(most, 4 * least) << design << ": maxima grow in some rows only";
    }
}

}  // namespace
}  // namespace harness
