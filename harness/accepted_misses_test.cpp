#include "harness/accepted_misses.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <span>

#include "datasets/recording.hpp"
#include "datasets/sha256.hpp"

namespace harness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double criterion = 99.9;

LayerRow layer(int number, double match) {
    LayerRow out;
    out.clip = "speech";
    out.layer = number;
    out.output.emplace();
    out.output->match_percent = match;
    out.output->centred_energy = 1;
    out.headline = match >= criterion ? judged({}) : judged({{Quantity::match, "match is under 99.9%"}});
    return out;
}

RunRecord run_of(std::vector<LayerRow> layers) {
    RunRecord out;
    out.design = "fused";
    out.recording.context = 3001;
    for (const LayerRow& layer : layers) {
        for (const datasets::OpInfo& info : datasets::ops_in(datasets::attention_ops)) {
            OpRow row;
            row.clip = layer.clip;
            row.layer = layer.layer;
            row.op = info.op;
            row.judgement = judged({});
            out.rows.push_back(row);
        }
    }
    out.layers = std::move(layers);
    return out;
}

const AcceptedMiss down_to_99_8{"fused", "speech", 3001, {0, 1, 2}, "floor stores", 99.8};

TEST(AcceptedMisses, TheCriterionAloneIsAcceptedDownToTheMatchThatIsNamed) {
    RunRecord record = run_of({layer(0, 99.95), layer(1, 99.8), layer(2, 99.7999)});
    accept_misses(record, {down_to_99_8});
    EXPECT_EQ(record.layers[0].headline.verdict, Verdict::passed);
    EXPECT_EQ(record.layers[1].headline.verdict, Verdict::accepted);
    EXPECT_EQ(record.layers[1].headline.reason, "match is under 99.9%; accepted down to 99.8%: floor stores");
    EXPECT_EQ(record.layers[2].headline.verdict, Verdict::failed);
    EXPECT_EQ(overall_verdict(record), Verdict::failed);
    record.layers.pop_back();
    EXPECT_EQ(overall_verdict(record), Verdict::accepted);
    EXPECT_EQ(exit_code(overall_verdict(record)), ExitCode::passed);
}

// Whatever a fault shows in stays as it is judged, and fails the run.
TEST(AcceptedMisses, NothingElseIsAccepted) {
    const auto verdict_after = [](const std::function<void(LayerRow&)>& edit) {
        RunRecord record = run_of({layer(0, 99.85)});
        edit(record.layers[0]);
        accept_misses(record, {down_to_99_8});
        return record.layers[0].headline.verdict;
    };
    EXPECT_EQ(verdict_after([](LayerRow&) {}), Verdict::accepted);
    for (const Limit& limit : limits()) {
        const auto with_another = [&](LayerRow& row) {
            row.headline = judged({{Quantity::match, "match"}, {limit.quantity, "another"}});
        };
        EXPECT_EQ(verdict_after(with_another),
                  limit.level == "headline" ? Verdict::accepted : Verdict::failed)
            << limit.name;
    }
    for (const Verdict other : {Verdict::mistrusted, Verdict::not_run, Verdict::unstable}) {
        EXPECT_EQ(verdict_after([&](LayerRow& row) { row.headline.verdict = other; }), other);
    }
    EXPECT_EQ(verdict_after([](LayerRow& row) { row.headline.findings.clear(); }), Verdict::failed);
    EXPECT_EQ(verdict_after([](LayerRow& row) { row.output.reset(); }), Verdict::failed);
    EXPECT_EQ(verdict_after([](LayerRow& row) {
                  row.output->match_percent = std::numeric_limits<double>::quiet_NaN();
              }),
              Verdict::failed);
}

