#include "harness/commands/parts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "harness/atomic_file.hpp"
#include "harness/npu_environment.hpp"
#include "harness/rank_team.hpp"
#include "harness/recorder.hpp"
#include "harness/summary.hpp"
#include "harness/time_notes.hpp"
#include "reference/golden_end_source.hpp"
#include "reports/junit.hpp"
#include "reports/terminal.hpp"

namespace harness {
namespace {

// `missing`: what `object` of the recording lacks for `placement`; the error says how to record it.
datasets::ReadError lacks(const datasets::Recording& recording, const std::string& object,
                          std::string_view missing, const Placement& placement) {
    return {
        recording.file(), object,
        fmt::format("lacks {}, which the ops of {} need; record with weights, this layer and the one before: "
                    "harness record --weights FILE --mlp",
                    missing, placement.name)};
}

// What agreement with this recording proves.
std::string provenance_note(const datasets::RecordingInfo& info) {
    if (info.producer == "harness record") {
        return "its activations come from this project's golden: agreement with them proves storage only";
    }
    return fmt::format("recorded by {} {}", info.producer, info.producer_version);
}

}  // namespace

std::string device_words(const std::string& device, datasets::Emulation emulation,
                         const npu_impl::XrtSettings& xrt) {
    if (device != "xrt") {
        return fmt::format("--device {} --emulation {}", device, datasets::name(emulation));
    }
    return fmt::format("--device xrt --artefacts {} --timeout-ms {}", shell_word(xrt.artefacts),
                       xrt.time_limit.count());
}

std::string shell_word(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view("_./-+=:@%,").find(char(c)) != std::string_view::npos;
    });
    if (plain && !text.empty()) {
        return text;
    }
    std::string quoted = "'";
    for (const char c : text) {
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return quoted + "'";
}

void refuse_shared_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
    const auto same = [](const std::string& a, const std::string& b) {
        std::error_code ignored;
        const auto place = [&](const std::string& file) {
            return std::filesystem::weakly_canonical(std::filesystem::absolute(file, ignored), ignored);
        };
        return !a.empty() && !b.empty() &&
               (place(a) == place(b) || std::filesystem::equivalent(a, b, ignored));
    };
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        for (const std::string& input : inputs) {
            if (same(outputs[i], input)) {
                throw UsageError(
                    fmt::format("{}: would be overwritten, and is read: name another file", input));
            }
        }
        for (std::size_t other = i + 1; other < outputs.size(); ++other) {
            if (same(outputs[i], outputs[other])) {
                throw UsageError(fmt::format("{}: named for two outputs", outputs[i]));
            }
        }
    }
}

void require_writable(const std::vector<std::string>& outputs) {
    for (const std::string& output : outputs) {
        if (!output.empty()) {
            require_writable(output);
        }
    }
}

void check_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
    refuse_shared_files(inputs, outputs);
    require_writable(outputs);
}

bool wants_color(Color color) {
    // mpirun gives its first process a terminal, whatever its own output is.
    const bool terminal = isatty(STDOUT_FILENO) == 1 && !started_by_launcher();
    return color == Color::always || (color == Color::automatic && terminal);
}

void describe_npu(RunRecord& record, const std::string& design, const npu_impl::Device& device,
                  const npu_impl::CostModel& model) {
    record.design = design;
    record.design_sha256 = npu_impl::compose(design).declaration_sha256;
    record.device = device.name();
    record.emulation = datasets::name(device.emulation());
    record.cost_model = words_of(model);
    record.speedup_label =
        fmt::format("projected, cross-machine: {} tasks of this host's CPU against a modelled {}",
                    record.environment.threads, model.spec.name);
    record.environment.npu = npu_environment(device);
}

std::vector<std::string> selected_clips(const datasets::RecordingInfo& info, const std::string& wanted) {
    std::vector<std::string> clips;
    for (const datasets::ClipInfo& clip : info.clips) {
        if (wanted.empty() || clip.id == wanted) {
            clips.push_back(clip.id);
        }
    }
    if (clips.empty()) {
        std::string valid;
        for (const datasets::ClipInfo& clip : info.clips) {
            valid += (valid.empty() ? "" : ", ") + clip.id;
        }
        throw UsageError(fmt::format("--clip {}: the recording has no such clip; valid: {}", wanted, valid));
    }
    return clips;
}

void describe_recording(RunRecord& record, const datasets::Recording& recording,
                        const CommonOptions& common) {
    record.created_utc = utc_now();
    record.environment = environment(common.threads);
    record.recording_file = recording.file();
    record.recording_sha256 = recording.content_sha256();
    record.recording = recording.info();
    record.provenance_note = provenance_note(recording.info());
}

ExitCode conclude(RunRecord& record, const CommonOptions& common, const std::string& json,
                  const std::string& junit) {
    sum_up(record);
    return report_run(record, common, json, junit);
}

ExitCode report_run(const RunRecord& record, const CommonOptions& common, const std::string& json,
                    const std::string& junit) {
    if (!json.empty()) {
        write_atomically(json, to_json(record));
    }
    if (!junit.empty()) {
        write_atomically(junit, reports::junit_report(record));
    }
    if (!common.quiet) {
        fmt::print("{}", reports::terminal_report(record, wants_color(common.color)));
    }
    return exit_code(record.verdict);
}

datasets::LayerCase load_layer(const datasets::Recording& recording, const std::string& clip, int layer,
                               const Placement& placement) {
    datasets::LayerCase one = recording.layer(clip, layer);
    if (const std::string missing = missing_for(placement, one); !missing.empty()) {
        throw lacks(recording, fmt::format("layer {}", layer), missing, placement);
    }
    return one;
}

RecordedEnd load_end(const datasets::Recording& recording, const std::string& clip,
                     const Placement& placement) {
    auto end = recording.end();
    datasets::LayerCase last = recording.layer(clip, recording.info().layers - 1);
    const auto block = last.recorded.find(datasets::Op::block);
    if (!end || block == last.recorded.end()) {
        throw lacks(recording, end ? fmt::format("layer {}", last.layer) : "/weights",
                    end ? "the block that leaves it" : "the norm behind the last layer", placement);
    }
    end->recorded = recording.clip_tensors(clip).encoder;
    return {std::move(*end), std::move(block->second)};
}

CaseResult run_recorded_end(const datasets::Recording& recording, const std::string& clip,
                            datasets::Path& golden, datasets::Path& candidate, const Selection& selection,
                            const std::string& command, const Progress& progress) {
    RecordedEnd end = load_end(recording, clip, selection.placement);
    const reference::GoldenEndSource source(end.piece, std::move(end.block));
    return run_end(end.piece, clip, source, golden, candidate, selection, command, progress);
}

}  // namespace harness
