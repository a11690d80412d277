// A fault planted in one op is found at that op, and the shares of the output's error add up.
#include "harness/bisect.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "datasets/case_name_test.hpp"
#include "datasets/synthetic.hpp"
#include "harness/exact_source.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden_end_source.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

datasets::LayerCase hard_layer(std::int64_t context) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    const auto residual = datasets::synthetic_embedding(model);
    return reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
}

// What even and odd columns are multiplied by.
struct Factors {
    float even = 1;
    float odd = 1;

    Factors(float even_columns, float odd_columns) : even(even_columns), odd(odd_columns) {}
    Factors(float all) : Factors(all, all) {}
};

// Keeps everything that is pushed, square tensors too: only for small contexts. Values of `faulty` are
// scaled.
class KeptRun final : public datasets::Sink, public datasets::Source {
public:
    KeptRun(const datasets::Source& upstream, Op faulty, Factors factors)
        : upstream_(upstream), faulty_(faulty), factors_(factors) {}

    bool wants(Op) const override { return true; }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        std::vector<float> block;
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const auto from = values.row(row);
            for (std::size_t c = 0; c < from.size(); ++c) {
                block.push_back(op == faulty_ ? scaled(from[c], c % 2 == 0 ? factors_.even : factors_.odd)
                                              : from[c]);
            }
        }
        const std::scoped_lock lock(mutex_);
        blocks_[{op, {rows.head, rows.begin}}] = std::move(block);
    }
    void rows(Op op, Rows rows, std::span<float> out) const override {
        const std::int64_t columns = std::ssize(out) / rows.count;
        for (std::int64_t row = rows.begin; row < rows.begin + rows.count; ++row) {
            const auto to = out.begin() + (row - rows.begin) * columns;
            const std::int64_t begin = row / 64 * 64;
            if (rows.head < 0 && blocks_.contains({op, {0, begin}})) {
                for (int head = 0; head < columns / 64; ++head) {
                    std::copy_n(blocks_.at({op, {head, begin}}).begin() + (row - begin) * 64, 64,
                                to + head * 64);
                }
            } else if (blocks_.contains({op, {rows.head, begin}})) {
                std::copy_n(blocks_.at({op, {rows.head, begin}}).begin() + (row - begin) * columns, columns,
                            to);
            } else {
                upstream_.rows(op, {rows.head, row, 1},
                               out.subspan(std::size_t(to - out.begin()), std::size_t(columns)));
            }
        }
    }

    void push(OpRange step, datasets::Sink& sink) const {
        for (const auto& [key, block] : blocks_) {
            if (key.first == step.last) {
                const std::int64_t count = std::min<std::int64_t>(64, rows_ - key.second.second);
                const std::int64_t columns = std::ssize(block) / count;
                sink.accept(key.first, {key.second.first, key.second.second, count},
                            {block.data(), count, columns, columns});
            }
        }
    }
    std::int64_t rows_ = 0;

private:
    // What bf16 holds stays so.
    [[nodiscard]] static float scaled(float value, float factor) {
        const bool narrow = datasets::round_to_bf16(value, datasets::Rounding::toward_zero) == value;
        return narrow ? datasets::round_to_bf16(factor * value, datasets::Rounding::nearest_even)
                      : factor * value;
    }

    const datasets::Source& upstream_;
    Op faulty_;
    Factors factors_;
    std::mutex mutex_;
    std::map<std::pair<Op, std::pair<int, std::int64_t>>, std::vector<float>> blocks_;
};

// A path whose op `faulty` yields a multiple of what it should, for the ops behind it as well.
class ScaledPath final : public datasets::Path {
public:
    ScaledPath(datasets::Path& inner, Op faulty, Factors factors)
        : inner_(inner), faulty_(faulty), factors_(factors) {}

    [[nodiscard]] std::string_view name() const override { return inner_.name(); }
    [[nodiscard]] std::span<const OpRange> steps() const override { return inner_.steps(); }
    [[nodiscard]] bool emits(Op op) const override { return inner_.emits(op); }
    [[nodiscard]] datasets::Arithmetic arithmetic(Op op) const override { return inner_.arithmetic(op); }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override {
        return std::make_unique<Layer>(*this, layer.shape.context, inner_.prepare(layer));
    }
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override {
        return std::make_unique<Layer>(*this, end.shape.context, inner_.prepare(end));
    }

private:
    class Layer final : public datasets::PreparedLayer {
    public:
        Layer(ScaledPath& path, std::int64_t context, std::unique_ptr<datasets::PreparedLayer> inner)
            : path_(path), context_(context), inner_(std::move(inner)) {}

