#include "harness/run_figures_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "datasets/recording.hpp"
#include "harness/run_record_example.hpp"

namespace harness {
namespace {

using testing::HasSubstr;

const Figure& find(const RunFigures& run, const std::string& row, const std::string& quantity,
                   const std::string& input = "", const std::string& part = "layer 0") {
    const auto found = std::ranges::find_if(run.figures, [&](const Figure& f) {
        return f.row == row && f.quantity == quantity && f.input == input && f.part == part;
    });
    if (found == run.figures.end()) {
        throw std::runtime_error("no " + quantity + " of " + row + " " + part + " " + input);
    }
    return *found;
}

TEST(RunFigures, KeepKindSamplesAndVerdict) {
    RunRecord record = example_record();
    record.layers[0].steps[1].cpu.samples_seconds = {0.05, 0.06, 0.07};
    const RunFigures run = parse_run_figures(to_json(record), "run.json");
    EXPECT_EQ(run.created_utc, record.created_utc);
    EXPECT_EQ(run.scope, "0");
    EXPECT_EQ(run.verdict, Verdict::failed);
    EXPECT_EQ(run.key.cpu, record.environment.cpu);
    EXPECT_EQ(run.key.threads, "2");
    EXPECT_EQ(run.key.recording, std::string(64, 'a'));
    EXPECT_EQ(run.sha256.size(), 64U);

    const StepTime& step = record.layers[0].steps[1];
    const Figure& cpu = find(run, "scores..context", "CPU ms");
    EXPECT_EQ(cpu.kind, FigureKind::measured);
    EXPECT_EQ(cpu.value, step.cpu.seconds * 1e3);
    EXPECT_THAT(cpu.samples, testing::ElementsAre(50, 60, 70));
    const Figure& npu = find(run, "scores..context", "NPU ms");
    EXPECT_EQ(npu.kind, FigureKind::modelled);
    EXPECT_TRUE(npu.samples.empty());
    EXPECT_EQ(find(run, "scores..context", "launches").kind, FigureKind::counted);
    EXPECT_EQ(find(run, "attention", "CPU ms").value, record.layers[0].total->cpu.seconds * 1e3);

    // JSON has no infinity: an infinite rho is one again, a match that is not a number stays none.
    const Figure& rho = find(run, "context", "rho", "chained");
    EXPECT_EQ(rho.value, std::numeric_limits<double>::infinity());
    EXPECT_EQ(rho.kind, FigureKind::computed);
    EXPECT_EQ(rho.verdict, Verdict::failed);
    EXPECT_TRUE(std::isnan(find(run, "context", "match %", "chained").value));
    // A covered row has a verdict and nothing else.
    EXPECT_EQ(find(run, "scores", "verdict", "chained").verdict, Verdict::covered);
    EXPECT_THROW(find(run, "scores", "rho", "chained"), std::runtime_error);
    EXPECT_EQ(find(run, "probe ones", "verdict").verdict, Verdict::failed);
    EXPECT_EQ(find(run, "probe integers", "rho", "", "T = 63").verdict, Verdict::covered);
}

TEST(RunFigures, StepsOfOneProbeCountAsOneTheWorst) {
    RunRecord record = example_record();
    record.ragged_probes.push_back(record.ragged_probes.front());
    record.ragged_probes.back().judgement = {Verdict::failed, "wrong", {}};
    record.ragged_probes.back().rho = 7;
    record.ragged_probes.push_back(record.ragged_probes.front());
    const RunFigures run = parse_run_figures(to_json(record), "run.json");
    EXPECT_EQ(find(run, "probe integers", "verdict", "", "T = 63").verdict, Verdict::failed);
    EXPECT_EQ(find(run, "probe integers", "rho", "", "T = 63").value, 7);
}

TEST(RunFigures, RoomIsThatOfTheNearestGatedLimit) {
    RunRecord record = example_record();
    record.rows[0].headroom = {{Quantity::plain_variance, 1, 7.5},
                               {Quantity::plain_gain, 1, 6.25},
                               {Quantity::context_largest, 1, 0.5}};
    ASSERT_FALSE(limit(Quantity::context_largest).gated);
    const RunFigures run = parse_run_figures(to_json(record), "run.json");
    EXPECT_EQ(find(run, "query", "headroom dB", "isolated").value, 6.25);
}

TEST(RunFigures, OfAnEncoderHaveStagesAndDrift) {
    RunRecord record = example_encoder_record();
    record.created_utc = "2026-01-01T00:00:00Z";
    record.recording.model_sha256 = "m";
    record.encoders[0].audio_sha256 = "s";
    const RunFigures run = parse_run_figures(to_json(record), "run.json");
    EXPECT_EQ(run.scope, "whole encoder");
    EXPECT_EQ(run.key.recording, "model m, audio s");
    EXPECT_EQ(find(run, "query", "CPU ms", "", "layer 1").kind, FigureKind::measured);
    EXPECT_EQ(find(run, "query..output", "NPU ms", "", "layer 1").kind, FigureKind::modelled);
    EXPECT_EQ(find(run, "drift", "match %", "chained", "end").value, 99.87);
    EXPECT_EQ(find(run, "whole encoder", "verdict", "", "").verdict, Verdict::failed);
    EXPECT_EQ(find(run, "mel and encoder, NPU: attention", "RTF", "", "").kind, FigureKind::modelled);
}

TEST(RunFigures, TheRunAndWhatItsDataMustRevealHaveVerdicts) {
    RunRecord record = example_record();
    record.verdict = Verdict::mistrusted;
    record.trust = {{FaultClass::scale_off, {Verdict::mistrusted, "hidden", {}}, 0.1, 0.5, "layer 0"}};
    const RunFigures run = parse_run_figures(to_json(record), "run.json");
    EXPECT_EQ(find(run, "whole run", "verdict", "", "").verdict, Verdict::mistrusted);
    EXPECT_EQ(find(run, "data trust, " + std::string(name(FaultClass::scale_off)), "verdict", "", "").verdict,
              Verdict::mistrusted);
}

// Their machine is not that of the run, and would be compared with its own.
TEST(RunFigures, CpuTimesOfAnotherMachineAreNone) {
    RunRecord record = example_record();
    record.cpu_timing.emplace();
    const auto cpu_times = [&] {
        const RunFigures run = parse_run_figures(to_json(record), "run.json");
        return std::ranges::count_if(run.figures,
                                     [](const Figure& one) { return one.quantity.starts_with("CPU"); });
    };
    EXPECT_GT(cpu_times(), 0);
    record.cpu_timing->elsewhere = true;
    EXPECT_EQ(cpu_times(), 0);
}

TEST(RunFigures, ARunIsTheSameHoweverItIsLaidOut) {
    const std::string text = to_json(example_record());
    const std::string laid_out = nlohmann::ordered_json::parse(text).dump(7);
    ASSERT_NE(text, laid_out);
    EXPECT_EQ(parse_run_figures(text, "a").sha256, parse_run_figures(laid_out, "b").sha256);
    RunRecord other = example_record();
    other.rows[0].statistics->rho += 0.01;
    EXPECT_NE(parse_run_figures(text, "a").sha256, parse_run_figures(to_json(other), "b").sha256);
}

TEST(RunFigures, EveryQuantityIsInTheTable) {
    for (const RunRecord& record : {example_record(), example_encoder_record()}) {
        RunRecord dated = record;
        dated.created_utc = "2026-01-01T00:00:00Z";
        for (const Figure& figure : parse_run_figures(to_json(dated), "run.json").figures) {
            EXPECT_NO_THROW(figure_quantity(figure.quantity));
        }
    }
    EXPECT_THROW(figure_quantity("furlongs"), std::invalid_argument);
}

TEST(RunFigures, RefuseWhatTheyCannotTellApartOrOrder) {
    const auto refusal = [](const RunRecord& record) -> std::string {
        try {
            parse_run_figures(to_json(record), "run.json");
        } catch (const datasets::ReadError& error) {
            return error.what();
        }
        return "";
    };
    RunRecord record = example_record();
    record.rows.push_back(record.rows.front());
    EXPECT_THAT(refusal(record),
                HasSubstr("run.json: figures: verdict of query layer 0 clip isolated is there twice"));
    record = example_record();
    record.created_utc = "yesterday";
    EXPECT_THAT(refusal(record), HasSubstr("created_utc 'yesterday' is no time such as"));
    for (const char* time : {"9999-99-99T99:99:99Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z"}) {
        record.created_utc = time;
        EXPECT_THAT(refusal(record), HasSubstr("is no time such as")) << time;
    }
    std::string text = to_json(example_record());
    text.replace(text.find("\"blas_core_type\""), 16, "\"blas_gone_type\"");
    EXPECT_THROW(parse_run_figures(text, "run.json"), datasets::ReadError);
    EXPECT_THROW(parse_run_figures("{}", "run.json"), datasets::ReadError);
}

TEST(RunFigures, RefuseWhatIsNoNumberOrKindAndWhatIsNestedTooDeep) {
    using Json = nlohmann::ordered_json;
    const auto refusal = [](const std::function<void(Json&)>& edit) -> std::string {
        Json json = Json::parse(to_json(example_record()));
        edit(json);
        try {
            parse_run_figures(json.dump(), "run.json");
        } catch (const datasets::ReadError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(refusal([](Json& run) { run["environment"]["threads"] = 2.7; }),
                HasSubstr("threads 2.7 is no whole number"));
    EXPECT_THAT(refusal([](Json& run) { run["layers"][0]["steps"][0]["cpu"]["kind"] = "guessed"; }),
                HasSubstr("CPU ms of query: kind 'guessed' is unknown"));
    std::string text = to_json(example_record());
    text.replace(0, 1, "{\"later\": " + std::string(200'000, '[') + std::string(200'000, ']') + ",");
    try {
        parse_run_figures(text, "run.json");
        FAIL() << "read";
    } catch (const datasets::ReadError& error) {
        EXPECT_THAT(error.what(), HasSubstr("run.json: run record: is nested more than 64 deep"));
    }
}

TEST(EnvironmentKey, NamesEveryFieldThatDiffers) {
    EnvironmentKey here;
    here.cpu = "a";
    EnvironmentKey there = here;
    EXPECT_EQ(key_difference(here, there), "");
    there.cpu = "b";
    there.power_mode = "turbo";
    EXPECT_EQ(key_difference(here, there), "cpu: a here, b there; power_mode: nothing here, turbo there");
    // A field that the table forgets would let two environments pass as one.
    EXPECT_EQ(sizeof(EnvironmentKey), key_fields().size() * sizeof(std::string));
}

}  // namespace
}  // namespace harness
