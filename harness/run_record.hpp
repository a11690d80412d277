// The record of one run: everything that a report may say, and nothing that it would have to compute.
//
// Serialised as run.json (schema "npu-attention-run"). The major version of the schema changes where a reader
// of the one before would misread the file, the minor where something is added: a reader takes every minor
// version of its major; what an earlier one lacks comes back empty, what a later one adds is left unread.
// Minor version 1 added placement and head, 2 the findings of judgements and the diagnosis of headlines, 3
// the counts of misrounded stores, how the CPU was timed, intervals of speedups, the NPU and its power mode,
// launch times with the modelled time beside them, and the note of a shard, 4 the machine, the design's hash,
// the versions of XRT and firmware, layers that could not be timed, and the error maps of failed rows, 5 the
// verdict `accepted`, which only runs with --accepted-misses have (a reader that does not know it says so),
// and the hash of their list, 6 sums of rows of probabilities and elements that the declared store cannot
// hold, 7 the probe of deep keys, 8 a figure of its own for rows of re-rounded outputs, 9 the hashes
// of a judged candidate and of the probes beside it.
//
// A duration carries its clock, a count comes from the device, a figure of the cost model is marked modelled;
// a report prints these words as they are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "datasets/recording.hpp"
#include "harness/baseline.hpp"
#include "harness/certificate.hpp"
#include "harness/comparison.hpp"
#include "harness/data_statistics.hpp"
#include "harness/diagnosis.hpp"
#include "harness/encoder_record.hpp"
#include "harness/environment.hpp"
#include "harness/error_map.hpp"
#include "harness/gate_accuracy.hpp"
#include "harness/judge.hpp"
#include "harness/launch_times.hpp"
#include "harness/probe_row.hpp"
#include "harness/run_record_time.hpp"
#include "harness/shard.hpp"
#include "harness/trust_row.hpp"

