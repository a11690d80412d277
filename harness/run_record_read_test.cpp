// A run record comes back as it was written, and what is none is refused in one line.
#include "harness/run_record_read.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "harness/run_record_example.hpp"
#include "harness/run_record_whole.hpp"

namespace harness {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& text) {
    try {
        (void)parse_run_record(text, "run.json");
    } catch (const datasets::ReadError& error) {
        return error.what();
    }
    return "no refusal";
}

// `text` with the first `from` made `to`.
std::string changed(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(RunRecordRead, GivesBackWhatWasWritten) {
    RunRecord record = example_record();
    record.placement = "attention,mlp";
    record.head = 3;
    record.row_seed = ~std::uint64_t{0};
    record.accepted_misses_sha256 = "ab";
    record.layers[0].headline = judged({{Quantity::worst_row, "worst row 77 errs"}});
    record.layers[0].diagnosis = Diagnosis{Pattern::inherited, 0.5, "query is the first", 2, 3};
    const RunRecord read = parse_run_record(to_json(record), "run.json");
    // What is read is all that these parts of the text come from.
    RunRecord again = record;
    again.rows = read.rows;
    again.recording_file = read.recording_file;
    again.recording_sha256 = read.recording_sha256;
    again.recording = read.recording;
    again.provenance_note = read.provenance_note;
    again.design = read.design;
    again.placement = read.placement;
    again.head = read.head;
    again.device = read.device;
    again.emulation = read.emulation;
    again.cost_model = read.cost_model;
    again.row_seed = read.row_seed;
    again.accepted_misses_sha256 = read.accepted_misses_sha256;
    again.command = read.command;
    again.created_utc = read.created_utc;
    again.verdict = read.verdict;
    again.exit_code = read.exit_code;
    EXPECT_EQ(to_json(again), to_json(record));
    ASSERT_EQ(read.layers.size(), record.layers.size());
    EXPECT_EQ(read.layers[0].headline.verdict, record.layers[0].headline.verdict);
    EXPECT_EQ(read.layers[0].repeated_elements, 1000);
    ASSERT_EQ(read.layers[0].headline.findings.size(), 1U);
    EXPECT_EQ(read.layers[0].headline.findings[0].quantity, Quantity::worst_row);
    EXPECT_EQ(read.layers[0].headline.findings[0].text, "worst row 77 errs");
    ASSERT_TRUE(read.layers[0].diagnosis.has_value());
    EXPECT_EQ(read.layers[0].diagnosis->pattern, Pattern::inherited);
    EXPECT_EQ(read.layers[0].diagnosis->evidence, "query is the first");
    ASSERT_TRUE(read.layers[0].output.has_value());
    EXPECT_EQ(read.layers[0].output->match_percent, record.layers[0].output->match_percent);
    const OpRow& failed = read.rows.back();
    EXPECT_EQ(failed.diagnosis->pattern, Pattern::head_swapped);
    EXPECT_TRUE(std::isinf(failed.statistics->rho));
    EXPECT_TRUE(std::isnan(failed.statistics->match_percent));
}

TEST(RunRecordRead, ReadsWhatAnEarlierMinorVersionLacks) {
    std::string text = to_json(example_record());
    text = changed(text, "    \"placement\": \"attention\",\n", "");
    text = changed(text, "    \"head\": -1,\n", "");
    EXPECT_EQ(parse_run_record(text, "run.json").placement, "attention");
    EXPECT_EQ(parse_run_record(text, "run.json").head, -1);
    for (auto at = text.find(",\n      \"findings\""); at != std::string::npos;
         at = text.find(",\n      \"findings\"")) {
        text.erase(at, text.find(']', at) + 1 - at);
    }
    const RunRecord read = parse_run_record(text, "run.json");
    EXPECT_EQ(read.rows.back().judgement.verdict, Verdict::failed);
    EXPECT_TRUE(read.rows.back().judgement.findings.empty());
}

TEST(RunRecordRead, GivesBackTheNpuAndItsPowerMode) {
    EXPECT_FALSE(parse_run_record(to_json(example_record()), "run.json").environment.npu);
    const std::string text = to_json(example_on_npu(true));
    const RunRecord read = parse_run_record(text, "run.json");
    ASSERT_TRUE(read.environment.npu);
    EXPECT_EQ(read.environment.npu->name, "NPU Strix");
    EXPECT_TRUE(read.environment.npu->hardware);
    EXPECT_EQ(read.environment.npu->power_mode, "performance");
    EXPECT_EQ(read.environment.npu->xrt, "2.19.0");
    EXPECT_EQ(read.environment.npu->firmware, "1.5.2.380");
    EXPECT_EQ(read.design_sha256, "d5");
    // A record before minor version 4.
    std::string old = changed(text, "\"xrt\": \"2.19.0\",", "");
    old = changed(old, "\"design_sha256\": \"d5\",", "");
    EXPECT_EQ(parse_run_record(old, "run.json").environment.npu->xrt, "");
    EXPECT_EQ(parse_run_record(old, "run.json").design_sha256, "");
    EXPECT_EQ(read.environment.npu->most_launches_at_once, 24);
    EXPECT_FALSE(parse_run_record(to_json(example_on_npu(false)), "run.json").environment.npu->hardware);
    EXPECT_THAT(refusal(changed(text, "\"hardware\": true", "\"hardware\": 1")),
                HasSubstr("environment.npu.hardware: is neither true nor false"));
}

TEST(RunRecordRead, RefusesWhatIsNoRunRecordOfThisVersion) {
    const std::string text = to_json(example_record());
    EXPECT_THAT(refusal(""), HasSubstr("run.json: run record: is not JSON"));
    EXPECT_THAT(refusal("[1, 2"), HasSubstr("is not JSON"));
    EXPECT_THAT(refusal("{}"), HasSubstr("schema is not npu-attention-run"));
    EXPECT_THAT(refusal(text.substr(0, text.size() / 2)), HasSubstr("cut short"));
    EXPECT_THAT(refusal(changed(text, "\"schema_version\": [\n    1,", "\"schema_version\": [\n    2,")),
                HasSubstr("schema_version: is 2."));
    EXPECT_THAT(refusal(changed(text, "\"op\": \"query\"", "\"op\": \"quarry\"")),
                HasSubstr("rows[0].op: is 'quarry', which this program does not know"));
    EXPECT_THAT(refusal(changed(text, "\"verdict\": \"mistrusted\"", "\"verdict\": 3")),
                HasSubstr("rows[2].verdict: is no text"));
    EXPECT_THAT(refusal(changed(text, "\"pattern\": \"head_swapped\"", "\"pattern\": \"gremlins\"")),
                HasSubstr("diagnosis.pattern: is 'gremlins'"));
    EXPECT_THAT(refusal(changed(text, "\"quantity\": \"rho\",\n          \"text\"",
                                "\"quantity\": \"roh\",\n          \"text\"")),
                HasSubstr("rows[4].findings[0].quantity: is 'roh', which this program does not know"));
    EXPECT_THAT(refusal(changed(text, "\"rows\": [", "\"lines\": [")), HasSubstr("lacks rows"));
    EXPECT_THAT(refusal(changed(text, "\"launch\": 2", "\"launch\": 2.5")), HasSubstr("is no integer"));
}

TEST(RunRecordRead, RefusesAFileThatIsNotThere) {
    EXPECT_THROW((void)read_run_record("no/such/run.json"), datasets::ReadError);
}

TEST(RunRecordWhole, KeepsClassesOfFaultsAndTheCandidate) {
    RunRecord record = example_record();
    record.baseline.reset();
    record.trust = {
        {FaultClass::no_rescale, {Verdict::mistrusted, "no maximum grows", {}}, 0.01, 0.05, "a layer 0"},
        {FaultClass::stale_output, {Verdict::passed, "", {}}, 1.5, 0.05, "a layer 1"}};
    record.candidate =
        CandidateFile{"npu.h5", "c4", "a runner", Input::chained, "NPU 1", 37, {"time", "probes"}};
    record.candidate->probes = ProbeFiles{"probes.h5", "b5", "made.h5", "c6"};
    const RunRecord read = parse_whole_record(to_json(record), "run.json");
    RunRecord again = record;
    again.trust = read.trust;
    again.candidate = read.candidate;
    EXPECT_EQ(to_json(again), to_json(record));
    EXPECT_EQ(read.trust.size(), 2U);
    ASSERT_TRUE(read.candidate);
    record.candidate->launches.reset();
    record.candidate->probes.reset();
    EXPECT_EQ(parse_whole_record(to_json(record), "run.json").candidate->launches, std::nullopt);
    EXPECT_FALSE(parse_whole_record(to_json(record), "run.json").candidate->probes);
}

// What minor version 10 added has a value in older runs too.
TEST(RunRecordWhole, TakesRunsOfEarlierMinorVersions) {
    RunRecord record = example_record();
    record.baseline.reset();
    LayerStatistics statistics;
    statistics.heads.resize(1);
    statistics.heads[0].scale_slope = 0.5;
    record.layers[0].data = statistics;
    const std::string text = to_json(record);
    const auto slope_of = [](const RunRecord& read) { return read.layers[0].data->heads[0].scale_slope; };
    EXPECT_EQ(slope_of(parse_whole_record(text, "run.json")), 0.5);
    const std::regex added(R"re(\s*"scale_slope": \{[^}]*\},|,\s*"ran": true)re");
    const std::string older = std::regex_replace(text, added, "");
    ASSERT_THAT(older, testing::Not(testing::AnyOf(HasSubstr("scale_slope"), HasSubstr("\"ran\""))));
    const RunRecord read = parse_whole_record(older, "run.json");
    EXPECT_EQ(slope_of(read), 0);
    const auto made = std::ranges::find_if(read.rows, [](const OpRow& row) { return row.site.has_value(); });
    ASSERT_NE(made, read.rows.end());
    EXPECT_TRUE(made->site->ran);
}

}  // namespace
}  // namespace harness
