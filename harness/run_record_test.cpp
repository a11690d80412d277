#include "harness/run_record.hpp"
#include "harness/atomic_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harness/run_record_example.hpp"

namespace harness {
namespace {

using testing::HasSubstr;

std::string read(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

TEST(RunRecord, EveryDurationCarriesItsKindAndClock) {
    const std::string json = to_json(example_record());
    for (const char* part : {"\"schema\": \"npu-attention-run\"", "\"clock\": \"modelled\"",
                             "\"clock\": \"host_wall\"", "\"kind\": \"counted\""}) {
        EXPECT_NE(json.find(part), std::string::npos) << part;
    }
    // The speedup against a modelled time is itself modelled.
    const auto at = json.find("\"speedup\"");
    EXPECT_THAT(json.substr(at, 160), HasSubstr("\"kind\": \"modelled\""));
}

TEST(RunRecord, AnEncoderKeepsTheKindsOfItsTimesApart) {
    const std::string json = to_json(example_encoder_record());
    const auto placement = json.find("\"placement\": \"attention\"", json.find("\"placements\""));
    ASSERT_NE(placement, std::string::npos);
    const std::string rest = json.substr(placement, 1200);
    EXPECT_THAT(rest, HasSubstr("\"kind\": \"measured\""));
    EXPECT_THAT(rest, HasSubstr("\"kind\": \"modelled\""));
    EXPECT_THAT(rest, HasSubstr("\"kind\": \"planned\""));
    EXPECT_THAT(json, HasSubstr("\"kind\": \"published\""));
    EXPECT_THAT(json, HasSubstr("\"after\": \"layer 0\""));
}

TEST(RunRecord, AFailedEncoderFailsTheRun) {
    RunRecord record = example_encoder_record();
    EXPECT_EQ(overall_verdict(record), Verdict::failed);
    record.encoders[0].judgement.verdict = Verdict::passed;
    EXPECT_EQ(overall_verdict(record), Verdict::passed);
}

TEST(RunRecord, NotANumberBecomesNull) {
    const std::string json = to_json(example_record());
    EXPECT_EQ(json.find(": nan"), std::string::npos);
    EXPECT_EQ(json.find(": inf"), std::string::npos);
    EXPECT_NE(json.find("\"value\": null"), std::string::npos);
}

TEST(RunRecord, TheWorstVerdictDecides) {
    RunRecord record = example_record();
    EXPECT_EQ(overall_verdict(record), Verdict::not_run);
    std::erase_if(record.rows, [](const OpRow& row) { return row.judgement.verdict == Verdict::not_run; });
    EXPECT_EQ(overall_verdict(record), Verdict::failed);
    record.layers[0].differing_elements = 1;
    EXPECT_EQ(overall_verdict(record), Verdict::unstable);
    record.layers[0].differing_elements = 0;
    std::erase_if(record.rows, [](const OpRow& row) { return row.judgement.verdict == Verdict::failed; });
    EXPECT_EQ(overall_verdict(record), Verdict::failed) << "a probe did";
    record.layers[0].probes[0].judgement = {Verdict::passed, "", {}};
    EXPECT_EQ(overall_verdict(record), Verdict::mistrusted);
    std::erase_if(record.rows, [](const OpRow& row) { return row.judgement.verdict == Verdict::mistrusted; });
    EXPECT_EQ(overall_verdict(record), Verdict::passed);
    record.layers[0].headline.verdict = Verdict::failed;
    EXPECT_EQ(overall_verdict(record), Verdict::failed);
}

// A reader that takes what is measured finds no emulation's time among it.
TEST(RunRecord, TheTimeOfAnEmulationIsAKindOfItsOwn) {
    for (const bool hardware : {false, true}) {
        const auto json = nlohmann::json::parse(to_json(example_on_npu(hardware)));
        const auto& step = json["layers"][0]["steps"][0];
        const auto& times = step["launch_times"];
        for (const char* part : {"total", "submit", "wait", "to_device", "from_device"}) {
            EXPECT_EQ(times[part]["kind"], hardware ? "measured" : "emulation") << part;
            EXPECT_EQ(times[part]["clock"],
                      hardware ? "host_wall (device launch)" : "host_wall (emulated launch)");
        }
        EXPECT_EQ(step["npu"]["kind"], hardware ? "measured" : "modelled");
        EXPECT_EQ(step["speedup"]["kind"], hardware ? "measured" : "modelled");
        EXPECT_EQ(step["npu_modelled"]["kind"], "modelled");
        EXPECT_EQ(times["submissions"]["kind"], "counted");
        EXPECT_EQ(times["context_switches"]["value"], 1);
        EXPECT_EQ(json["environment"]["npu"]["power_mode"], "performance");
        EXPECT_EQ(json["environment"]["npu"]["hardware"], hardware);
    }
    const auto plain = nlohmann::json::parse(to_json(example_record()));
    EXPECT_TRUE(plain["environment"]["npu"].is_null());
    EXPECT_FALSE(plain["layers"][0]["steps"][0].contains("launch_times"));
}

// A ratio of times of two machines was measured by nobody.
TEST(RunRecord, ASpeedupAndItsIntervalSayOfWhichKindTheyAre) {
    for (const bool hardware : {false, true}) {
        for (const bool elsewhere : {false, true}) {
            RunRecord record = example_on_npu(hardware);
            record.cpu_timing.emplace().elsewhere = elsewhere;
            ClipRow clip;
            clip.cpu.processing.clock = datasets::Clock::host_wall;
            clip.npu.processing.clock = hardware ? datasets::Clock::device_wall : datasets::Clock::modelled;
            clip.speedup = 2;
            clip.speedup_low = 1.5;
            clip.speedup_high = 2.5;
            record.clips = {clip};
            const auto json = nlohmann::json::parse(to_json(record));
            const char* kind = hardware && !elsewhere ? "measured" : "modelled";
            EXPECT_EQ(json["layers"][0]["steps"][0]["speedup"]["kind"], kind);
            EXPECT_EQ(json["clips"][0]["speedup"]["kind"], kind);
            EXPECT_EQ(json["clips"][0]["speedup_interval"]["kind"], kind);
            EXPECT_EQ(json["clips"][0]["speedup_interval"]["unit"], "cpu/npu");
        }
    }
}

TEST(RunRecord, WhatPassedAndWasNotTimedDidNotRunWhole) {
    RunRecord record;
    record.rows.emplace_back().judgement = {Verdict::passed, "", {}};
    record.layers.emplace_back();
    EXPECT_EQ(overall_verdict(record), Verdict::passed);
    record.layers.back().untimed = "it did not end";
    EXPECT_EQ(overall_verdict(record), Verdict::not_run);
}

TEST(RunRecord, NothingJudgedIsNotAPass) {
    RunRecord record;
    EXPECT_EQ(overall_verdict(record), Verdict::not_run);
    record.layers.emplace_back();  // its headline was not asked for
    EXPECT_EQ(overall_verdict(record), Verdict::not_run);
    OpRow row;
    row.judgement = {Verdict::covered, "covered by scores..context"};
    record.rows = {row};
    EXPECT_EQ(overall_verdict(record), Verdict::not_run);
    row.judgement = {Verdict::passed, ""};
    record.rows.push_back(row);
    EXPECT_EQ(overall_verdict(record), Verdict::passed);
    EXPECT_EQ(exit_code(Verdict::not_run), ExitCode::could_not_run);
}

TEST(RunRecord, VerdictsReachTheExitCode) {
    EXPECT_EQ(exit_code(Verdict::passed), ExitCode::passed);
    EXPECT_EQ(exit_code(Verdict::failed), ExitCode::failed);
    EXPECT_EQ(exit_code(Verdict::mistrusted), ExitCode::failed);
    EXPECT_EQ(exit_code(Verdict::unstable), ExitCode::unstable);
}

TEST(RunRecord, IsWrittenWholeOrNotAtAll) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("run_record_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    const auto file = folder / "run.json";
    write_atomically(file.string(), "first");
    write_atomically(file.string(), "second");
    EXPECT_EQ(read(file), "second");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);

    // A folder in the way: the write fails, names the file, and leaves no temporary behind.
    const auto taken = folder / "taken";
    std::filesystem::create_directories(taken / "inside");
    try {
        write_atomically(taken.string(), "text");
        FAIL() << "a folder was overwritten";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("taken: cannot write"));
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
    EXPECT_THROW(write_atomically((folder / "missing" / "run.json").string(), "text"), std::runtime_error);

    // What is written in pieces, and ends in the middle.
    const auto half = [](std::ostream& out) {
        out << "half";
        throw std::invalid_argument("the rest is damaged");
    };
    EXPECT_THROW(write_atomically(file.string(), half), std::invalid_argument);
    EXPECT_EQ(read(file), "second");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace harness
