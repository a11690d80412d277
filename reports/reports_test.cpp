#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "harness/run_record_example.hpp"
#include "reports/accuracy.hpp"
#include "reports/clean_text.hpp"
#include "reports/encoder.hpp"
#include "reports/junit.hpp"
#include "reports/markdown.hpp"
#include "reports/terminal.hpp"

namespace reports {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(AccuracyTable, PutsPredictedBesideMeasuredAndNamesTheNearestGatedLimit) {
    harness::RunRecord record = harness::example_record();
    EXPECT_TRUE(accuracy_table(record).empty()) << "level 2 was not asked for";
    for (harness::OpRow& row : record.rows) {
        if (row.op == datasets::Op::context && row.statistics) {
            row.statistics->z.emplace().predicted_error = 1.25e-3;
            row.statistics->z->measured_error = 2.5e-3;
            row.headroom = {{harness::Quantity::context_rms, 1.3, 6.0},
                            {harness::Quantity::context_row, 8, 4.5},
                            {harness::Quantity::context_largest, 19, 0.1}};
        }
    }
    const std::string table = accuracy_table(record);
    EXPECT_THAT(table, HasSubstr("1.25e-03 2.50e-03   4.5 context row z"));
    EXPECT_THAT(table, Not(HasSubstr("query")));
    std::istringstream lines(table);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 100U) << line;
    }
}

TEST(TerminalReport, TablesFitIntoAHundredColumns) {
    std::istringstream text(terminal_report(harness::example_record(), false));
    std::string line;
    while (std::getline(text, line)) {
        // Lines of free text wrap; those of a table must not.
        if (line.find("launches") != std::string::npos || line.starts_with("op ") ||
            line.starts_with("context ") || line.starts_with("clip ") || line.starts_with("  CPU") ||
            line.starts_with("  NPU")) {
            EXPECT_LE(line.size(), 100U) << line;
        }
    }
}

// Measured is never shown without the model's word beside it, nor an emulation's time as an NPU's.
TEST(TerminalReport, ShowsWhatLaunchesTookBesideTheModel) {
    const std::string none = terminal_report(harness::example_record(), false);
    EXPECT_THAT(none, Not(HasSubstr("launch times")));
    const std::string text = terminal_report(harness::example_on_npu(true), false);
    EXPECT_THAT(text, HasSubstr("NPU Strix, power mode performance; launches in lists of up to 24\n"));
    EXPECT_THAT(text, HasSubstr("launch times of a layer: host wall time inside the calls of the NPU\n"));
    EXPECT_THAT(text,
                HasSubstr("scores..context     50.00    4.00    40.00    5.00     1.00       40      2  "
                          "      1    23.40  2.14\n"));
    EXPECT_THAT(text, HasSubstr("measured  measured"));
    const std::string emulated = terminal_report(harness::example_on_npu(false), false);
    EXPECT_THAT(emulated, HasSubstr("emulated NPU: an emulation, no hardware, power mode performance"));
    EXPECT_THAT(emulated, HasSubstr("it says nothing of hardware"));
    EXPECT_THAT(emulated, HasSubstr("23.40     -\n"));
    EXPECT_THAT(emulated, HasSubstr("measured  modelled"));
    harness::RunRecord nameless = harness::example_on_npu(false);
    nameless.environment.npu = harness::NpuEnvironment{"", false, "unknown", "unknown", "unknown", 1};
    EXPECT_THAT(
        terminal_report(nameless, false),
        HasSubstr("taken for an emulation of one, power mode unknown; launches one by one: this XRT has "
                  "no run lists\n"));
    std::istringstream lines(text.substr(text.find("launch times")));
    std::string line;
    while (std::getline(lines, line) && !line.empty()) {
        EXPECT_LE(line.size(), 100U) << line;
    }
}

TEST(TerminalReport, SaysWhereTheDamageIsAndHowToSeeItAgain) {
    const std::string text = terminal_report(harness::example_record(), false);
    EXPECT_THAT(text,
                HasSubstr("failed clip layer 0 context (chained): 12 of 64000 elements outside their bound\n"
                          "    limit: rho (L1), context tile z (L2)\n"));
    EXPECT_THAT(text, HasSubstr("head 3, rows 70-75, element (71, 6): got 2.5, expected 1"));
    EXPECT_THAT(text, HasSubstr("the worst element made as tile 17 by core 5 in launch 2"));
    EXPECT_THAT(text,
                HasSubstr("reproduce: harness --compare --layer 0 --op context --head 3 --input chained"));
    EXPECT_THAT(text, HasSubstr("exit code 1"));
}

