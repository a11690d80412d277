#include "harness/options_encoder.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "datasets/whisper_size.hpp"
#include "harness/options_parts.hpp"
#include "harness/options_report.hpp"
#include "harness/options_time.hpp"
#include "harness/placement.hpp"

namespace harness {
namespace {

CLI::Validator is_size() {
    return {[](std::string& name) {
                return datasets::parse_whisper_size(name) ? std::string()
                                                          : fmt::format("unknown size '{}'; valid: {}", name,
                                                                        datasets::whisper_size_names());
            },
            ""};
}

// 3001 is 30 s whose frames are not halved; between it and 1500 there is nothing to hear.
CLI::Validator is_context() {
    return {[](std::string& text) {
                std::int64_t context = 0;
                const bool number = CLI::detail::lexical_cast(text, context);
                const bool valid = number && ((context >= 1 && context <= 1500) || context == 3001);
                return valid ? std::string()
                             : fmt::format("{}: valid: 1 to 1500 (20 ms a row), 3001 (10 ms a row)", text);
            },
            ""};
}

void add_encoder(CLI::App& app, EncoderOptions& options) {
    app.add_option("--weights", options.weights,
                   "Checkpoint: safetensors (a file, an index of shards, their folder) or ggml .bin")
        ->type_name("FILE");
    app.add_option("--random-weights", options.random_size,
                   "Random weights of this Whisper size instead, hard to compute with")
        ->check(is_size())
        ->type_name("SIZE");
    app.add_option("--audio", options.audio, "Audio files (WAV, FLAC, Ogg), cut into windows of 30 s")
        ->type_name("FILE...");
    app.add_option("--synthetic-speech", options.synthetic_speech_seconds,
                   "So many seconds of generated, speech-like sound, where no audio is at hand")
        ->check(finite_number() & CLI::Range(0.1, 3600.0))
        ->type_name("SECONDS");
}

void add_seed(CLI::App& app, std::uint64_t& seed) {
    app.add_option("--seed", seed, "Seed of everything that is generated")
        ->type_name("N")
        ->capture_default_str();
}

void check_encoder(const EncoderOptions& options) {
    if (options.weights.empty() == options.random_size.empty()) {
        throw UsageError("name the encoder by --weights FILE, or take --random-weights SIZE");
    }
    if (options.audio.empty() && options.synthetic_speech_seconds == 0) {
        throw UsageError("name what it hears by --audio FILE..., or take --synthetic-speech SECONDS");
    }
}

}  // namespace

struct EncoderCommands::State {
    CommonOptions& common;
    CLI::App* record_app = nullptr;
    CLI::App* encode_app = nullptr;
    EncoderOptions encoder;
    RecordOptions record;
    EncodeOptions encode;
    std::string profile = "hard";
    std::string size = "base";
    std::string store = "f32";
    std::string note;

    explicit State(CommonOptions& common_options) : common(common_options) {}

