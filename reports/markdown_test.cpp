#include "reports/markdown.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/run_record_example.hpp"
#include "reports/clean_text.hpp"
#include "reports/history_text.hpp"
#include "reports/regression_text.hpp"

namespace reports {
namespace {

using harness::ComparedFigure;
using harness::FigureKind;
using harness::Regression;
using harness::RegressionVerdict;
using harness::Verdict;
using testing::HasSubstr;
using testing::Not;

ComparedFigure compared(RegressionVerdict verdict, std::string quantity, FigureKind kind, double baseline,
                        double candidate) {
    ComparedFigure out;
    out.figure.row = "scores";
    out.figure.part = "layer 3";
    out.figure.quantity = std::move(quantity);
    out.figure.kind = kind;
    out.verdict = verdict;
    out.baseline = baseline;
    out.candidate = candidate;
    return out;
}

Regression example_regression() {
    Regression out;
    out.baseline = "the last 14 green nights";
    out.runs = {"run.json"};
    out.measured_rows = 48;
    ComparedFigure lost = compared(RegressionVerdict::lost, "verdict", FigureKind::computed, 0, 0);
    lost.baseline_verdict = "passed";
    lost.candidate_verdict = "failed";
    ComparedFigure slower = compared(RegressionVerdict::slower, "CPU ms", FigureKind::measured, 10, 12);
    slower.change = harness::TimeChange{harness::TimeVerdict::slower, "", 10, 12, 1.2, 0.02, 0.05, 0.0001};
    ComparedFigure maybe = compared(RegressionVerdict::ambiguous, "CPU ms", FigureKind::measured, 10, 12);
    maybe.figure.row = "context";
    maybe.change = slower.change;
    maybe.reason = "may be slower: not reproduced";
    ComparedFigure vague = compared(RegressionVerdict::ambiguous, "CPU ms", FigureKind::measured, 10, 10);
    vague.change = slower.change;
    vague.reason = "too few samples: 3 against 3; 8 against 8 would do";
    out.figures = {
        lost,  slower, compared(RegressionVerdict::slower, "NPU ms", FigureKind::modelled, 10, 11), maybe,
        vague, vague,  compared(RegressionVerdict::same, "launches", FigureKind::counted, 3, 3)};
    return out;
}

TEST(RegressionReport, PutsTheVerdictFirstAndCountsTheRest) {
    const std::string text = regression_report(example_regression(), false);
    EXPECT_TRUE(text.starts_with(
        "ACCURACY LOST: 1 verdicts lost, 2 figures slower; 1 may have changed; 2 of 48 measured not judged; "
        "exit code 1\n"))
        << text;
    EXPECT_THAT(text, HasSubstr("passed -> failed"));
    EXPECT_THAT(text, HasSubstr("scores layer 3                         CPU ms           measured          "
                                "10         12   1.200x\n"
                                "      threshold 5.0%, A/A spread 2.0%, p 0.0001\n"));
    EXPECT_THAT(text, HasSubstr("NPU ms           modelled"));
    EXPECT_THAT(text, HasSubstr("p 0.0001; may be slower: not reproduced"));
    EXPECT_THAT(text,
                HasSubstr("\n2 ambiguous: too few samples: 3 against 3; 8 against 8 would do\n1 same\n"));
    Regression quiet = example_regression();
    quiet.figures.erase(quiet.figures.begin(), quiet.figures.begin() + 4);
    EXPECT_TRUE(
        regression_report(quiet, false)
            .starts_with("NO REGRESSION: no verdict lost, nothing slower; 2 of 48 measured not judged; "
                         "exit code 0\n"));
}

TEST(Markdown, TellsVerdictThenFailuresThenRegressionsThenTheRest) {
    const Regression regression = example_regression();
    const std::string text = markdown_report(harness::example_record(), &regression);
    const auto at = [&](std::string_view what) {
        const auto found = text.find(what);
        EXPECT_NE(found, std::string::npos) << what;
        return found;
    };
    EXPECT_EQ(at("### ❌ failed: 1 failed, 1 mistrusted, 1 not_run of 5 rows, 1 of 3 probes"), 0U);
    EXPECT_LT(at("### ❌ ACCURACY LOST"), at("**failed** clip layer 0 context (chained): 12 of 64000"));
    EXPECT_LT(at("12 of 64000"), at("where: head 3, rows 70-75"));
    EXPECT_LT(at("why:   head_swapped"), at("reproduce: harness --compare --layer 0 --op context --head 3"));
    EXPECT_LT(at("reproduce:"), at("**verdicts lost** (1)"));
    EXPECT_LT(at("| scores layer 3 | CPU ms | measured | 10 | 12 | 1.200x |"),
              at("<details><summary>Comparison"));
    EXPECT_LT(at("**may have changed** (1)"), at("<details>"));
    EXPECT_GT(at("2 ambiguous: too few samples"), at("<details>"));
    EXPECT_GT(at("| clip | layer 0 | scores..context |"), at("<details><summary>Times"));
    EXPECT_THAT(markdown_report(regression), Not(HasSubstr("rows failed")));
}

TEST(Markdown, TellsWhatFailsBesideTheRows) {
    harness::RunRecord record = harness::example_record();
    record.rows.clear();
    record.shard = harness::ShardNote{};
    record.shard->of = 3;
    record.shard->shards = {2};
    const harness::Judgement failed{Verdict::failed, "because", {}};
    harness::ProbeRow probe;
    probe.judgement = failed;
    probe.reproduce = "harness again";
    record.layers.front().probes = {probe};
    record.ragged_probes = {probe};
    record.layers.front().headline = {Verdict::mistrusted, "who knows", {}};
    record.trust = {{harness::FaultClass::no_maximum, {Verdict::mistrusted, "too small", {}}, 0, 1, ""}};
    const std::string text = markdown_report(record, nullptr);
    EXPECT_THAT(text,
                HasSubstr("none failed of 0 rows, 1 of 1 headlines, 2 of 2 probes; only shards 2 of 3\n"));
    EXPECT_THAT(text, HasSubstr("**mistrusted** clip layer 0 match of the attention output: who knows"));
    EXPECT_THAT(text,
                HasSubstr("**failed** clip layer 0 probe ones: because\n```\nreproduce: harness again"));
    EXPECT_THAT(text, HasSubstr("**failed** probe ones at T = 0: because"));
    EXPECT_THAT(text, HasSubstr("**mistrusted** data cannot reveal no\\_maximum: too small"));
}

TEST(Markdown, TellsWhatIsAcceptedAndWhy) {
    harness::RunRecord record = harness::example_record();
    record.layers[0].headline = {Verdict::accepted, "match 99.8500% is under 99.9%; accepted down to 99.8%"};
    const std::string text = markdown_report(record, nullptr);
    EXPECT_THAT(text, HasSubstr("; 1 of 1 headlines miss the match, which is accepted"));
    EXPECT_THAT(text, HasSubstr("**accepted** clip layer 0 match of the attention output: match 99.8500% is "
                                "under 99.9%; accepted down to 99.8%"));
}

TEST(Markdown, EscapesWhatOthersWrote) {
    harness::RunRecord record = harness::example_record();
    record.rows.back().judgement.reason = "a|b <script> `code` @x\n# heading";
    record.rows.back().reproduce = "echo '```'";
    const std::string text = markdown_report(record, nullptr);
    EXPECT_THAT(text, HasSubstr("a\\|b &lt;script> \\`code\\` @x \\# heading"));
    EXPECT_THAT(text, HasSubstr("````\n"));
    EXPECT_THAT(text, Not(HasSubstr("<script")));
}

TEST(Markdown, FitsIntoACommentHoweverMuchThereIs) {
    harness::RunRecord record = harness::example_record();
    for (int i = 0; i < 3000; ++i) {
        record.rows.push_back(record.rows.back());
        record.layers.push_back(record.layers.front());
    }
    const Regression regression = example_regression();
    const std::string text = markdown_report(record, &regression);
    EXPECT_LE(text.size(), 65'000U);
    EXPECT_THAT(text, HasSubstr("... and "));
    EXPECT_THAT(text, HasSubstr("tables left out"));
}

TEST(Markdown, FitsIntoACommentHoweverLongItsNames) {
    const harness::RunRecord example = harness::example_record();
    const Regression short_names = example_regression();
    for (const std::size_t length : {100U, 500U, 3000U, 30'000U}) {
        const std::string name(length, 'x');
        harness::RunRecord record = example;
        record.rows.assign(100, example.rows.back());
        for (harness::OpRow& row : record.rows) {
            row.clip = row.reproduce = name;
            row.judgement = {Verdict::failed, name, {}};
        }
        record.layers.clear();
        record.ragged_probes.clear();
        record.trust.clear();
        Regression regression = short_names;
        regression.figures.clear();
        for (int i = 0; i < 100; ++i) {
            for (const ComparedFigure& one : short_names.figures) {
                regression.figures.push_back(one);
                regression.figures.back().figure.clip = name;
            }
        }
        for (const std::string& text : {markdown_report(record, &regression), markdown_report(regression)}) {
            EXPECT_LT(text.size(), 65'536U) << length;
            EXPECT_THAT(text, HasSubstr("**slower** (200)\n")) << length;
        }
        // What is shown and what is counted is all that there is.
        const std::string text = markdown_report(record, nullptr);
        const std::string begin = "\n**failed** ";
        std::size_t shown = 0;
        for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
            ++shown;
        }
        EXPECT_TRUE(length > 100 ? shown < 20 : shown == 20) << length;
        EXPECT_THAT(text, HasSubstr(fmt::format("... and {} more\n", 100 - shown))) << length;
    }
}

TEST(RegressionReport, ShowsWhatOthersWroteInOneLineOfUtf8) {
    Regression regression = example_regression();
    for (ComparedFigure& one : regression.figures) {
        one.figure.clip =
            "a\x1B\n\xFF"
            "b";
        one.reason += "\x1B\n\xFF";
    }
    regression.runs = {"run\x1B\n\xFF.json"};
    for (const std::string& text : {regression_report(regression, false), markdown_report(regression)}) {
        EXPECT_EQ(text, clean_lines(text));
        EXPECT_THAT(text, HasSubstr("scores layer 3 a\uFFFD \uFFFDb"));
    }
}

TEST(HistoryList, HasALinePerRunWhateverItsNames) {
    HistoryRun one;
    one.run.commit = "abc\n\x1B[31mdef\xFF";
    one.run.created_utc = one.run.scope = one.run.key.cpu = "\x1B\n\xFF";
    HistoryRun other = one;
    other.environment = 1;
    other.run.key.cpu = "another\n\x1B";
    const std::string list = history_list({one, other});
    EXPECT_EQ(std::ranges::count(list, '\n'), 1 + 2 + 3) << list;
    EXPECT_EQ(list, clean_lines(list));
    const std::string table =
        trend_table(one, {{"scores", "CPU ms", "measured", {{one.run.created_utc, "c", 1}}}});
    EXPECT_EQ(std::ranges::count(table, '\n'), 5) << table;
    EXPECT_EQ(table, clean_lines(table));
}

TEST(SparkLine, GoesFromTheLeastToTheLargestAndLeavesGaps) {
    const double gap = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(spark_line({1, 2, 3, 4, 5, 6, 7, 8}, 30), "▁▂▃▄▅▆▇█");
    EXPECT_EQ(spark_line({5, gap, 1}, 30), "█ ▁");
    EXPECT_EQ(spark_line({2, 2}, 30), "▁▁");
    EXPECT_EQ(spark_line({1, 1, 9, 9}, 2), "▁█");
    EXPECT_EQ(spark_line({}, 30), "");
    EXPECT_EQ(spark_line({gap}, 30), " ");
}

}  // namespace
}  // namespace reports