// Numbers from a file: nobody here launched anything.
TEST(EveryReport, SaysThatALaunchIsOneOfThePlan) {
    harness::RunRecord record = harness::example_record();
    for (harness::OpRow& row : record.rows) {
        if (row.site) {
            row.site->ran = false;
        }
    }
    for (const std::string& text : {terminal_report(record, false), junit_report(record)}) {
        EXPECT_THAT(text,
                    HasSubstr("the worst element by the declared design's plan made as tile 17 by core"));
        EXPECT_THAT(text, testing::Not(HasSubstr("element made as")));
    }
}

TEST(EveryReport, SaysWhyAHeadlineFailed) {
    harness::RunRecord record = harness::example_record();
    harness::LayerRow& layer = record.layers[0];
    layer.headline = harness::judged({{harness::Quantity::match, "match 99.8% is under 99.9%"}});
    layer.diagnosis = harness::Diagnosis{harness::Pattern::inherited, 0.9, "key is the first op", 3, 5};
    EXPECT_THAT(terminal_report(record, false),
                HasSubstr("    match 99.8% is under 99.9%\n    limit: match (headline)\n"));
    EXPECT_THAT(terminal_report(record, false),
                HasSubstr("    why:   inherited: key is the first op; 64x64 tile (3, 5)\n"));
    EXPECT_THAT(junit_report(record), HasSubstr("why:   inherited: key is the first op"));
}

TEST(TerminalReport, NeverCallsAModelledTimeMeasured) {
    const std::string text = terminal_report(harness::example_record(), false);
    EXPECT_THAT(text, HasSubstr("23.40 ms modelled"));
    EXPECT_THAT(text, HasSubstr("66.00 ms measured"));
    EXPECT_THAT(text, HasSubstr("projected, cross-machine"));
}

TEST(TerminalReport, SaysHowTheCpuWasTimedAndThatItsClockDrifts) {
    const std::string text = terminal_report(harness::example_record(), false);
    EXPECT_THAT(text, HasSubstr("CPU timed 6 to 10 times a layer"));
    EXPECT_THAT(text, HasSubstr("medians known within 1.5%"));
    EXPECT_THAT(text, HasSubstr("odd over even runs 1.004, second half over first 1.120: BEYOND noise"));
    EXPECT_THAT(text, HasSubstr("speedup 2.82x (2.20x .. 3.60x), projected"));
}

TEST(EveryReport, SaysThatAPartIsNotTheWhole) {
    harness::RunRecord record = harness::example_record();
    const std::string headline = "failed (shards 1-2 of 3: not the whole): ";
    EXPECT_THAT(terminal_report(record, false), Not(HasSubstr("not the whole")));
    EXPECT_THAT(junit_report(record), Not(HasSubstr("not the whole")));
    record.verdict = harness::Verdict::failed;
    record.shard.emplace().of = 3;
    record.shard->shards = {1, 2};
    record.shard->lost = {"rank 1 on there was killed by signal 9 (Killed)"};
    EXPECT_THAT(terminal_report(record, false), HasSubstr(headline));
    EXPECT_THAT(terminal_report(record, false),
                HasSubstr("lost: rank 1 on there was killed by signal 9 (Killed)\n"));
    EXPECT_THAT(junit_report(record), HasSubstr("value=\"shards 1-2 of 3: not the whole\""));
    record.shard->shards = {2};
    EXPECT_THAT(terminal_report(record, false), HasSubstr("(shard 2 of 3: not the whole): "));
    record.shard->shards = {1, 2, 3};
    EXPECT_THAT(terminal_report(record, false), Not(HasSubstr("not the whole")));
}

TEST(EveryReport, SaysThatALayerWasNotTimed) {
    harness::RunRecord record = harness::example_record();
    record.layers[0].untimed = "launch 7: it did not end";
    EXPECT_THAT(terminal_report(record, false), HasSubstr("    not timed: launch 7: it did not end\n"));
    EXPECT_THAT(junit_report(record), HasSubstr("message=\"launch 7: it did not end\""));
}