// They decide where the match holds; where it does not, they are accepted as far as the entry says.
TEST(AcceptedMisses, TheWorstRowAndTileHaveCeilingsOfTheirOwn) {
    AcceptedMiss miss = down_to_99_8;
    const auto verdict = [&](double match, double row, double tile) {
        RunRecord record = run_of({layer(0, match)});
        record.layers[0].output->worst_row = row;
        record.layers[0].output->worst_tile = tile;
        record.layers[0].headline = judge_headline(*record.layers[0].output, {3001, 8});
        accept_misses(record, {miss});
        return record.layers[0].headline.verdict;
    };
    EXPECT_EQ(verdict(99.85, 0.08, 0.04), Verdict::accepted);
    EXPECT_EQ(verdict(99.85, 0.081, 0.04), Verdict::failed);
    EXPECT_EQ(verdict(99.85, 0.08, 0.041), Verdict::failed);
    miss.worst_row_at_most = 0.2;
    miss.worst_tile_at_most = 0.1;
    EXPECT_EQ(verdict(99.85, 0.2, 0.1), Verdict::accepted);
    EXPECT_EQ(verdict(99.85, 0.201, 0.1), Verdict::failed);
    EXPECT_EQ(verdict(99.85, 0.2, 0.101), Verdict::failed);
    EXPECT_EQ(verdict(99.95, 0.2, 0.04), Verdict::failed) << "a wrong row";
    EXPECT_EQ(verdict(99.95, 0.08, 0.1), Verdict::failed) << "a wrong tile";
}

TEST(AcceptedMisses, EveryOpOfTheLayerMustHaveBeenJudgedAndBeGood) {
    const auto verdict = [](const std::function<void(RunRecord&)>& edit) {
        RunRecord record = run_of({layer(0, 99.85), layer(1, 99.95)});
        edit(record);
        accept_misses(record, {down_to_99_8});
        return record.layers[0].headline.verdict;
    };
    const auto is_scores = [](const OpRow& row) { return row.op == datasets::Op::scores; };
    EXPECT_EQ(verdict([](RunRecord&) {}), Verdict::accepted);
    for (const Verdict bad : {Verdict::failed, Verdict::mistrusted, Verdict::not_run, Verdict::unstable}) {
        EXPECT_EQ(verdict([&](RunRecord& record) {
                      std::ranges::find_if(record.rows, is_scores)->judgement.verdict = bad;
                  }),
                  Verdict::failed);
    }
    // One op was not asked for: what is wrong with it would show in the match alone.
    EXPECT_EQ(
        verdict([&](RunRecord& record) { record.rows.erase(std::ranges::find_if(record.rows, is_scores)); }),
        Verdict::failed);
    EXPECT_EQ(verdict([](RunRecord& record) { record.rows.back().judgement.verdict = Verdict::failed; }),
              Verdict::accepted)
        << "that is another layer's";
}

TEST(AcceptedMisses, AnEntryIsForOneDesignClipContextAndSomeLayers) {
    for (const AcceptedMiss& other : {AcceptedMiss{"unfused", "speech", 3001, {0}, "why", 99.8},
                                      AcceptedMiss{"fused", "silence", 3001, {0}, "why", 99.8},
                                      AcceptedMiss{"fused", "speech", 1500, {0}, "why", 99.8},
                                      AcceptedMiss{"fused", "speech", 3001, {1, 2}, "why", 99.8}}) {
        RunRecord record = run_of({layer(0, 99.85)});
        EXPECT_THAT(accept_misses(record, {other}), IsEmpty());
        EXPECT_EQ(record.layers[0].headline.verdict, Verdict::failed);
    }
}

// By whatever name a run was asked for: a combination is its designs.
TEST(AcceptedMisses, ADesignIsWhatItIsComposedOf) {
    RunRecord record = run_of({layer(0, 99.85)});
    record.design = "attention_fused,gemm_array";
    accept_misses(record, {down_to_99_8});
    EXPECT_EQ(record.layers[0].headline.verdict, Verdict::accepted);
}

