// A row computed again: its figures are those of the first run, its picture counts every element, its dump
// holds what the verdict speaks of.
#include "harness/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "harness/operands.hpp"
#include "harness/run_record_example.hpp"
#include "harness/self_check/faults.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

datasets::LayerCase hard_layer(std::int64_t context) {
    datasets::SyntheticModel model;
    model.shape.context = context;
    const auto residual = datasets::synthetic_embedding(model);
    return reference::make_case(datasets::synthetic_block(model, 0), model.shape, residual, "clip", 0);
}

// A design on a device with one planted fault, or none.
struct Stand {
    explicit Stand(const std::string& fault_name, const std::string& design = "unfused") {
        for (Fault& fault : planted_faults()) {
            if (fault.name == fault_name) {
                device = fault.plant.device ? fault.plant.device(*healthy) : nullptr;
                path = std::make_unique<npu_impl::NpuPath>(device ? *device : *healthy,
                                                           *npu_impl::find_design(design));
                faulty = fault.plant.path ? fault.plant.path(*path, {}) : nullptr;
            }
        }
        if (!path) {
            path = std::make_unique<npu_impl::NpuPath>(*healthy, *npu_impl::find_design(design));
        }
    }
    [[nodiscard]] datasets::Path& candidate() const { return faulty ? *faulty : *path; }

    std::unique_ptr<npu_impl::Device> healthy = npu_impl::open_device("emulated");
    std::unique_ptr<npu_impl::Device> device;
    std::unique_ptr<npu_impl::NpuPath> path;
    std::unique_ptr<datasets::Path> faulty;
};

CaseResult run(const datasets::LayerCase& layer, datasets::Path& candidate, Op op, Input input) {
    Selection selection;
    selection.timing = {1, 1};
    selection.ops = {op};
    selection.inputs = {input};
    reference::GoldenPath golden;
    return run_case(layer, golden, candidate, selection, "harness --compare", [](std::string_view) {});
}

Explanation explained_again(const datasets::LayerCase& layer, datasets::Path& candidate, const OpRow& row) {
    const reference::GoldenSource golden(layer);
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    const auto prepared = candidate.prepare(layer);
    datasets::Work work{datasets::attention_ops, -1};
    if (row.input == Input::isolated) {
        for (const datasets::OpRange step : candidate.steps()) {
            if (step.last == row.op) {
                work.ops = step;
            }
        }
    }
    const auto judge = [&] {
        return std::make_unique<Judge>(rounded, work.ops, candidate, golden, row.input, -1);
    };
    const ErrorModel errors(layer, golden, declared_by(candidate), work.ops);
    return explain(row, {*prepared, work, golden, judge, {.layer = &layer}, {.layer = &rounded}, layer.shape},
                   &errors);
}

// The histogram holds what the figures of level 2 say: its rms, and how far it reaches.
void expect_to_agree(const std::array<std::int64_t, z_bins>& bins, const ZStatistics& z) {
    double squares = 0;
    double count = 0;
    double reach = 0;
    for (int bin = 0; bin < z_bins; ++bin) {
        const double middle = z_first + z_step * (bin - 0.5);
        const auto held = double(bins[std::size_t(bin)]);
        squares += held * middle * middle;
        count += held;
        reach = held > 0 ? std::max(reach, std::abs(middle)) : reach;
    }
    EXPECT_NEAR(std::sqrt(squares / count), z.rms, 0.05);
    EXPECT_NEAR(reach, z.largest, z_step / 2 + 1e-9);
}

// The letters of the record are those of the picture, which is collected apart from them.
void expect_to_agree(const std::vector<HeadErrorMap>& letters, const std::vector<ErrorMap>& picture) {
    ASSERT_FALSE(letters.empty());
    EXPECT_GT(letters[0].rho, 1);
    for (const HeadErrorMap& head : letters) {
        const ErrorMap& map = picture.at(std::size_t(head.head));
        ASSERT_EQ(map.head, head.head);
        std::string drawn;
        std::ranges::transform(map.cells, std::back_inserter(drawn), error_letter);
        EXPECT_EQ(fmt::format("{}", fmt::join(head.tiles, "")), drawn) << "head " << head.head;
    }
}