TEST(TerminalReport, SaysThatRanksSharedTheHostWhoseCpuWasTimed) {
    harness::RunRecord record = harness::example_record();
    record.shard.emplace().shards = {1};
    EXPECT_THAT(terminal_report(record, false), Not(HasSubstr("CONTENDED")));
    record.shard->ranks_on_a_host = 4;
    EXPECT_THAT(terminal_report(record, false), HasSubstr("CONTENDED: up to 4 ranks at work on one host"));
}

TEST(TerminalReport, HasALinePerLayerOfProbesAndFailuresInFull) {
    const std::string text = terminal_report(harness::example_record(), false);
    EXPECT_THAT(text, HasSubstr("clip             layer 0  ones failed, zero_keys 0.000\n"
                                "    failed ones at T = 63: probe ones: context at head 0, row 3 is 0\n"
                                "    limit: probe V = 1 (L3)\n"
                                "    where: made as tile 2 by core 7 in launch 1\n"
                                "    reproduce: harness --compare --layer 0 --op context\n"
                                "small integers   T = 63   integers covered\n"));
}

TEST(TerminalReport, ColoursOnlyWhenAsked) {
    EXPECT_THAT(terminal_report(harness::example_record(), false), Not(HasSubstr("\033[")));
    EXPECT_THAT(terminal_report(harness::example_record(), true), HasSubstr("\033["));
}

TEST(EncoderReport, FitsIntoAHundredColumns) {
    std::istringstream text(encoder_report(harness::example_encoder_record(), false));
    std::string line;
    while (std::getline(text, line)) {
        if (!line.starts_with("  - ")) {  // sentences
            EXPECT_LE(line.size(), 110U) << line;
        }
    }
}

TEST(EncoderReport, NamesTheKindOfEveryTimeAndBothReadingsOfTheRealTimeFactor) {
    const std::string text = encoder_report(harness::example_encoder_record(), false);
    EXPECT_THAT(text, HasSubstr("5.00 s of audio in a window of 30.00 s, T = 1500, 2 layers"));
    EXPECT_THAT(text, HasSubstr("30.00 s window"));
    EXPECT_THAT(text, HasSubstr("5.00 s audio"));
    EXPECT_THAT(text, HasSubstr("measured"));
    EXPECT_THAT(text, HasSubstr("modelled"));
    EXPECT_THAT(text, HasSubstr("projected, cross-machine"));
    EXPECT_THAT(text, HasSubstr("the first, cold: 500.00 ms"));
    EXPECT_THAT(text, HasSubstr("scores..context"));
    EXPECT_THAT(text, HasSubstr("80.00 + 23.00"));  // CPU + NPU of a layer
    EXPECT_THAT(text, HasSubstr("72.8"));           // 30 s / 412 ms
    EXPECT_THAT(text, HasSubstr("12.1"));           // 5 s / 412 ms
}

TEST(EncoderReport, SaysTheVerdictTheDriftAndHowToSeeItAgain) {
    const std::string text = encoder_report(harness::example_encoder_record(), false);
    EXPECT_THAT(text, HasSubstr("failed 80 launches counted, 80 planned; encoder match 99.8700% is under"));
    EXPECT_THAT(text, HasSubstr("reproduce: harness encode --random-weights base"));
    EXPECT_THAT(text, HasSubstr("99.9800"));
    EXPECT_THAT(text, HasSubstr("1 clips, exit code 1"));
    EXPECT_THAT(text, HasSubstr("1244 ms of its encoder lie outside the layers"));
}

// Results of fast and of exact emulation must never be taken for each other.
TEST(EveryReport, SaysHowTheDevicesResultsCameAbout) {
    harness::RunRecord record = harness::example_record();
    for (const char* emulation : {"fast", "exact"}) {
        record.emulation = emulation;
        const std::string word = std::string(emulation) + " emulation";
        EXPECT_THAT(terminal_report(record, false), HasSubstr(word));
        harness::RunRecord encoder = harness::example_encoder_record();
        encoder.emulation = emulation;
        EXPECT_THAT(encoder_report(encoder, false), HasSubstr(word));
        const std::string value = "name=\"emulation\" value=\"" + std::string(emulation) + "\"";
        EXPECT_THAT(junit_report(record), HasSubstr(value));
    }
}

// What moves a cursor, breaks a line, ends a string, or is no XML or UTF-8; and as it is shown.
const std::string hostile = std::string("a\x1B[31m\n\0 \xEF\xBF\xBE \xFF", 14) + "b";
const std::string tamed = "a\uFFFD[31m \uFFFD \uFFFD \uFFFDb";

