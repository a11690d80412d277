// A run in shards: every case belongs to exactly one, and merging gives back the whole, bit for bit, whatever
// the order and the steps.
#include "harness/shard.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "harness/examination.hpp"
#include "harness/rank_schedule.hpp"
#include "harness/run_record_example.hpp"
#include "harness/run_record_whole.hpp"
#include "harness/shard_merge.hpp"

namespace harness {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ShardNote note_of(int clips, int layers, bool end, int of) {
    ShardNote note;
    for (int clip = 0; clip < clips; ++clip) {
        note.clips.push_back({fmt::format("clip-{}", clip), 5.0 + clip / 3.0});
    }
    note.layers.resize(std::size_t(layers));
    std::iota(note.layers.begin(), note.layers.end(), 0);
    note.end = end;
    note.inputs = {Input::isolated, Input::chained};
    note.repetitions = 3;
    note.of = of;
    note.shards.resize(std::size_t(of));
    std::iota(note.shards.begin(), note.shards.end(), 1);
    note.design_probes = true;
    return note;
}

TEST(Shard, ParsesAShare) {
    EXPECT_EQ(parse_share("1/1"), (Share{1, 1}));
    EXPECT_EQ(parse_share("2/17"), (Share{2, 17}));
    for (const char* text :
         {"", "1", "/", "0/2", "3/2", "-1/2", "1/0", "1/2/3", "1/2 ", "a/b", "1/9999999999"}) {
        EXPECT_THROW((void)parse_share(text), std::invalid_argument) << text;
    }
}

TEST(Shard, EveryCaseBelongsToExactlyOneAndAllHaveAsManyButOne) {
    for (const int of : {1, 2, 3, 5, 7, 40}) {
        for (const int clips : {1, 3}) {
            for (const int layers : {0, 1, 6}) {
                for (const bool end : {false, true}) {
                    const ShardNote whole = note_of(clips, layers, end, of);
                    std::multiset<RunCase> dealt_out;
                    std::vector<std::size_t> of_layers;
                    for (int shard = 1; shard <= of; ++shard) {
                        ShardNote one = whole;
                        one.shards = {shard};
                        const auto own = own_cases(one);
                        dealt_out.insert(own.begin(), own.end());
                        of_layers.push_back(std::size_t(
                            std::ranges::count_if(own, [](const RunCase& c) { return c.layer >= 0; })));
                        EXPECT_EQ(owns_design_probes(one), shard == of);
                    }
                    const auto cases = cases_of(whole);
                    EXPECT_EQ(dealt_out, std::multiset<RunCase>(cases.begin(), cases.end()));
                    EXPECT_EQ(cases.size(), std::size_t(clips) * std::size_t(layers + (end ? 1 : 0)));
                    const auto [least, most] = std::ranges::minmax(of_layers);
                    EXPECT_LE(most - least, 1U);
                }
            }
        }
    }
}

TEST(Shard, ListsShardsInWords) {
    EXPECT_EQ(shard_list({}), "");
    EXPECT_EQ(shard_list({4}), "4");
    EXPECT_EQ(shard_list({1, 2, 3, 7, 9, 10}), "1-3, 7, 9-10");
}

// Where two records differ; gtest's own comparison of texts needs memory by the square of their lines.
std::string difference(const std::string& merged, const std::string& whole) {
    return merged == whole ? "" : "differs: " + first_difference(merged, whole, "merged", "whole");
}

class Merging : public testing::Test {
protected:
    // Any figure, some of them not finite.
    double figure() {
        const double value = std::exp(spread_(random_));
        return value > 200 ? std::numeric_limits<double>::infinity() : value;
    }

    ZStatistics z() {
        return {figure(), -figure(), figure(), figure(), 1, 2,        3,        figure(), 2,
                7,        figure(),  3,        1,        4, figure(), figure(), figure()};
    }

    double finite_figure() { return std::exp(spread_(random_)); }

