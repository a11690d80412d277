// The command line, parsed once into plain values. Strings become enums here and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"
#include "harness/shard.hpp"
#include "harness/timeline_export.hpp"
#include "npu_impl/array_work.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/xrt_device.hpp"

namespace harness {

// A mistake in the command line: exit code 2.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

enum class Color : std::uint8_t { automatic, always, never };

struct CommonOptions {
    int threads = 0;  // 0: as many as there are cores
    bool quiet = false;
    Color color = Color::automatic;
};

// `harness --layer all --compare`
struct CompareOptions {
    CommonOptions common;
    std::string layers = "all";  // "all" or a list such as "0-2,5"; the recording knows which exist
    std::string dataset;         // empty: the default recording
    std::string clip;            // empty: all
    std::optional<std::int64_t> context;
    std::string design = "unfused";
    std::string device = "emulated";
    std::string device_spec = "hawk_point";  // that NPU times are modelled for
    std::string cpu_baseline;                // of the machine with the NPU; empty: this host's CPU
    std::string accepted_misses;             // empty: none
    TimelineFiles timelines;                 // of one layer, modelled
    datasets::Emulation emulation = datasets::Emulation::fast;
    npu_impl::XrtSettings xrt;
    std::string json;   // empty: none
    std::string junit;  // empty: none
    std::string html;   // empty: none
    Selection selection;
    std::optional<Share> share;  // of a run over several machines; none: the whole
};

// `harness merge RUN.json...`
struct MergeOptions {
    CommonOptions common;
    std::vector<std::string> parts;
    std::string json;
    std::string junit;  // empty: none
};

// Which encoder, and what it hears: a checkpoint or random weights, audio files or synthetic speech.
struct EncoderOptions {
    std::string weights;      // checkpoint; empty: random weights
    std::string random_size;  // Whisper size of the random weights
    std::uint64_t seed = datasets::frozen_seed;
    std::vector<std::string> audio;
    double synthetic_speech_seconds = 0;  // 0: none
    std::int64_t context = 1500;
};

// `harness record`: the activations of an encoder, or of generated data where no encoder is named.
struct RecordOptions {
    CommonOptions common;
    std::optional<EncoderOptions> encoder;
    datasets::SyntheticModel model;
    std::string probes_for;    // a recording whose shape probes take; empty: none
    double audio_seconds = 0;  // of generated data; 0: what the context stands for
    datasets::DType store = datasets::DType::f32;
    std::string layers = "all";
    bool mlp = false;  // the tensors and weights of the MLP as well
    bool resume = false;
    std::string out;
};

// `harness encode`: the whole encoder, timed and with some of its ops on the NPU.
struct EncodeOptions {
    CommonOptions common;
    EncoderOptions encoder;
    std::string placement = "attention";
    std::string design = "unfused";
    std::string device = "emulated";
    std::string device_spec = "hawk_point";  // that NPU times are modelled for
    datasets::Emulation emulation = datasets::Emulation::fast;
    npu_impl::XrtSettings xrt;
    int repetitions = 3;
    bool compare_to_note = false;
    std::string json;  // empty: none
    std::string html;  // empty: none
};

// `harness judge --recording FILE --candidate FILE`: numbers that another program computed.
struct JudgeOptions {
    CommonOptions common;
    std::string recording;
    std::string candidate;
    std::string arithmetic;       // a design; empty: as the candidate says
    std::string probe_recording;  // empty: none
    std::string probe_candidate;  // of it; empty: none
    std::string layers = "all";
    std::string clip;  // empty: all
    std::string json;  // empty: none
    std::string junit;
    std::string html;
    Selection selection;
};

// `harness inspect FILE`
struct InspectOptions {
    CommonOptions common;
    std::string file;
};

// `harness list`
struct ListOptions {
    CommonOptions common;
    bool designs = false;  // nothing but them
    std::int64_t context = 1500;
};

// `harness gate --kernel FILE --as ROLE`
struct GateOptions {
    CommonOptions common;
    std::string kernel;
    std::string role;
    std::string symbol;  // empty: the role
    std::vector<std::string> include;
    std::vector<std::string> define;  // NAME or NAME=VALUE
    double limit_seconds = 60;
};

// `harness what-if`: the predicted error of a design and of each single change.
struct WhatIfOptions {
    CommonOptions common;
    std::string dataset;  // empty: the default recording
    std::string clip;     // empty: the first
    std::string layers = "all";
    std::optional<std::int64_t> context;
    std::string design = "unfused";
};

// `harness bench-cpu`: the golden's time on this machine, to be compared with a modelled NPU elsewhere.
struct BenchCpuOptions {
    CommonOptions common;
    std::string recording;  // empty: the default recording
    std::int64_t context = 1500;
    int least_samples = 10;
    double most_seconds = 30;
    std::string out;
};

// `harness validate-model`: the time model beside measured times.
struct ValidateModelOptions {
    CommonOptions common;
    std::string timings;  // empty: the published ones of this build
    bool fit = false;
};

// `harness plan`: what every way to use the NPU would give.
struct NpuPlanOptions {
    CommonOptions common;
    std::int64_t context = 1500;
    std::string device_spec = "hawk_point";
    double target_rtfx = 1.1;
    std::string scope = "encoder";  // or attention
    double audio_seconds = 30;      // of speech in the window of 30 s
    std::string cpu_baseline;       // run.json of `encode`; empty: the design note's CPU
    int rows = 20;                  // of the table; 0: all
    bool accuracy = false;
    std::optional<npu_impl::GemmTiling> tile;  // none: the tuner's
    TimelineFiles timelines;                   // of one layer of the fastest way
};

// `harness explain RUN.json ROW`
struct ExplainOptions {
    CommonOptions common;
    std::string run;
    std::string row;
    std::string recording;  // where the run's recording is now; empty: where it was
    std::string candidate;  // the same of the file that was judged
    std::string svg;        // empty: none
    std::string dump;       // empty: none
};

// `harness report RUN.json`
struct ReportOptions {
    CommonOptions common;
    std::string run;
    std::string html;  // empty: none, as of the others
    std::string markdown;
    std::string junit;
    std::string history;  // whose trends the page draws
    int nights = 90;
};

// `harness bisect`
struct BisectOptions {
    CommonOptions common;
    std::string recording;  // empty: the default recording
    std::int64_t context = 1500;
    std::string clip;  // empty: all
    std::string layers = "all";
    std::string placement = "attention";  // whose ops of a layer are bisected, range by range
    std::string json;                     // empty: none
    std::string design = "unfused";
    std::string device = "emulated";
    datasets::Emulation emulation = datasets::Emulation::fast;
    npu_impl::XrtSettings xrt;
};

// `harness calibrate`
struct CalibrateOptions {
    CommonOptions common;
    std::vector<std::string> recordings;  // empty: the default recording
    std::vector<std::string> held_out;
    std::optional<std::int64_t> context;
    std::string layers = "all";
    std::vector<std::string> designs;  // empty: every composition of the manifest
    std::string device = "emulated";
    datasets::Emulation emulation = datasets::Emulation::fast;
    npu_impl::XrtSettings xrt;
    std::string output;  // empty: none
};

// `harness self-check`
struct SelfCheckOptions {
    CommonOptions common;
    bool full = false;
    std::vector<std::string> recordings;
    std::vector<std::uint64_t> seeds;    // empty: the frozen one, with `full` another too
    std::vector<std::int64_t> contexts;  // empty: 250, with `full` 1500 and 3001 too
    std::vector<std::string> designs;    // empty: one of each arithmetic, with `full` all
    std::string fault;                   // empty: all, and the healthy variants
    bool healthy_only = false;           // no fault at all
    std::optional<Quantity> without;     // a check whose findings are ignored
    std::string json;                    // empty: none
};

// `harness artefact plan|add|list|check`
struct ArtefactOptions {
    enum class Action : std::uint8_t { plan, add, list, check };

