// `harness encode`: the whole encoder over audio, timed, and with some of its ops on the NPU.
#include <fmt/format.h>

#include "harness/atomic_file.hpp"
#include "harness/clips.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/encoder_experiment.hpp"
#include "harness/encoder_source.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/time_notes.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden.hpp"
#include "reports/encoder.hpp"

namespace harness {
namespace {

std::string provenance(const datasets::EncoderWeights& weights) {
    return weights.source == "random"
               ? fmt::format("random weights, sha256 {:.16}", weights.model_sha256)
               : fmt::format("sha256 {:.16}, {} mels, {} heads, {} layers", weights.model_sha256,
                             weights.mels, weights.heads, weights.layers());
}

RunRecord describe(const EncodeOptions& options, const std::string& invocation,
                   const datasets::EncoderWeights& weights, const npu_impl::CostModel& model,
                   const npu_impl::Device& device) {
    RunRecord record;
    record.command = invocation;
    record.created_utc = utc_now();
    record.environment = environment(options.common.threads);
    record.provenance_note = provenance(weights);
    record.recording.model_id = weights.model_id;
    record.recording.model_sha256 = weights.model_sha256;
    record.recording.context = options.encoder.context;
    record.recording.heads = weights.heads;
    record.recording.layers = weights.layers();
    record.recording.seed = options.encoder.seed;
    describe_npu(record, options.design, device, model);
    record.placement = options.placement;
    return record;
}

// For the audio of one clip alone.
std::string reproduce_command(const EncodeOptions& options, std::size_t clip) {
    const EncoderOptions& encoder = options.encoder;
    std::string out = encoder.weights.empty()
                          ? fmt::format("harness encode --random-weights {}", encoder.random_size)
                          : fmt::format("harness encode --weights {}", shell_word(encoder.weights));
    out += clip < encoder.audio.size()
               ? fmt::format(" --audio {}", shell_word(encoder.audio[clip]))
               : fmt::format(" --synthetic-speech {}", encoder.synthetic_speech_seconds);
    return out + fmt::format(" --seed {} --context {} --npu {} --design {} {} --device-spec {}", encoder.seed,
                             encoder.context, options.placement, options.design,
                             device_words(options.device, options.emulation, options.xrt),
                             shell_word(options.device_spec));
}

}  // namespace

ExitCode run(const EncodeOptions& options, const std::string& invocation) {
    std::vector<std::string> inputs = options.encoder.audio;
    inputs.push_back(options.encoder.weights);
    check_files(inputs, {options.json, options.html});
    require_page(options.html);
    const auto device = npu_impl::open_device(options.device, options.emulation, options.xrt);
    const npu_impl::CostModel model{npu_impl::device_spec(options.device_spec)};
    npu_impl::NpuPath npu(*device, *npu_impl::find_design(options.design), model);
    reference::GoldenPath golden;
    Clips clips(options.encoder);
    auto weights = load_encoder(options.encoder, !options.common.quiet);
    RunRecord record = describe(options, invocation, weights, model, *device);
    const Hearing heard = hearing(options.encoder.context);
    const EncoderPieces pieces = make_pieces(std::move(weights), heard.frames, heard.stride);

    ProgressBar bar("encoding", encoder_stages(pieces.layers) * static_cast<int>(clips.windows().size()),
                    !options.common.quiet);
    for (const ClipWindow& window : clips.windows()) {
        const std::vector<float> samples = clips.samples(window);
        const EncoderClip clip{
            window.id, window.audio_sha256, window.origin, window.audio_seconds, heard.seconds, samples};
        const EncoderSelection selection{options.placement, options.repetitions, record.encoders.empty()};
        EncoderRow row = run_encoder(pieces, clip, golden, npu, selection, [&](std::string_view stage) {
            throw_if_interrupted();
            bar.step(fmt::format("{}: {}", window.id, stage));
        });
        if (row.judgement.verdict != Verdict::passed) {
            row.reproduce = reproduce_command(options, window.clip);
        }
        record.encoders.push_back(std::move(row));
    }
    bar.clear();
    if (options.compare_to_note) {
        record.baseline = design_note(record.encoders.front());
    }
    const Placement placement = parse_placement(options.placement);
    record.time_model = time_notes(*npu_impl::find_design(options.design),
                                   {options.encoder.context, record.recording.heads}, placement, model);
    add_amdahl(*record.time_model, record.encoders.front(), placement);
    record.verdict = overall_verdict(record);
    const ExitCode code = exit_code(record.verdict);
    record.exit_code = static_cast<int>(code);
    if (!options.json.empty()) {
        write_atomically(options.json, to_json(record));
    }
    write_page(record, options.html);
    if (!options.common.quiet) {
        fmt::print("{}", reports::encoder_report(record, wants_color(options.common.color)));
    }
    return code;
}

}  // namespace harness