TEST(AcceptedMisses, ALayerThatPassesThoughAnEntryNamesItIsTold) {
    RunRecord record = run_of({layer(0, 99.95), layer(1, 99.85), layer(3, 99.95)});
    EXPECT_THAT(accept_misses(record, {down_to_99_8}), ElementsAre(HasSubstr("layer 0 did not occur")));
    RunRecord unjudged = run_of({layer(0, 99.95)});
    unjudged.layers[0].headline.verdict = Verdict::not_run;
    EXPECT_THAT(accept_misses(unjudged, {down_to_99_8}), IsEmpty());
}

std::string file_with(const std::string& misses) {
    return R"({"schema": "npu-attention-accepted-misses", "schema_version": 1, "misses": [)" + misses + "]}";
}

const std::string good =
    R"({"design": "gemm_array", "clip": "c", "context": 65, "layers": [2, 3], "match_at_least": 99.5,
        "worst_row_at_most": 0.2, "worst_tile_at_most": 0.1, "reason": "why"})";

TEST(AcceptedMisses, AFileIsReadAsItSays) {
    const std::vector<AcceptedMiss> misses = parse_accepted_misses(file_with(good), "a.json");
    ASSERT_EQ(misses.size(), 1U);
    EXPECT_EQ(misses[0].design, "unfused") << "the name of what it is composed of";
    EXPECT_EQ(misses[0].clip, "c");
    EXPECT_EQ(misses[0].context, 65);
    EXPECT_THAT(misses[0].layers, ElementsAre(2, 3));
    EXPECT_EQ(misses[0].match_at_least, 99.5);
    EXPECT_EQ(misses[0].worst_row_at_most, 0.2);
    EXPECT_EQ(misses[0].worst_tile_at_most, 0.1);
    EXPECT_EQ(misses[0].reason, "why");
}

TEST(AcceptedMisses, AGarbledFileIsRefusedWithTheEntryAndTheField) {
    const auto with = [](const std::string& from, const std::string& to) {
        std::string entry = good;
        return file_with(entry.replace(entry.find(from), from.size(), to));
    };
    const std::vector<std::pair<std::string, std::string>> refused{
        {"", "schema"},
        {"[]", "schema"},
        {R"({"schema": "npu-attention-run"})", "schema"},
        {R"({"schema": "npu-attention-accepted-misses", "schema_version": 2})", "schema_version"},
        {R"({"schema": "npu-attention-accepted-misses", "schema_version": 1})", "misses"},
        {file_with("1"), "misses[0]"},
        {file_with(good + "," + good), "misses[1]"},
        {with("gemm_array", "fusd"), "misses[0]"},
        {with("\"reason\"", "\"layer\": 3, \"reason\""), "unknown field layer"},
        {with("\"clip\": \"c\",", ""), "misses[0].clip"},
        {with("65", "\"65\""), "misses[0].context"},
        {with("[2, 3]", "2"), "misses[0].layers"},
        {with("[2, 3]", "[]"), "misses[0]"},
        {with("99.5", "99.9"), "misses[0]"},
        {with("99.5", "89.9"), "misses[0]"},
        {with("0.2", "0.08"), "misses[0]"},
        {with("0.2", "0.51"), "misses[0]"},
        {with("0.1", "true"), "misses[0].worst_tile_at_most"},
        {with("why", ""), "misses[0]"},
    };
    for (const auto& [text, object] : refused) {
        try {
            parse_accepted_misses(text, "a.json");
            ADD_FAILURE() << text;
        } catch (const datasets::ReadError& error) {
            EXPECT_THAT(error.what(), HasSubstr("a.json"));
            EXPECT_THAT(error.what(), HasSubstr(object)) << text;
        }
    }
    EXPECT_THROW(read_accepted_misses("no such file"), datasets::ReadError);
}

TEST(AcceptedMisses, AListIsKnownByItsHash) {
    const std::string file = testing::TempDir() + "/accepted_misses_hash.json";
    const std::string text = file_with(good);
    std::ofstream(file) << text;
    const AcceptedMisses read = read_accepted_misses(file);
    EXPECT_EQ(read.entries.size(), 1U);
    EXPECT_EQ(read.sha256, datasets::sha256_hex(std::as_bytes(std::span(text))));
}

}  // namespace
}  // namespace harness