    LayerStatistics data(const RunCase& one) {
        LayerStatistics out;
        out.clip = one.clip;
        out.layer = one.layer;
        for (int head = 0; head < 2; ++head) {
            out.heads.push_back({head, finite_figure(), finite_figure(), finite_figure(), finite_figure(),
                                 finite_figure(), finite_figure(), finite_figure(), finite_figure(),
                                 finite_figure(), finite_figure(), finite_figure(), finite_figure(),
                                 finite_figure(), finite_figure()});
        }
        out.outlier_channels = 3;
        out.largest_channel = finite_figure();
        out.mirrored_rows = finite_figure();
        out.smallest_bias = finite_figure();
        return out;
    }

    void add_case(RunRecord& record, const RunCase& one, const RunRecord& like) {
        for (OpRow row : like.rows) {
            row.clip = one.clip;
            row.layer = one.layer;
            if (row.statistics) {
                row.statistics->z = z();
                row.statistics->worst_row = figure();
                row.headroom = {beside_limit(Quantity::plain_row, figure())};
            }
            if (row.judgement.verdict == Verdict::failed) {
                row.error_maps = {{3, figure(), {"a.", "!z"}}};
            }
            record.rows.push_back(row);
        }
        LayerRow layer = like.layers.front();
        layer.clip = one.clip;
        layer.layer = one.layer;
        layer.certificate.oracle_error = {{datasets::Op::query, figure()}, {datasets::Op::output, figure()}};
        layer.certificate.findings = {{Quantity::golden_error, "the golden errs"}};
        layer.output->z = z();
        for (StepTime& step : layer.steps) {
            step.cpu.seconds = spread_(random_) + 8;
            step.npu.seconds = spread_(random_) + 8;
        }
        layer.total->cpu.seconds = spread_(random_) + 80;
        layer.repeatability = {Verdict::passed, "", {}};
        layer.data = data(one);
        layer.untimed = one.layer == 1 ? "the device is gone" : "";
        record.layers.push_back(layer);
    }

    // A whole run that says something of everything, as one of `of` shards.
    RunRecord whole(int of) {
        const RunRecord like = example_record();
        RunRecord record = like;
        record.rows.clear();
        record.layers.clear();
        record.shard = note_of(3, 4, true, of);
        record.recording.layers = 4;
        for (const ShardClip& clip : record.shard->clips) {
            record.recording.clips.push_back({clip.clip, clip.audio_seconds});
        }
        for (const RunCase& one : cases_of(*record.shard)) {
            add_case(record, one, like);
        }
        record.ragged_probes = lost_design_probes("a reason");
        record.time_model = TimeModelNotes{};
        record.time_model->interval_factor = 1.2;
        record.time_model->steps.push_back(
            {datasets::attention_ops, 3, 1, figure(), 1, 2, 3, 4, "DRAM", 0.5});
        sum_up_shards(record, "whole");
        return record;
    }

    // What those shards would have written.
    static ShardRecord part(const RunRecord& whole, std::vector<int> shards) {
        RunRecord record = whole;
        record.shard->shards = std::move(shards);
        const auto own = own_cases(*record.shard);
        const auto foreign = [&](const auto& row) {
            return std::ranges::find(own, RunCase{row.clip, row.layer}) == own.end();
        };
        std::erase_if(record.rows, foreign);
        std::erase_if(record.layers, foreign);
        if (!owns_design_probes(*record.shard)) {
            record.ragged_probes.clear();
        }
        sum_up_shards(record, "part");
        const std::string file = fmt::format("{}.json", fmt::join(record.shard->shards, "-"));
        return parse_shard(to_json(record), file);
    }