        std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                            datasets::Sink& sink) override {
            KeptRun kept(source, path_.faulty_, path_.factors_);
            kept.rows_ = context_;
            std::vector<datasets::Part> parts;
            for (const OpRange step : path_.steps()) {
                if (work.ops.contains(step.first) && work.ops.contains(step.last)) {
                    for (const auto& part : inner_->compute({step, work.head}, kept, kept)) {
                        parts.push_back(part);
                    }
                    kept.push(step, sink);
                }
            }
            return parts;
        }
        [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override {
            return inner_->planned(work);
        }
        [[nodiscard]] std::optional<datasets::Site> locate(Op op, int head, std::int64_t row,
                                                           std::int64_t column) const override {
            return inner_->locate(op, head, row, column);
        }

    private:
        ScaledPath& path_;
        std::int64_t context_;
        std::unique_ptr<datasets::PreparedLayer> inner_;
    };

    datasets::Path& inner_;
    Op faulty_;
    Factors factors_;
};

double sum_of_shares(const LayerBisection& found) {
    return std::accumulate(found.steps.begin(), found.steps.end(), 0.0,
                           [](double sum, const StepShare& step) { return sum + step.share; });
}

class Bisect : public testing::TestWithParam<std::string> {};

TEST_P(Bisect, FindsAFaultAtTheOpThatHasIt) {
    const datasets::LayerCase layer = hard_layer(130);
    const reference::GoldenSource golden(layer);
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath healthy(*device, *npu_impl::find_design(GetParam()));
    const double healthy_error = bisect(layer, golden, healthy).relative_error;
    for (const OpRange step : healthy.steps()) {
        if (!datasets::attention_ops.contains(step.last)) {
            continue;
        }
        ScaledPath faulty(healthy, step.last, 1.25F);
        const LayerBisection found = bisect(layer, golden, faulty);
        const std::string which(datasets::name(step.last));
        ASSERT_TRUE(found.first.has_value()) << which;
        EXPECT_EQ(found.steps[*found.first].step, step) << which;
        EXPECT_EQ(found.steps[*found.first].judgement.verdict, Verdict::failed) << which;
        EXPECT_NEAR(sum_of_shares(found), 1, 1e-9) << which;
        const auto most = std::ranges::max_element(found.steps, {}, &StepShare::share);
        EXPECT_EQ(most->step, step) << which << " has " << found.steps[*found.first].share;
        EXPECT_GT(most->share, 0.8) << which;
        // What the healthy path errs by, or nearly so.
        EXPECT_LT(found.relative_error_without, 1.5 * healthy_error) << which;
        EXPECT_LT(found.relative_error_without, found.relative_error) << which;
    }
}