TEST(Explain, DrawsAndDumpsTheFailureOfTheRecord) {
    const datasets::LayerCase layer = hard_layer(130);
    for (const Input input : {Input::isolated, Input::chained}) {
        const Stand stand("zero_tile");
        const CaseResult result = run(layer, stand.candidate(), Op::scores, input);
        ASSERT_EQ(result.rows.size(), 1U);
        const OpRow& row = result.rows[0];
        ASSERT_EQ(row.judgement.verdict, Verdict::failed);
        ASSERT_TRUE(row.diagnosis.has_value());
        // Chained, the fault shows the host a query of zeros that the device did not read.
        EXPECT_EQ(name(row.diagnosis->pattern), input == Input::isolated ? "zeros" : "emitted_otherwise")
            << name(input) << " " << row.judgement.reason << row.diagnosis->evidence;
        const Explanation again = explained_again(layer, stand.candidate(), row);
        EXPECT_EQ(again.statistics.rho, row.statistics->rho);
        EXPECT_EQ(again.statistics.outside, row.statistics->outside);
        ASSERT_TRUE(again.diagnosis.has_value());
        EXPECT_EQ(again.diagnosis->evidence, row.diagnosis->evidence);
        ASSERT_EQ(again.picture.maps.size(), 8U);
        EXPECT_EQ(again.picture.maps[0].rows, 3);
        EXPECT_EQ(again.picture.maps[0].columns, 3);
        expect_to_agree(row.error_maps, again.picture.maps);
        const auto& ratios = again.picture.ratios;
        EXPECT_EQ(std::accumulate(ratios.begin(), ratios.end(), std::int64_t{0}), 8 * 130 * 130);
        ASSERT_TRUE(again.picture.z.has_value());
        const auto& z = *again.picture.z;
        EXPECT_EQ(std::accumulate(z.begin(), z.end(), std::int64_t{0}), 8 * 130 * 130);
        EXPECT_GT(z.front() + z.back(), 0) << "of a tile of zeros";
        EXPECT_EQ(again.picture.worst_rows.size(), 10U);
        EXPECT_GE(again.picture.worst_rows[0].relative_error, again.picture.worst_rows[1].relative_error);

        std::map<std::string, datasets::BlockTensor> dumped;
        for (const auto& tensor : again.block.tensors) {
            dumped[tensor.name] = tensor;
        }
        EXPECT_EQ(dumped.at("input_query").columns, 64);
        EXPECT_EQ(dumped.at("input_key").rows, 130);
        const Element& worst = row.statistics->damage->worst;
        const auto at = std::size_t((worst.row - again.block.numbers.at("first_row")) * 130 + worst.column);
        EXPECT_EQ(again.block.numbers.at("head"), worst.head);
        EXPECT_EQ(dumped.at("got").values[at], worst.got);
        EXPECT_EQ(dumped.at("expected").values[at], worst.expected);
        EXPECT_EQ(dumped.at("bound").values[at], worst.bound);
        EXPECT_EQ(dumped.at("difference").values[at], worst.got - worst.expected);
    }
}

TEST(Explain, ExplainsAHealthyRowWithoutAHypothesis) {
    const datasets::LayerCase layer = hard_layer(65);
    for (const auto& [design, op] : {std::pair{"unfused", Op::output}, {"fused", Op::context}}) {
        const Stand stand("", design);
        const CaseResult result = run(layer, stand.candidate(), op, Input::isolated);
        ASSERT_EQ(result.rows[0].judgement.verdict, Verdict::passed);
        EXPECT_FALSE(result.rows[0].diagnosis.has_value());
        EXPECT_TRUE(result.rows[0].error_maps.empty());
        const Explanation again = explained_again(layer, stand.candidate(), result.rows[0]);
        EXPECT_FALSE(again.diagnosis.has_value()) << again.diagnosis->evidence;
        EXPECT_FALSE(again.site.has_value());
        EXPECT_EQ(again.picture.ratios.back(), 0);
        ASSERT_TRUE(again.picture.z.has_value());
        expect_to_agree(*again.picture.z, *result.rows[0].statistics->z);
        EXPECT_FALSE(again.block.tensors.empty());
    }
}