// In every string that somebody else may have written.
harness::RunRecord with_names(harness::RunRecord record, const std::string& name) {
    for (std::string* text :
         {&record.recording_file, &record.recording.model_id, &record.provenance_note, &record.design,
          &record.device, &record.emulation, &record.cost_model, &record.speedup_label, &record.created_utc,
          &record.environment.cpu, &record.environment.blas, &record.environment.blas_core_type}) {
        *text += name;
    }
    for (harness::OpRow& row : record.rows) {
        row.clip += name;
        row.judgement.reason += name;
        row.reproduce += name;
    }
    for (harness::LayerRow& layer : record.layers) {
        layer.clip += name;
        layer.headline.reason += name;
        layer.reproduce += name;
        layer.untimed = name;
        layer.diagnosis = harness::Diagnosis{harness::Pattern::inherited, 0.9, name, 3, 5};
        for (harness::ProbeRow& probe : layer.probes) {
            probe.judgement.reason += name;
            probe.reproduce += name;
        }
    }
    for (harness::ClipRow& clip : record.clips) {
        clip.clip += name;
        clip.scope += name;
    }
    for (harness::EncoderRow& row : record.encoders) {
        row.clip += name;
        row.judgement.reason += name;
        row.reproduce += name;
    }
    record.candidate = harness::CandidateFile{};
    record.candidate->file = name;
    record.candidate->runner = name;
    record.candidate->not_checked = {name};
    record.shard.emplace().shards = {1};
    record.shard->lost = {name};
    return record;
}

TEST(EveryReport, ShowsWhatOthersWroteInOneLineOfUtf8) {
    const harness::RunRecord record = harness::example_record();
    const harness::RunRecord encoder = harness::example_encoder_record();
    const harness::RunRecord bad = with_names(record, hostile);
    const harness::RunRecord bad_encoder = with_names(encoder, hostile);
    for (const std::string& text : {terminal_report(bad, false), encoder_report(bad_encoder, false),
                                    junit_report(bad), markdown_report(bad, nullptr)}) {
        EXPECT_EQ(text, clean_lines(text));
        EXPECT_THAT(text, HasSubstr(tamed.substr(0, 4)));
    }
    const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
    EXPECT_EQ(lines(terminal_report(bad, false)), lines(terminal_report(with_names(record, "b"), false)));
    EXPECT_EQ(lines(encoder_report(bad_encoder, false)),
              lines(encoder_report(with_names(encoder, "b"), false)));
    EXPECT_THAT(terminal_report(bad, false), HasSubstr("Recording  " + record.recording_file + tamed + "\n"));
}

TEST(JUnitReport, IsWellFormedWhateverOthersWrote) {
    pugi::xml_document document;
    ASSERT_TRUE(document.load_string(junit_report(with_names(harness::example_record(), hostile)).c_str()));
    const pugi::xml_node suite = document.child("testsuites").child("testsuite");
    EXPECT_EQ(suite.attribute("tests").as_int(), 10) << "and the layer that was not timed";
    EXPECT_EQ(
        suite.find_child_by_attribute("testcase", "name", "context chained").attribute("classname").value(),
        harness::example_record().design + tamed + ".clip" + tamed + ".layer_00");
}

TEST(JUnitReport, CountsEveryVerdict) {
    pugi::xml_document document;
    ASSERT_TRUE(document.load_string(junit_report(harness::example_record()).c_str()));
    const pugi::xml_node suite = document.child("testsuites").child("testsuite");
    EXPECT_EQ(suite.attribute("tests").as_int(), 9);
    EXPECT_EQ(suite.attribute("failures").as_int(), 3);
    EXPECT_EQ(suite.attribute("errors").as_int(), 1);
    EXPECT_EQ(suite.attribute("skipped").as_int(), 2);
    int failures = 0;
    for (const pugi::xml_node test : suite.children("testcase")) {
        failures += test.child("failure") ? 1 : 0;
    }
    EXPECT_EQ(failures, 3);
    const pugi::xml_node failed = suite.find_child_by_attribute("testcase", "name", "context chained");
    EXPECT_STREQ(failed.child("failure").attribute("message").as_string(),
                 "12 of 64000 elements outside their bound");
    EXPECT_THAT(failed.child("failure").text().as_string(), HasSubstr("--op context"));
    EXPECT_THAT(failed.child("failure").text().as_string(),
                HasSubstr("limit: rho (L1), context tile z (L2)\n"));
}

}  // namespace
}  // namespace reports