    CommonOptions common;
    Action action = Action::list;
    std::string folder;
    npu_impl::Artefact made;   // of `add`, without its files
    std::string xclbin;        // of `add`: where the files are now
    std::string instructions;  // of `add`
    std::string design = "unfused";
    std::int64_t context = 1500;
    int heads = 8;
    bool probes = false;  // of `plan`: those of a run besides
};

// `harness doctor`
struct DoctorOptions {
    CommonOptions common;
    std::string root;  // empty: this machine
    npu_impl::XrtSettings xrt;
};

// `harness history add|list|show|export|prune`
struct HistoryOptions {
    enum class Action : std::uint8_t { add, list, show, write_out, prune };

    CommonOptions common;
    Action action = Action::list;
    std::string file;               // empty: the default history
    std::vector<std::string> runs;  // of `add`
    std::string row;                // of `show`
    std::string part;               // of `show`; empty: all
    int nights = 30;                // of `show`
    std::int64_t most = 20;         // of `list`; 0: all
    std::string csv;                // of `export`; empty: none
    std::string json;
    std::optional<int> older_than_days;  // of `prune`
    std::optional<std::int64_t> keep;
};

// `harness regress`
struct RegressOptions {
    CommonOptions common;
    std::vector<std::string> runs;      // run.json files; with `builds`: arguments of the harness
    std::vector<std::string> baseline;  // run.json files; empty: the history
    std::string history;                // empty: the default history
    int nights = 14;
    std::optional<int> season;        // green nights over which creep is looked for; 0: not; none: enough
    std::string since;                // the day (UTC) on which the season begins instead; empty: none
    std::string commit;               // of the baseline in the history; empty: green nights
    std::vector<std::string> builds;  // two programs to be run interleaved, or none
    int rounds = 5;
    int until_clear = 0;   // seconds for more rounds while noise hides a change of 10%
    std::string markdown;  // empty: none
};

// `--help` and `--version`: text for standard output, exit code 0.
struct PrintText {
    std::string text;
};

using Command =
    std::variant<PrintText, CompareOptions, RecordOptions, EncodeOptions, JudgeOptions, ExplainOptions,
                 BisectOptions, WhatIfOptions, InspectOptions, ListOptions, GateOptions, SelfCheckOptions,
                 CalibrateOptions, ArtefactOptions, DoctorOptions, ValidateModelOptions, NpuPlanOptions,
                 BenchCpuOptions, HistoryOptions, RegressOptions, MergeOptions, ReportOptions>;

// Throws UsageError, whose one line lists what is valid.
Command parse_command_line(int argc, const char* const* argv);

// The option that names layers, and what must have them, as a message speaks of them.
struct LayersOption {
    std::string_view option = "--layer";
    std::string_view owner = "the recording";
};

// Layers of "all" or of a list such as "0-2,5" in ascending order. Throws UsageError for what the owner of
// these layers (ascending) does not have.
std::vector<int> parse_layers(const std::string& text, const std::vector<int>& there,
                              LayersOption words = {});

}  // namespace harness