// What the experiment says of the faults that the self-check plants.
struct Told {
    std::string fault;
    Op op;
    Pattern pattern;
};

class Hypothesis : public testing::TestWithParam<Told> {};

TEST_P(Hypothesis, NamesThePlantedFault) {
    const Told& told = GetParam();
    const Stand stand(told.fault, told.op == Op::context ? "fused" : "unfused");
    const CaseResult result = run(hard_layer(250), stand.candidate(), told.op, Input::isolated);
    ASSERT_EQ(result.rows.size(), 1U);
    const OpRow& row = result.rows[0];
    ASSERT_EQ(row.judgement.verdict, Verdict::failed);
    ASSERT_TRUE(row.diagnosis.has_value());
    EXPECT_EQ(name(row.diagnosis->pattern), name(told.pattern)) << row.diagnosis->evidence;
}

INSTANTIATE_TEST_SUITE_P(
    Faults, Hypothesis,
    testing::Values(Told{"scale_missing", Op::scores, Pattern::scale},
                    Told{"scale_missing", Op::context, Pattern::scale},
                    Told{"bias_missing", Op::query, Pattern::bias_missing},
                    Told{"bias_missing_on_host", Op::query, Pattern::bias_missing},
                    Told{"padded_keys_unmasked", Op::probabilities, Pattern::padding_unmasked},
                    Told{"padded_keys_unmasked", Op::context, Pattern::padding_unmasked},
                    Told{"last_key_dropped", Op::probabilities, Pattern::keys_missing},
                    Told{"last_key_dropped", Op::context, Pattern::keys_missing},
                    Told{"last_k_step_dropped", Op::value, Pattern::k_slice_missing},
                    Told{"floor_store", Op::query, Pattern::store_rounding},
                    Told{"core_silent", Op::query, Pattern::unwritten},
                    Told{"tiles_exchanged", Op::query, Pattern::misplaced_tile},
                    Told{"zero_tile", Op::query, Pattern::zeros},
                    Told{"core_half_a_percent_off", Op::query, Pattern::gain},
                    Told{"tile_rows_shifted_by_one", Op::query, Pattern::rows_shifted},
                    Told{"weights_transposed", Op::value, Pattern::weights_transposed},
                    Told{"operands_truncated", Op::query, Pattern::operand_rounding},
                    Told{"heads_swapped", Op::context, Pattern::head_swapped},
                    Told{"one_element_infinite", Op::output, Pattern::nonfinite}),
    [](const auto& one) { return fmt::format("{}_{}", one.param.fault, datasets::name(one.param.op)); });

TEST(FindRow, TakesAnIndexOrAName) {
    const RunRecord record = example_record();
    EXPECT_EQ(find_row(record, "0"), 0U);
    EXPECT_EQ(find_row(record, "0/query"), 0U);
    EXPECT_EQ(find_row(record, "0/context/chained"), 4U);
    EXPECT_EQ(row_name(record.rows[4]), "0/context/chained");
    const auto refusal = [&](const std::string& name) -> std::string {
        try {
            find_row(record, name);
        } catch (const std::invalid_argument& error) {
            return error.what();
        }
        return "found";
    };
    EXPECT_THAT(refusal("7"), HasSubstr("row 7: there is none; rows: "));
    EXPECT_THAT(refusal("7"), HasSubstr("4 = 0/context/chained"));
    EXPECT_THAT(refusal("3/query"), HasSubstr("there is none"));
    EXPECT_THAT(refusal(""), HasSubstr("there is none"));
    EXPECT_THAT(refusal("-1"), HasSubstr("there is none"));
    EXPECT_THAT(refusal("1"), HasSubstr("was not judged (covered by scores..context)"));
    EXPECT_THAT(refusal("99999999999999999999999"), HasSubstr("there is none"));
}

}  // namespace
}  // namespace harness
