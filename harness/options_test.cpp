#include "harness/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>

namespace harness {
namespace {

using datasets::Op;
using testing::ElementsAre;
using testing::HasSubstr;

Command parse(std::initializer_list<const char*> arguments) {
    std::vector<const char*> argv{"harness"};
    argv.insert(argv.end(), arguments);
    return parse_command_line(int(argv.size()), argv.data());
}

std::string refusal(std::initializer_list<const char*> arguments) {
    try {
        parse(arguments);
    } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n"))) << "one line";
        return error.what();
    }
    return "accepted";
}

TEST(Options, TheMainCommandNeedsNothingElse) {
    const auto options = std::get<CompareOptions>(parse({"--layer", "all", "--compare"}));
    EXPECT_EQ(options.layers, "all");
    EXPECT_EQ(options.design, "unfused");
    EXPECT_EQ(options.device, "emulated");
    EXPECT_TRUE(options.dataset.empty());
    EXPECT_EQ(options.selection.head, -1);
    EXPECT_THAT(options.selection.inputs, ElementsAre(Input::isolated, Input::chained));
    EXPECT_TRUE(options.selection.probes);
    EXPECT_FALSE(std::get<CompareOptions>(parse({"--compare", "--no-probes"})).selection.probes);
}

TEST(Options, SelectsOpsHeadInputAndFiles) {
    const auto options = std::get<CompareOptions>(parse(
        {"--compare", "--op",    "scores,context", "--head",  "3",     "--input",  "chained", "--design",
         "fused",     "--json",  "a.json",         "--junit", "b.xml", "--repeat", "7",       "--threads",
         "2",         "--quiet", "--color",        "never"}));
    EXPECT_THAT(options.selection.ops, ElementsAre(Op::scores, Op::context));
    EXPECT_EQ(options.selection.head, 3);
    EXPECT_THAT(options.selection.inputs, ElementsAre(Input::chained));
    EXPECT_EQ(options.design, "fused");
    EXPECT_EQ(options.json, "a.json");
    EXPECT_EQ(options.junit, "b.xml");
    EXPECT_EQ(options.selection.timing.least, 7);
    EXPECT_EQ(options.selection.timing.most, 7);
    EXPECT_EQ(options.common.threads, 2);
    EXPECT_TRUE(options.common.quiet);
    EXPECT_EQ(options.common.color, Color::never);
}

TEST(Options, ExplainTakesARunARowAndWhereToDrawIt) {
    const auto options = std::get<ExplainOptions>(
        parse({"explain", "run.json", "0/context", "--svg", "a.svg", "--dump", "b.h5", "--color", "always"}));
    EXPECT_EQ(options.run, "run.json");
    EXPECT_EQ(options.row, "0/context");
    EXPECT_EQ(options.svg, "a.svg");
    EXPECT_EQ(options.dump, "b.h5");
    EXPECT_EQ(options.common.color, Color::always);
    EXPECT_THAT(refusal({"explain", "run.json"}), HasSubstr("row is required"));
}

TEST(Options, BisectTakesARecordingOrTheContextOfTheDefaultOne) {
    const auto options = std::get<BisectOptions>(parse({"bisect", "--design", "fused", "--layer", "2"}));
    EXPECT_EQ(options.design, "fused");
    EXPECT_EQ(options.layers, "2");
    EXPECT_EQ(options.context, 1500);
    EXPECT_THAT(refusal({"bisect", "--recording", "a.h5", "--context", "65"}),
                HasSubstr("--context belongs to the default recording"));
    EXPECT_THAT(refusal({"bisect", "--design", "gremlins"}), HasSubstr("gremlins"));
}

TEST(Options, RecordTakesProfileSizeAndSeed) {
    const auto options =
        std::get<RecordOptions>(parse({"record", "--synthetic", "benign", "--context", "65", "--seed", "5",
                                       "--size", "tiny", "--dtype", "bf16", "--out", "x.h5"}));
    EXPECT_EQ(options.model.profile, datasets::Profile::benign);
    EXPECT_EQ(options.model.shape, (datasets::LayerShape{65, 6}));
    EXPECT_EQ(options.model.layers, 4);
    EXPECT_EQ(options.model.seed, 5U);
    EXPECT_EQ(options.store, datasets::DType::bf16);
    EXPECT_EQ(options.out, "x.h5");
}

TEST(Options, RecordTakesAnEncoderAndItsAudio) {
    const auto options = std::get<RecordOptions>(
        parse({"record", "--weights", "m.safetensors", "--audio", "a.wav", "b.flac", "--layers", "0,2",
               "--mlp", "--resume", "--context", "700", "--dtype", "bf16", "--out", "x.h5"}));
    ASSERT_TRUE(options.encoder);
    EXPECT_EQ(options.encoder->weights, "m.safetensors");
    EXPECT_THAT(options.encoder->audio, ElementsAre("a.wav", "b.flac"));
    EXPECT_EQ(options.encoder->context, 700);
    EXPECT_EQ(options.layers, "0,2");
    EXPECT_TRUE(options.mlp);
    EXPECT_TRUE(options.resume);
    EXPECT_FALSE(std::get<RecordOptions>(parse({"record", "--out", "x.h5"})).encoder);
}

TEST(Options, EncodeTakesPlacementDesignAndBaseline) {
    const auto options = std::get<EncodeOptions>(parse(
        {"encode", "--random-weights", "tiny", "--synthetic-speech", "5", "--npu", "attention,mlp",
         "--design", "fused", "--context", "3001", "--compare-to", "note", "--repeat", "5", "--seed", "9"}));
    EXPECT_EQ(options.encoder.random_size, "tiny");
    EXPECT_EQ(options.encoder.seed, 9U);
    EXPECT_DOUBLE_EQ(options.encoder.synthetic_speech_seconds, 5);
    EXPECT_EQ(options.encoder.context, 3001);
    EXPECT_EQ(options.placement, "attention,mlp");
    EXPECT_EQ(options.design, "fused");
    EXPECT_EQ(options.repetitions, 5);
    EXPECT_TRUE(options.compare_to_note);
}

TEST(Options, AnEncoderNeedsWeightsAndSomethingToHear) {
    EXPECT_THAT(refusal({"encode", "--synthetic-speech", "5"}), HasSubstr("--weights"));
    EXPECT_THAT(refusal({"encode", "--random-weights", "tiny"}), HasSubstr("--audio"));
    EXPECT_THAT(refusal({"encode", "--random-weights", "tiny", "--weights", "w", "--audio", "a"}),
                HasSubstr("--weights FILE, or"));
    EXPECT_THAT(refusal({"encode", "--random-weights", "giant"}), HasSubstr("tiny, base, small"));
    EXPECT_THAT(refusal({"encode", "--random-weights", "tiny", "--audio", "a", "--context", "2000"}),
                HasSubstr("1 to 1500"));
    EXPECT_THAT(refusal({"encode", "--random-weights", "tiny", "--audio", "a", "--npu", "mlp"}),
                HasSubstr("attention,mlp"));
    EXPECT_THAT(refusal({"record", "--weights", "w", "--audio", "a", "--synthetic", "hard", "--out", "x"}),
                HasSubstr("--synthetic"));
    EXPECT_THAT(refusal({"record", "--weights", "w", "--audio", "a", "--context", "1501", "--out", "x"}),
                HasSubstr("1 to 1500"));
    EXPECT_THAT(refusal({"record", "--resume", "--out", "x"}), HasSubstr("--weights"));
    EXPECT_THAT(refusal({"record", "--audio", "a", "--out", "x"}), HasSubstr("--weights"));
}

TEST(Options, ListsWhatIsValid) {
    EXPECT_THAT(refusal({"--compare", "--op", "softmax"}),
                HasSubstr("query, key, value, scores, probabilities"));
    EXPECT_THAT(refusal({"--compare", "--design", "magic"}), HasSubstr("unfused, fused"));
    EXPECT_THAT(refusal({"--compare", "--device", "gpu"}), HasSubstr("emulated, xrt"));
    EXPECT_THAT(refusal({"--compare", "--input", "both-ways"}), HasSubstr("isolated, chained, both"));
    EXPECT_THAT(refusal({"--compare", "--lair", "0"}), HasSubstr("--layer"));
    EXPECT_THAT(refusal({"record", "--out", "x", "--synthetic", "easy"}), HasSubstr("hard, benign"));
    EXPECT_THAT(refusal({"record", "--out", "x", "--size", "huge"}),
                HasSubstr("tiny, base, small, medium, large"));
    EXPECT_THAT(refusal({"recrod"}), HasSubstr("record"));
}

TEST(Options, RefusesWhatCannotBe) {
    EXPECT_THAT(refusal({}), HasSubstr("--compare"));
    EXPECT_THAT(refusal({"--layer", "all"}), HasSubstr("--compare"));
    EXPECT_THAT(refusal({"record"}), HasSubstr("--out"));
    EXPECT_THAT(refusal({"inspect"}), HasSubstr("file"));
    EXPECT_THAT(refusal({"--compare", "--threads", "0"}), HasSubstr("--threads"));
    EXPECT_THAT(refusal({"--compare", "--context", "0"}), HasSubstr("--context"));
    EXPECT_THAT(refusal({"--compare", "--context", "abc"}), HasSubstr("--context"));
    EXPECT_THAT(refusal({"--compare", "--repeat", "-1"}), HasSubstr("--repeat"));
    EXPECT_THAT(refusal({"--compare", "--head", "0", "--op", "output"}), HasSubstr("no heads"));
    for (const char* name : {"--dataset", "--recording"}) {
        EXPECT_THAT(refusal({"--compare", name, "x", "--context", "65"}), HasSubstr("--context"));
    }
}

TEST(Options, PlacesOpsOnTheNpu) {
    const auto selection = [](std::initializer_list<const char*> words) {
        return std::get<CompareOptions>(parse(words)).selection;
    };
    EXPECT_EQ(selection({"--compare"}).placement, parse_placement("attention"));
    EXPECT_EQ(selection({"--compare", "--npu", "attention,mlp"}).placement, parse_placement("attention,mlp"));
    EXPECT_EQ(selection({"--compare", "--npu", "all", "--op", "encoder,gelu"}).ops,
              (std::set{datasets::Op::encoder, datasets::Op::gelu}));
    EXPECT_THAT(refusal({"--compare", "--npu", "mlp"}), HasSubstr("valid: attention | attention,mlp | all"));
    EXPECT_THAT(
        refusal({"--compare", "--op", "gelu"}),
        HasSubstr("--op gelu is not on the NPU with --npu attention; valid --npu: attention,mlp | all"));
    EXPECT_THAT(refusal({"--compare", "--npu", "all", "--op", "fc1", "--head", "0"}), HasSubstr("no heads"));
}

TEST(Options, HelpAndVersionAreTexts) {
    EXPECT_THAT(std::get<PrintText>(parse({"--help"})).text, HasSubstr("harness --layer all --compare"));
    EXPECT_THAT(std::get<PrintText>(parse({"--help"})).text, HasSubstr("Exit codes"));
    EXPECT_THAT(std::get<PrintText>(parse({"record", "--help"})).text, HasSubstr("Usage: harness record ["));
    EXPECT_THAT(std::get<PrintText>(parse({"history", "add", "--help"})).text,
                HasSubstr("Usage: harness history add ["));
    EXPECT_THAT(std::get<PrintText>(parse({"record", "--help"})).text, HasSubstr("--synthetic"));
    EXPECT_THAT(std::get<PrintText>(parse({"--version"})).text, HasSubstr("harness "));
}

TEST(Options, TheTimeModelsCommandsTakeTargetsTilesAndFiles) {
    const auto plan =
        std::get<NpuPlanOptions>(parse({"plan", "--context", "3001", "--target", "rtfx=220", "--scope",
                                        "attention", "--tile", "64x32x96", "--device-spec", "8700g"}));
    EXPECT_EQ(plan.context, 3001);
    EXPECT_EQ(plan.target_rtfx, 220);
    EXPECT_EQ(plan.scope, "attention");
    EXPECT_EQ(plan.tile, (npu_impl::GemmTiling{64, 32, 96}));
    EXPECT_EQ(plan.device_spec, "8700g");
    EXPECT_FALSE(std::get<NpuPlanOptions>(parse({"plan"})).tile.has_value());
    for (const char* target : {"220", "rtfx=", "rtfx=0", "rtfx=nan", "rtfx=1x", "RTFX=1"}) {
        EXPECT_THROW(parse({"plan", "--target", target}), UsageError) << target;
    }
    const auto validate =
        std::get<ValidateModelOptions>(parse({"validate-model", "--timings", "a.csv", "--fit"}));
    EXPECT_EQ(validate.timings, "a.csv");
    EXPECT_TRUE(validate.fit);
    EXPECT_EQ(std::get<BenchCpuOptions>(parse({"bench-cpu", "--out", "a.json"})).least_samples, 10);
    EXPECT_THROW(parse({"bench-cpu"}), UsageError);
    EXPECT_THROW(parse({"bench-cpu", "--out", "a.json", "--samples", "9"}), UsageError);
    const auto compare = std::get<CompareOptions>(
        parse({"--compare", "--device-spec", "phoenix", "--cpu-baseline", "laptop.json"}));
    EXPECT_EQ(compare.device_spec, "phoenix");
    EXPECT_EQ(compare.cpu_baseline, "laptop.json");
}

TEST(Options, WhatIfTakesADesignLayersAndARecording) {
    const auto plain = std::get<WhatIfOptions>(parse({"what-if"}));
    EXPECT_EQ(plain.design, "unfused");
    EXPECT_EQ(plain.layers, "all");
    EXPECT_TRUE(plain.dataset.empty());
    const auto named = std::get<WhatIfOptions>(
        parse({"what-if", "--design", "fused", "--layer", "0", "--recording", "a.h5", "--quiet"}));
    EXPECT_EQ(named.design, "fused");
    EXPECT_EQ(named.dataset, "a.h5");
    EXPECT_TRUE(named.common.quiet);
    EXPECT_THAT(refusal({"what-if", "--design", "nonsense"}), HasSubstr("nonsense"));
    EXPECT_THAT(refusal({"what-if", "--recording", "a.h5", "--context", "250"}), HasSubstr("--context"));
}

TEST(Options, LayersAreAllOrAList) {
    const std::vector<int> six{0, 1, 2, 3, 4, 5};
    EXPECT_THAT(parse_layers("all", {0, 1, 2}), ElementsAre(0, 1, 2));
    EXPECT_THAT(parse_layers("0", {0, 1, 2}), ElementsAre(0));
    EXPECT_THAT(parse_layers("5,0-2,1", six), ElementsAre(0, 1, 2, 5));
    for (const char* bad : {"6", "0-6", "2-1", "", "a", "0,", "-1", "1-", "0 1", "1.5", "99999999999"}) {
        EXPECT_THROW(parse_layers(bad, six), UsageError) << bad;
    }
    try {
        parse_layers("7", six);
    } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), HasSubstr("valid: all, 0-5"));
    }
}

TEST(Options, LayersThatWereNotRecordedAreRefused) {
    const std::vector<int> recorded{0, 2, 3, 7};
    EXPECT_THAT(parse_layers("all", recorded), ElementsAre(0, 2, 3, 7));
    EXPECT_THAT(parse_layers("7,2-3", recorded), ElementsAre(2, 3, 7));
    for (const char* bad : {"1", "0-2", "4", "6-7", "8", "0-2147483647"}) {
        EXPECT_THROW(parse_layers(bad, recorded), UsageError) << bad;
    }
    try {
        parse_layers("0-3", recorded);
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "--layer 0-3: the recording has no layer 1; valid: all, 0, 2, 3, 7");
    }
    try {
        parse_layers("9", {0, 1}, {"--layers", "the encoder"});
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "--layers 9: the encoder has no layer 9; valid: all, 0-1");
    }
}

}  // namespace
}  // namespace harness