TEST_P(Bisect, FindsNothingInAHealthyPathAndAttributesItsError) {
    const datasets::LayerCase layer = hard_layer(250);
    const reference::GoldenSource golden(layer);
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath healthy(*device, *npu_impl::find_design(GetParam()));
    const LayerBisection found = bisect(layer, golden, healthy);
    EXPECT_FALSE(found.first.has_value());
    EXPECT_NEAR(sum_of_shares(found), 1, 1e-9);
    EXPECT_GT(found.relative_error, 1e-3);
    EXPECT_LT(found.relative_error, 5e-2);
    for (const StepShare& step : found.steps) {
        EXPECT_EQ(step.judgement.verdict, Verdict::passed) << datasets::name(step.step.last);
        EXPECT_GT(step.relative_error, 0);
        EXPECT_LE(step.rho, 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Designs, Bisect, testing::Values("unfused", "fused"), datasets::testing::CaseName{});

// Sums that are rounded on their way have room in their bounds: the error model runs them as a core does.
TEST(Bisect, FindsWhatLeavesItsPredictionWithinItsBounds) {
    const datasets::LayerCase layer = hard_layer(250);
    const reference::GoldenSource golden(layer);
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath healthy(*device, *npu_impl::find_design("gemm_array_rerounded"));
    ScaledPath faulty(healthy, Op::key, {1.003F, 0.997F});
    const LayerBisection found = bisect(layer, golden, faulty);
    for (const StepShare& step : found.steps) {
        EXPECT_LE(step.rho, 1) << datasets::name(step.step.last);
    }
    ASSERT_TRUE(found.first.has_value());
    const StepShare& first = found.steps[*found.first];
    EXPECT_EQ(first.step.last, Op::key) << first.judgement.reason;
    ASSERT_FALSE(first.judgement.findings.empty());
    EXPECT_EQ(limit(first.judgement.findings[0].quantity).level, "L2") << first.judgement.reason;
}

class BisectRange : public testing::TestWithParam<OpRange> {
protected:
    BisectRange() { layer_.stream = embedding(130); }

    static std::vector<float> embedding(std::int64_t context) {
        datasets::SyntheticModel model;
        model.shape.context = context;
        return datasets::synthetic_embedding(model);
    }

    datasets::LayerCase layer_ = hard_layer(130);
    std::unique_ptr<npu_impl::Device> device_ = npu_impl::open_device("emulated");
    npu_impl::NpuPath healthy_{*device_, *npu_impl::find_design("unfused")};
};

TEST_P(BisectRange, FindsAFaultAtTheOpThatHasIt) {
    const reference::GoldenSource golden(layer_);
    const LayerBisection right = bisect(layer_, golden, healthy_, GetParam());
    EXPECT_FALSE(right.first.has_value());
    EXPECT_EQ(right.headline.has_value(), GetParam().last == Op::output);
    EXPECT_NEAR(sum_of_shares(right), 1, 1e-9);
    for (const StepShare& step : right.steps) {
        EXPECT_EQ(step.judgement.verdict, Verdict::passed) << step.judgement.reason;
        ScaledPath faulty(healthy_, step.step.last, 1.25F);
        const LayerBisection found = bisect(layer_, golden, faulty, GetParam());
        const std::string which(datasets::name(step.step.last));
        ASSERT_TRUE(found.first.has_value()) << which;
        EXPECT_EQ(found.steps[*found.first].step, step.step) << which;
        EXPECT_NEAR(sum_of_shares(found), 1, 1e-9) << which;
        EXPECT_LT(found.relative_error_without, 1.5 * right.relative_error) << which;
    }
}

INSTANTIATE_TEST_SUITE_P(Ranges, BisectRange,
                         testing::Values(datasets::mlp_ops, OpRange{Op::mlp_norm, Op::fc2},
                                         OpRange{Op::attention_norm, Op::output}),
                         [](const auto& one) {
                             return fmt::format("{}_to_{}", datasets::name(one.param.first),
                                                datasets::name(one.param.last));
                         });

TEST(Bisect, TakesTheEndAsOneStep) {
    datasets::SyntheticModel model;
    model.shape.context = 130;
    const datasets::EndCase end{model.shape, datasets::synthetic_final_norm(model)};
    const reference::GoldenEndSource golden(end, datasets::synthetic_embedding(model));
    const auto device = npu_impl::open_device("emulated");
    npu_impl::NpuPath healthy(*device, *npu_impl::find_design("unfused"));
    const LayerBisection right = bisect_end(end, "clip", golden, healthy);
    EXPECT_FALSE(right.first.has_value());
    ASSERT_EQ(right.steps.size(), 1U);
    EXPECT_EQ(right.steps[0].step, datasets::end_ops);
    EXPECT_EQ(right.steps[0].judgement.verdict, Verdict::passed) << right.steps[0].judgement.reason;
    EXPECT_NEAR(right.steps[0].share, 1, 1e-9);
    EXPECT_GT(right.relative_error, 5e-4);
    EXPECT_LT(right.relative_error, 5e-3);
    ScaledPath faulty(healthy, Op::encoder, 1.02F);
    const LayerBisection found = bisect_end(end, "clip", golden, faulty);
    ASSERT_TRUE(found.first.has_value());
    EXPECT_EQ(found.steps[0].judgement.verdict, Verdict::failed);
    EXPECT_NEAR(found.relative_error, 0.02, 0.002);
    EXPECT_EQ(found.relative_error_without, 0);
}

TEST(Bisect, RefusesAPathWithoutTheAttention) {
    class NoSteps final : public datasets::Path {
        [[nodiscard]] std::string_view name() const override { return "none"; }
        [[nodiscard]] std::span<const OpRange> steps() const override { return {}; }
        [[nodiscard]] bool emits(Op) const override { return false; }
        [[nodiscard]] datasets::Arithmetic arithmetic(Op) const override { return {}; }
        std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase&) override {
            return nullptr;
        }
    };
    const datasets::LayerCase layer = hard_layer(65);
    const reference::GoldenSource golden(layer);
    NoSteps none;
    EXPECT_THROW(bisect(layer, golden, none), std::invalid_argument);
}

// Exact ops on the golden's input give the golden's tensors, but for its fp32 sums.
TEST(ExactSource, CarriesOnAsTheGoldenDoes) {
    const datasets::LayerCase layer = hard_layer(130);
    const reference::GoldenSource golden(layer);
    const auto input = golden.tensor(Op::attention_norm);
    const ExactSource exact(layer, {{Op::attention_norm, input}});
    for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
        const auto ours = exact.tensor(op);
        const auto theirs = golden.tensor(op);
        double error = 0;
        double energy = 0;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            error += std::pow(double{ours[i]} - double{theirs[i]}, 2);
            energy += std::pow(double{theirs[i]}, 2);
        }
        EXPECT_LT(std::sqrt(error / energy), 1e-5) << datasets::name(op);
    }
    EXPECT_THROW(ExactSource(layer, {}), std::invalid_argument);
}

}  // namespace
}  // namespace harness