namespace harness {

inline constexpr int run_schema_major = 1;
inline constexpr int run_schema_minor = 10;

// Both sides of one piece of identical work: the smallest range of ops that both paths resolve.
struct StepTime {
    datasets::OpRange ops{};
    Duration cpu;
    Duration npu;
    std::int64_t launches = 0;  // counted by the device
    std::int64_t tiles = 0;
    std::int64_t bytes = 0;
    double speedup = 0;                         // cpu over npu, labelled by RunRecord::speedup_label
    std::optional<LaunchTimes> launch_times{};  // of a device with a clock; of an NPU, they are `npu`
    Duration npu_modelled{};                    // whatever `npu` is
};

struct OpRow {
    std::string clip;
    int layer = 0;
    datasets::Op op{};
    Input input{};
    Judgement judgement;
    std::optional<OpStatistics> statistics;  // none where the op is covered or did not run
    std::optional<datasets::Site> site;      // that made the worst element
    std::string reproduce;                   // command that runs just this row; empty unless failed
    std::vector<Headroom> headroom{};        // level 2 figures beside their limits, where it says anything
    std::optional<Diagnosis> diagnosis{};    // of a failed row whose values say something
    std::vector<HeadErrorMap> error_maps{};  // of the first failed rows of a run (keep_first_error_maps)
};

struct LayerRow {
    std::string clip;
    int layer = 0;
    Certificate certificate;
    Judgement headline;                  // not_run where the chained output was not asked for
    std::optional<OpStatistics> output;  // chained
    std::vector<StepTime> steps;
    std::optional<StepTime> total;       // of the whole attention, where every step ran
    std::int64_t repeated_elements = 0;  // compared bit for bit by A, B, A
    std::int64_t differing_elements = 0;
    Judgement repeatability;               // passed or unstable; not_run where nothing was compared
    std::vector<ProbeRow> probes;          // level 3; empty where not asked for
    std::optional<LayerStatistics> data;   // where all of the attention was asked for
    std::string reproduce;                 // of a missed headline or bits that differ; else empty
    std::optional<Diagnosis> diagnosis{};  // of a missed headline
    std::string untimed{};                 // why a layer that passed has no times; else empty
};

// The worst figures of an op over the layers, for one input.
struct InputSummary {
    double rho = 0;
    double match_percent = 0;  // of the layers where it says something; not a number where none
    double worst_row = 0;
    double worst_tile = 0;
};

// One op over all layers that ran.
struct OpSummary {
    datasets::Op op{};
    Verdict verdict = Verdict::not_run;  // the worst of its rows
    std::optional<InputSummary> isolated;
    std::optional<InputSummary> chained;
    std::optional<StepTime> time;  // mean per layer of the step that ends with the op
};

// The encoder's attention over one clip, all selected layers.
struct ClipRow {
    std::string clip;
    double audio_seconds = 0;
    int layers = 0;
    std::string scope;  // e.g. "attention, 6 of 6 layers"
    RealTime cpu;
    RealTime npu;
    double speedup = 0;
    double speedup_low = 0;  // by the intervals of both sides (add_speedup_intervals); 0: not known
    double speedup_high = 0;
};

// What a candidate was judged on beside its recording: the probes' own, and what the runner made of it.
struct ProbeFiles {
    std::string recording;
    std::string recording_sha256;  // of its content
    std::string candidate;
    std::string candidate_sha256;  // of the file
};

// Where the judged numbers come from, if not from a device of this program. What the runner says of itself is
// repeated, not believed.
struct CandidateFile {
    std::string file;
    std::string sha256;  // of the file; empty before minor version 9
    std::string runner;
    Input input{};
    std::string device;                    // or empty
    std::optional<std::int64_t> launches;  // as stated
    std::vector<std::string> not_checked;  // what a file cannot show, and what it does not hold
    std::optional<ProbeFiles> probes{};
};

struct RunRecord {
    std::string command;
    std::string created_utc;
    Environment environment;
    std::string recording_file;
    std::string recording_sha256;
    datasets::RecordingInfo recording;
    std::string provenance_note;  // what the recording can and cannot prove
    std::string design;
    std::string design_sha256;            // of all that the manifest declares of it
    std::string placement = "attention";  // the ops on the NPU
    int head = -1;                        // -1: all
    std::string device;
    std::string emulation;  // exact or fast: how the device's results came about
    std::optional<CandidateFile> candidate;
    std::string cost_model;  // device specification behind the modelled times
    std::string speedup_label;
    std::uint64_t row_seed = 0;          // of the rows that certify the golden
    std::string accepted_misses_sha256;  // of the list that headlines were accepted by; empty: none
    std::vector<OpRow> rows;
    std::vector<LayerRow> layers;
    std::vector<ProbeRow> ragged_probes;  // of the design alone, at contexts that end tiles differently
    std::vector<TrustRow> trust;          // which classes of faults the data of these layers can reveal
    std::vector<OpSummary> ops;
    std::vector<ClipRow> clips;
    std::vector<EncoderRow> encoders;  // of a run over whole encoders
    std::optional<PublishedBaseline> baseline;
    std::optional<TimeModelNotes> time_model;  // of a run with modelled times
    std::optional<CpuTiming> cpu_timing;       // where layers were timed on this host
    std::optional<ShardNote> shard;            // of a part of a run, or of parts put together
    Verdict verdict = Verdict::not_run;
    int exit_code = 0;
};

// Exit codes, in the order in which they win: 2 usage, 3 could not run, 5 unstable, 1 failed, 4 slower, 0.
enum class ExitCode : int {
    passed = 0,
    failed = 1,
    usage = 2,
    could_not_run = 3,
    regressed = 4,
    unstable = 5,
    interrupted = 130,
};

// The first of not_run, unstable, failed, mistrusted, accepted, passed, covered that occurs; not_run where
// nothing does.
Verdict worst_verdict(const std::vector<Verdict>& verdicts);

// The worst verdict over all rows, encoders and headlines that were asked for; not_run where none judged
// anything: covered rows alone do not.
Verdict overall_verdict(const RunRecord& record);
ExitCode exit_code(Verdict verdict);

// The run as JSON text, schema run_schema_major.run_schema_minor.
std::string to_json(const RunRecord& record);

}  // namespace harness