    void add_record(CLI::App& app);
    void add_encode(CLI::App& app);
    [[nodiscard]] RecordOptions finish_record() const;
    [[nodiscard]] EncodeOptions finish_encode() const;
};

void EncoderCommands::State::add_record(CLI::App& app) {
    record_app = app.add_subcommand("record", "Record the activations of an encoder");
    record_app->footer(
        "With --weights or --random-weights the whole encoder runs over the audio, on the CPU in fp32, and\n"
        "what the attention of each layer reads and yields is recorded; with --mlp that of the MLP too.\n"
        "Without them the input of the layers is generated (--synthetic), and no audio is heard.\n"
        "--probes-for makes what another program computes beside a recording, so that `harness judge` sees\n"
        "what the recording cannot show: padding, a maximum that is not subtracted, another scale, ...");
    add_encoder(*record_app, encoder);
    record_app
        ->add_option("--synthetic", profile, "Generated data: hard (shows bugs), benign (hides most of them)")
        ->check(one_of("profile", {"hard", "benign"}))
        ->type_name("PROFILE")
        ->capture_default_str();
    record_app
        ->add_option("--probes-for", record.probes_for,
                     "Instead: operands with known results, of the shape of this recording, a probe a layer")
        ->type_name("FILE");
    record_app
        ->add_option("--context", encoder.context,
                     "Rows T: to 1500 with audio, 3001 for the variant whose frames are not halved")
        ->check(CLI::Range(1, 65536))
        ->type_name("T")
        ->capture_default_str();
    add_seed(*record_app, encoder.seed);
    record_app->add_option("--size", size, "Whisper size of --synthetic")
        ->check(is_size())
        ->type_name("SIZE")
        ->capture_default_str();
    record_app->add_option("--dtype", store, "Of the stored tensors: f32, bf16")
        ->check(one_of("dtype", {"f32", "bf16"}))
        ->type_name("TYPE")
        ->capture_default_str();
    record_app
        ->add_option("--audio-seconds", record.audio_seconds,
                     "Audio that a --synthetic clip stands for (default: from T)")
        ->check(finite_number() & CLI::PositiveNumber)
        ->type_name("S");
    record_app->add_option("--layers", record.layers, "Record only these layers: all, 0, 0-2,5")
        ->type_name("LIST")
        ->capture_default_str();
    record_app->add_flag("--mlp", record.mlp, "Record tensors and weights of norms and MLP as well");
    record_app->add_flag("--resume", record.resume, "Continue a recording that was interrupted");
    record_app->add_option("--out", record.out, "File to write")->required()->type_name("FILE");
    add_common(*record_app, common);
}

void EncoderCommands::State::add_encode(CLI::App& app) {
    encode_app = app.add_subcommand("encode", "Run a whole encoder: its time by op and placement, its drift");
    encode_app->footer(
        "The golden encoder is timed from the samples of a window to the encoder's output. Each placement\n"
        "is projected: measured times of what stays on the CPU, modelled times of what goes to the NPU.\n"
        "The placement of --npu is computed as well, layer by layer beside the golden: once on the\n"
        "golden's stream (isolated), once on its own (chained).");
    add_encoder(*encode_app, encoder);
    encode_app
        ->add_option("--context", encoder.context,
                     "Rows T: to 1500, or 3001 for the variant whose frames are not halved")
        ->check(is_context())
        ->type_name("T")
        ->capture_default_str();
    add_seed(*encode_app, encoder.seed);
    encode_app->add_option("--npu", encode.placement, "What goes to the NPU: attention; attention,mlp; all")
        ->check(accepted_by(parse_placement))
        ->type_name("OPS")
        ->capture_default_str();
    add_design(*encode_app, encode.design);
    add_device(*encode_app, encode.device, encode.emulation, encode.xrt);
    add_device_spec(*encode_app, encode.device_spec);
    encode_app->add_option("--repeat", encode.repetitions, "Timed runs of the golden behind the first")
        ->check(CLI::Range(1, 1000))
        ->type_name("N")
        ->capture_default_str();
    encode_app
        ->add_option("--compare-to", note, "Show a published baseline beside it: note (the design note)")
        ->check(one_of("baseline", {"note"}))
        ->type_name("NAME");
    encode_app->add_option("--json", encode.json, "Write the run record (run.json)")->type_name("FILE");
    add_html(*encode_app, encode.html);
    add_common(*encode_app, common);
}

RecordOptions EncoderCommands::State::finish_record() const {
    RecordOptions options = record;
    options.common = common;
    options.store = store == "bf16" ? datasets::DType::bf16 : datasets::DType::f32;
    const bool hears = !encoder.audio.empty() || encoder.synthetic_speech_seconds > 0;
    if (!encoder.weights.empty() || !encoder.random_size.empty() || hears) {
        if (record_app->count("--synthetic") + record_app->count("--size") +
                record_app->count("--probes-for") + record_app->count("--audio-seconds") >
            0) {
            throw UsageError(
                "--synthetic, --probes-for, --size and --audio-seconds generate data: leave them out where "
                "an "
                "encoder hears audio");
        }
        check_encoder(encoder);
        std::string context = fmt::format("{}", encoder.context);
        if (const std::string fault = is_context()(context); !fault.empty()) {
            throw UsageError(fmt::format("--context: {}", fault));
        }
        options.encoder = encoder;
        return options;
    }
    if (options.mlp || options.resume || options.layers != "all") {
        throw UsageError(
            "--mlp, --resume and --layers belong to an encoder: add --weights FILE or --random-weights SIZE");
    }
    if (!options.probes_for.empty() && record_app->count("--synthetic") + record_app->count("--seed") +
                                               record_app->count("--context") + record_app->count("--size") +
                                               record_app->count("--audio-seconds") >
                                           0) {
        throw UsageError(
            "--probes-for takes the shape of its recording and no seed: leave out --synthetic, --context, "
            "--size, --seed and --audio-seconds");
    }
    const datasets::WhisperSize whisper = *datasets::parse_whisper_size(size);
    options.model.profile = *datasets::parse_profile(profile);
    options.model.seed = encoder.seed;
    options.model.shape = {encoder.context, whisper.heads};
    options.model.layers = whisper.layers;
    return options;
}

EncodeOptions EncoderCommands::State::finish_encode() const {
    check_encoder(encoder);
    EncodeOptions options = encode;
    options.common = common;
    options.encoder = encoder;
    options.compare_to_note = !note.empty();
    return options;
}

EncoderCommands::EncoderCommands(CLI::App& app, CommonOptions& common)
    : state_(std::make_unique<State>(common)) {
    state_->add_record(app);
    state_->add_encode(app);
}

EncoderCommands::~EncoderCommands() = default;

std::optional<Command> EncoderCommands::finish() const {
    if (state_->record_app->parsed()) {
        return state_->finish_record();
    }
    if (state_->encode_app->parsed()) {
        return state_->finish_encode();
    }
    return std::nullopt;
}

}  // namespace harness