    static std::string refusal(const auto& what) {
        try {
            what();
        } catch (const datasets::ReadError& error) {
            return error.what();
        }
        return "no refusal";
    }

private:
    std::mt19937 random_{20240607};
    std::normal_distribution<double> spread_{0, 2};
};

TEST_F(Merging, AnyOrderAndAnyStepsGiveTheBitsOfTheWhole) {
    const RunRecord all = whole(3);
    const std::string expected = to_json(all);
    const ShardRecord a = part(all, {1});
    const ShardRecord b = part(all, {2});
    const ShardRecord c = part(all, {3});
    EXPECT_EQ(difference(to_json(merge_shards({a, b, c})), expected), "");
    EXPECT_EQ(difference(to_json(merge_shards({c, a, b})), expected), "");
    const auto merged = [](std::vector<ShardRecord> parts) {
        return parse_shard(to_json(merge_shards(std::move(parts))), "merged.json");
    };
    EXPECT_EQ(difference(to_json(merge_shards({merged({a, b}), c})), expected), "");
    EXPECT_EQ(difference(to_json(merge_shards({a, merged({c, b})})), expected), "");
    EXPECT_EQ(difference(to_json(merge_shards({merged({c, a}), b})), expected), "");
    EXPECT_EQ(difference(to_json(merge_shards({merged({a, b, c})})), expected), "");
    EXPECT_FALSE(all.trust.empty());
    EXPECT_EQ(all.clips.size(), 3U);
    EXPECT_FALSE(all.time_model->amdahl.empty());
}

TEST_F(Merging, ManyShardsSomeOfThemEmptyGiveTheBitsOfTheWhole) {
    for (const int of : {1, 2, 16, 23}) {
        const RunRecord all = whole(of);
        std::vector<ShardRecord> parts;
        for (int shard = of; shard >= 1; --shard) {
            parts.push_back(part(all, {shard}));
        }
        EXPECT_EQ(difference(to_json(merge_shards(parts)), to_json(all)), "") << of;
    }
}

TEST_F(Merging, WhatIsMissingDidNotRunAndMayComeLater) {
    const RunRecord all = whole(3);
    const RunRecord partly = merge_shards({part(all, {3}), part(all, {1})});
    EXPECT_EQ(partly.exit_code, int(ExitCode::could_not_run));
    EXPECT_EQ(partly.layers.size(), all.layers.size());
    EXPECT_EQ(partly.shard->shards, (std::vector<int>{1, 3}));
    EXPECT_TRUE(partly.trust.empty());
    ShardNote missing = *all.shard;
    missing.shards = {2};
    for (const RunCase& one : own_cases(missing)) {
        const auto of_case = [&](const OpRow& row) { return row.clip == one.clip && row.layer == one.layer; };
        EXPECT_EQ(std::ranges::count_if(partly.rows, of_case), one.layer < 0 ? 2 : 14);
        for (const OpRow& row : partly.rows) {
            if (of_case(row)) {
                EXPECT_EQ(row.judgement.verdict, Verdict::not_run);
                EXPECT_THAT(row.judgement.reason, HasSubstr("shard 2 of 3 is missing"));
            }
        }
    }
    const ShardRecord stored = parse_shard(to_json(partly), "partly.json");
    EXPECT_EQ(difference(to_json(merge_shards({part(all, {2}), stored})), to_json(all)), "");
    // The probes of the design are the last shard's.
    const RunRecord unprobed = merge_shards({part(all, {1}), part(all, {2})}, {{3, "rank 7 died"}});
    ASSERT_EQ(unprobed.ragged_probes.size(), all.ragged_probes.size());
    EXPECT_EQ(unprobed.ragged_probes.front().judgement.reason, "rank 7 died");
}

TEST_F(Merging, RefusesPartsOfDifferentRunsAndNamesTheField) {
    const RunRecord all = whole(2);
    const ShardRecord first = part(all, {1});
    const auto refused = [&](auto change) {
        RunRecord other = all;
        change(other);
        return refusal([&] { (void)merge_shards({first, part(other, {2})}); });
    };
    EXPECT_THAT(refused([](RunRecord& r) { r.environment.threads = 4; }),
                AllOf(HasSubstr("2.json"), HasSubstr("1.json"), HasSubstr("environment.threads: is 2")));
    EXPECT_THAT(refused([](RunRecord& r) { r.recording_sha256[0] = 'b'; }),
                HasSubstr("identities.recording.sha256"));
    EXPECT_THAT(refused([](RunRecord& r) { r.design = "unfused"; }), HasSubstr("identities.design"));
    EXPECT_THAT(refused([](RunRecord& r) { r.emulation = "exact"; }), HasSubstr("identities.emulation"));
    EXPECT_THAT(refused([](RunRecord& r) { r.row_seed = 2; }), HasSubstr("identities.row_seed"));
    EXPECT_THAT(refused([](RunRecord& r) { r.shard->repetitions = 5; }), HasSubstr("shard.repetitions"));
    EXPECT_THAT(refused([](RunRecord& r) { r.shard->inputs.pop_back(); }), HasSubstr("shard.inputs"));
    EXPECT_THAT(refused([](RunRecord& r) { r.time_model->steps[0].launches = 4; }),
                HasSubstr("time_model.steps[0].launches"));
    EXPECT_THAT(refused([](RunRecord& r) { r.shard = note_of(3, 4, true, 3); }), HasSubstr("shard.of"));
}

TEST_F(Merging, EqualMachinesShareARunAndAllOfThemAreNamed) {
    const RunRecord all = whole(3);
    const auto on = [&](const char* machine, int shard) {
        RunRecord record = all;
        record.environment.machine = machine;
        return part(record, {shard});
    };
    const RunRecord merged = merge_shards({on("b", 1), on("a", 2), on("b", 3)});
    EXPECT_EQ(merged.environment.machine, "a+b");
    const ShardRecord first_two = parse_shard(to_json(merge_shards({on("b", 1), on("a", 2)})), "two.json");
    EXPECT_EQ(difference(to_json(merge_shards({on("b", 3), first_two})), to_json(merged)), "");
}

TEST_F(Merging, RefusesAShardThatComesTwice) {
    const RunRecord all = whole(3);
    const ShardRecord both = part(all, {1, 2});
    EXPECT_THAT(refusal([&] {
                    (void)merge_shards({both, part(all, {2})});
                }),
                HasSubstr("shard 2 of 3 is in 1-2.json as well"));
}

TEST_F(Merging, RefusesARecordThatItWouldNotGiveBackAsItIs) {
    const std::string text = to_json(part(whole(2), {1}).record);
    const auto refused = [&](const std::string& from, const std::string& to) {
        std::string changed = text;
        const auto at = changed.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        changed.replace(at, from.size(), to);
        return refusal([&] { (void)parse_shard(changed, "changed.json"); });
    };
    EXPECT_THAT(refused("\"exit_code\": 3", "\"exit_code\": 0"),
                AllOf(HasSubstr("changed.json"), HasSubstr("exit_code: is 0 in the file and 3")));
    EXPECT_THAT(refused("\"speedup_label\"", "\"novelty\": 1,\n  \"speedup_label\""),
                HasSubstr("novelty: is 1 in the file and nothing"));
    EXPECT_THAT(refused(fmt::format("    {}\n  ],\n  \"created", run_schema_minor),
                        fmt::format("    {}\n  ],\n  \"created", run_schema_minor + 1)),
                HasSubstr("schema_version[1]"));
    EXPECT_THAT(refused("\"of\": 2", "\"of\": 0"), HasSubstr("shard.of: is not between"));
    EXPECT_THAT(refused("\"shards\": [\n      1", "\"shards\": [\n      3"), HasSubstr("is no shard of 2"));
    EXPECT_THAT(refused("\"design\": \"fused\"", "\"design\": \"fuzzed\""), HasSubstr("identities.design"));
    EXPECT_THAT(refusal([&] { (void)parse_shard(to_json(example_record()), "run.json"); }),
                HasSubstr("a run without --shard has nothing to merge"));
    RunRecord lacking = part(whole(2), {1}).record;
    lacking.layers.pop_back();
    EXPECT_THAT(refusal([&] { (void)parse_shard(to_json(lacking), "lacking.json"); }),
                HasSubstr("lacking.json: layers: lacks layer"));
}

// At the end of a run in ranks: what does not fit costs itself, not the others.
TEST_F(Merging, AStrangerAmongThePartsIsTakenOutWithItsReason) {
    const RunRecord all = whole(3);
    RunRecord other = all;
    other.environment.cpu = "another CPU";
    for (const int stranger : {1, 2, 3}) {
        std::vector<ShardRecord> parts;
        for (const int shard : {1, 2, 3}) {
            parts.push_back(part(shard == stranger ? other : all, {shard}));
        }
        const auto out = take_out_strangers(parts);
        ASSERT_EQ(out.size(), 1U);
        EXPECT_THAT(out.at(stranger),
                    AllOf(HasSubstr("is of another run: environment.cpu: "), HasSubstr("another CPU")));
        const RunRecord merged = merge_shards(parts, out);
        EXPECT_EQ(merged.shard->shards.size(), 2U);
        EXPECT_EQ(merged.exit_code, int(ExitCode::could_not_run));
    }
    // So does another list of accepted misses: headlines would be judged by two.
    RunRecord milder = all;
    milder.accepted_misses_sha256 = "another list";
    EXPECT_THAT(refusal([&] {
                    (void)merge_shards({part(all, {1, 2}), part(milder, {3})});
                }),
                HasSubstr("accepted_misses_sha256"));
    std::vector<ShardRecord> alike{part(all, {1}), part(all, {2}), part(all, {3})};
    EXPECT_TRUE(take_out_strangers(alike).empty());
    EXPECT_EQ(alike.size(), 3U);
}

TEST_F(Merging, LossesAreJoinedAndTheFullestHostIsKept) {
    const RunRecord all = whole(2);
    RunRecord first = part(all, {1}).record;
    RunRecord second = part(all, {2}).record;
    first.shard->lost = {"rank 1 died"};
    second.shard->ranks_on_a_host = 4;
    second.shard->lost = {"rank 0 died", "rank 1 died"};
    const RunRecord merged = merge_shards({{"a", first}, {"b", second}});
    EXPECT_EQ(merged.shard->lost, (std::vector<std::string>{"rank 0 died", "rank 1 died"}));
    EXPECT_EQ(merged.shard->ranks_on_a_host, 4);
    const RunRecord again = parse_shard(to_json(merged), "merged.json").record;
    EXPECT_EQ(again.shard->ranks_on_a_host, 4);
}

TEST(RankSchedule, GivesEveryShardOnceTheLongestFirst) {
    RankSchedule schedule(2, 5);
    std::vector<int> order;
    for (int turn = 0; !schedule.over(); ++turn) {
        const int rank = turn % 2;
        if (const auto shard = schedule.next(rank)) {
            order.push_back(*shard);
            EXPECT_FALSE(schedule.next(rank)) << "it is at one already";
            schedule.done(rank);
        }
    }
    EXPECT_EQ(order, (std::vector<int>{5, 1, 2, 3, 4}));
    EXPECT_EQ(schedule.shards_done(), 5);
    EXPECT_TRUE(schedule.why_missing().empty());
}

TEST(RankSchedule, WhatADeadRankWasAtIsRunByAnother) {
    RankSchedule schedule(2, 3);
    EXPECT_EQ(schedule.next(0), 3);
    EXPECT_EQ(schedule.next(1), 1);
    schedule.lost(1, "rank 1 was killed");
    EXPECT_FALSE(schedule.next(1));
    schedule.done(0);
    EXPECT_EQ(schedule.next(0), 1);
    schedule.done(0);
    EXPECT_EQ(schedule.next(0), 2);
    EXPECT_FALSE(schedule.over());
    EXPECT_EQ(schedule.why_missing().size(), 1U);
    schedule.done(0);
    EXPECT_TRUE(schedule.over());
    EXPECT_TRUE(schedule.why_missing().empty());
}

TEST(RankSchedule, WhatKilledTwoRanksIsNotTriedAThirdTime) {
    RankSchedule schedule(3, 2);
    EXPECT_EQ(schedule.next(0), 2);
    schedule.lost(0, "rank 0 was killed");
    EXPECT_EQ(schedule.next(1), 2);
    schedule.lost(1, "rank 1 was killed");
    EXPECT_EQ(schedule.next(2), 1);
    schedule.done(2);
    EXPECT_TRUE(schedule.over());
    ASSERT_EQ(schedule.why_missing().size(), 1U);
    EXPECT_EQ(schedule.why_missing().at(2), "rank 1 was killed, and before it rank 0 was killed");
}

TEST(RankSchedule, SaysWhyNothingRanWhereNobodyIsLeft) {
    RankSchedule schedule(1, 3);
    EXPECT_EQ(schedule.next(0), 3);
    schedule.lost(0, "rank 0 was killed");
    EXPECT_TRUE(schedule.over());
    EXPECT_EQ(schedule.why_missing().at(3), "rank 0 was killed, and nobody was left to run it");
    EXPECT_EQ(schedule.why_missing().at(1), "no rank was left to run it: rank 0 was killed");
}

}  // namespace
}  // namespace harness
