// What several commands say or ask.
#pragma once

#include <string>
#include <vector>

#include "datasets/recording.hpp"
#include "harness/options.hpp"
#include "harness/placement.hpp"
#include "harness/run_record.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/device.hpp"

namespace harness {

// `text` as one word of a POSIX shell.
std::string shell_word(const std::string& text);

// The options of a command line that choose the device, for a command that reproduces a run.
std::string device_words(const std::string& device, datasets::Emulation emulation,
                         const npu_impl::XrtSettings& xrt);

// Throws UsageError where an output is one of the inputs, or two outputs are the same file. Empty names are
// none, here and below.
void refuse_shared_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);

// Throws std::runtime_error where one could not be written.
void require_writable(const std::vector<std::string>& outputs);

// Both.
void check_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);

// Whether standard output takes colours.
bool wants_color(Color color);

// Design, device and cost model, and what a speedup against them is. The environment must be in `record`.
void describe_npu(RunRecord& record, const std::string& design, const npu_impl::Device& device,
                  const npu_impl::CostModel& model);

// Time, environment and the recording, with what agreement with it proves.
void describe_recording(RunRecord& record, const datasets::Recording& recording, const CommonOptions& common);

// The clip that is wanted (empty: all). Throws UsageError where the recording has no such clip.
std::vector<std::string> selected_clips(const datasets::RecordingInfo& info, const std::string& wanted);

// Writes the files (empty: none), prints the report of a record that is summed up, and gives its exit code.
ExitCode report_run(const RunRecord& record, const CommonOptions& common, const std::string& json,
                    const std::string& junit);

// From rows and layers to the verdict, the files (empty: none) and the printed report.
ExitCode conclude(RunRecord& record, const CommonOptions& common, const std::string& json,
                  const std::string& junit);

// The layer with all that the placement needs. Throws ReadError.
datasets::LayerCase load_layer(const datasets::Recording& recording, const std::string& clip, int layer,
                               const Placement& placement);

// The end of the encoder and the recorded block of the last layer, which it reads.
struct RecordedEnd {
    datasets::EndCase piece;
    std::vector<float> block;  // [time, width]
};
RecordedEnd load_end(const datasets::Recording& recording, const std::string& clip,
                     const Placement& placement);

// `run_end` behind the recorded block of the last layer. Throws ReadError besides.
CaseResult run_recorded_end(const datasets::Recording& recording, const std::string& clip,
                            datasets::Path& golden, datasets::Path& candidate, const Selection& selection,
                            const std::string& command, const Progress& progress);

}  // namespace harness
