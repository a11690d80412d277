// `harness explain`: one row of a run, computed again, drawn and dumped.
#include "harness/explain.hpp"
#include "harness/atomic_file.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

#include "datasets/candidate.hpp"
#include "datasets/sha256.hpp"
#include "harness/candidate_experiment.hpp"
#include "harness/candidate_path.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/operands.hpp"
#include "harness/run_record_read.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/golden_end_source.hpp"
#include "reference/golden_source.hpp"
#include "reports/error_picture.hpp"
#include "reports/words.hpp"

namespace harness {
namespace {

// What the record calls its device and emulation. Throws ReadError for a name that this program does not
// know.
std::unique_ptr<npu_impl::Device> device_of(const RunRecord& record, const std::string& file) {
    for (const datasets::Emulation emulation : {datasets::Emulation::fast, datasets::Emulation::exact}) {
        if (record.emulation == datasets::name(emulation)) {
            return npu_impl::open_device(record.device, emulation);
        }
    }
    throw datasets::ReadError(file, "identities.emulation",
                              fmt::format("is '{}', which this program does not know", record.emulation));
}

// Whether a file of the run is still where it was, or is where the option says.
void require_there(const std::string& file, std::string_view option) {
    if (!std::filesystem::exists(file)) {
        throw datasets::ReadError(
            file, "", fmt::format("no such file: if what was judged moved, say where with {}", option));
    }
}

// Whether a file is the one that was judged, by its hash.
void require_same(const std::string& file, const std::string& sha256, const std::string& judged,
                  std::string_view option) {
    if (sha256 != judged) {
        throw datasets::ReadError(file, "content",
                                  fmt::format("is not what was judged (sha256 {:.16}, recorded {:.16}): name "
                                              "the right one with {}",
                                              sha256, judged, option));
    }
}

Selection selection_of(const RunRecord& record) {
    Selection selection;
    selection.placement = parse_placement(record.placement);
    selection.head = record.head;
    return selection;
}

// A path under judgement, as its run was judged.
struct Judged {
    datasets::Path& path;
    Declared declared;                  // for what is predicted
    std::vector<datasets::Work> works;  // ranges of the run
    // Another program's numbers: it read what the recording holds, not what the golden computes anew.
    bool from_file = false;
};

// What a row judged: its step alone, or the range that the run chained.
datasets::Work work_of(const Judged& judged, const OpRow& row) {
    for (const datasets::Work& work : judged.works) {
        if (!work.ops.contains(row.op)) {
            continue;
        }
        for (const datasets::OpRange step : judged.path.steps()) {
            if (step.last == row.op && work.ops.contains(step.first)) {
                return row.input == Input::chained ? work : datasets::Work{step, work.head};
            }
        }
    }
    throw std::invalid_argument(
        fmt::format("design {} has no step that ends with {}", judged.path.name(), datasets::name(row.op)));
}

Explanation explain_layer(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                          const Judged& judged) {
    const datasets::LayerCase layer =
        load_layer(recording, row.clip, row.layer, parse_placement(record.placement));
    const reference::GoldenSource golden(layer);
    const RecordedSource recorded(layer, golden);
    const datasets::LayerCase rounded = rounded_weights(layer, judged.path);
    const auto prepared = judged.path.prepare(layer);
    const datasets::Work work = work_of(judged, row);
    const auto judge = [&] {
        return std::make_unique<Judge>(rounded, work.ops, judged.path, golden, row.input, work.head, nullptr,
                                       judged.from_file ? &recorded : nullptr);
    };
    const ErrorModel errors(layer, golden, judged.declared, work.ops, work.head);
    return explain(row,
                   {*prepared,
                    work,
                    golden,
                    judge,
                    {.layer = &layer},
                    {.layer = &rounded},
                    layer.shape,
                    !judged.from_file},
                   &errors);
}

Explanation explain_end(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                        const Judged& judged) {
    RecordedEnd end = load_end(recording, row.clip, parse_placement(record.placement));
    const reference::GoldenEndSource golden(end.piece, std::move(end.block));
    const datasets::EndCase rounded = rounded_weights(end.piece, judged.path);
    const auto prepared = judged.path.prepare(end.piece);
    const auto judge = [&] { return std::make_unique<Judge>(rounded, judged.path, golden, row.input); };
    const ErrorModel errors(end.piece, golden, judged.declared);
    return explain(row,
                   {*prepared,
                    work_of(judged, row),
                    golden,
                    judge,
                    {.end = &end.piece},
                    {.end = &rounded},
                    end.piece.shape},
                   &errors);
}

// By the device and the design of the record, run again.
Explanation explain_device(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                           const std::string& file) {
    const auto device = device_of(record, file);
    npu_impl::NpuPath path(*device, npu_impl::compose(record.design));
    if (row.layer == end_layer) {
        return explain_end(record, row, recording, {path, declared_by(path), {{datasets::end_ops, -1}}});
    }
    return explain_layer(record, row, recording, {path, declared_by(path), selection_of(record).works()});
}

// By the numbers in `file`, read again.
Explanation explain_candidate(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                              const std::string& file) {
    require_there(file, "--candidate");
    const datasets::Candidate candidate(file, recording);
    require_same(file, datasets::sha256_of_file(file), record.candidate->sha256, "--candidate");
    const npu_impl::Design design = npu_impl::compose(record.design);
    CandidatePath path(candidate, row.clip, row.layer, design);
    return explain_layer(record, row, recording,
                         {path, declared_by(design), candidate_works(selection_of(record), path), true});
}

std::string row_heading(const RunRecord& record, const OpRow& row, const Explanation& found) {
    const double before = row.statistics->rho;
    std::string out = fmt::format("record     {}{}\n", name(row.judgement.verdict),
                                  row.judgement.reason.empty() ? "" : ": " + row.judgement.reason);
    out += reports::limits_text(row.judgement, "           ");
    out += fmt::format("{}  rho {:.4g}, {} of {} elements beyond their bound; {}\n",
                       record.candidate ? "read again" : "run again ", found.statistics.rho,
                       found.statistics.outside, found.statistics.elements,
                       before == found.statistics.rho
                           ? "rho as in the record"
                           : fmt::format("rho {:.4g} in the record: {}this program{} is another", before,
                                         record.candidate ? "" : "the run does not repeat itself, or ",
                                         record.candidate ? "" : " or device"));
    OpRow again = row;
    again.statistics = found.statistics;
    again.site = found.site;
    again.diagnosis = found.diagnosis;
    return out + reports::damage_text(again, "") + "\n";
}

}  // namespace

ExitCode run(const ExplainOptions& options, const std::string&) {
    const RunRecord record = read_run_record(options.run);
    std::size_t index = 0;
    try {
        index = find_row(record, options.row);
    } catch (const std::invalid_argument& error) {
        throw UsageError(fmt::format("{}: {}", options.run, error.what()));
    }
    if (!options.candidate.empty() && !record.candidate) {
        throw UsageError(
            fmt::format("--candidate: {} is no run of harness judge: leave it out", options.run));
    }
    if (record.candidate && record.candidate->sha256.empty()) {
        throw datasets::ReadError(options.run, "identities.candidate",
                                  "does not say which ops, head and file were judged, as run.json does from "
                                  "1.9 on: judge the candidate again");
    }
    const OpRow& row = record.rows[index];
    const std::string file = options.recording.empty() ? record.recording_file : options.recording;
    const std::string numbers = !record.candidate           ? std::string()
                                : options.candidate.empty() ? record.candidate->file
                                                            : options.candidate;
    check_files({options.run, file, numbers}, {options.svg, options.dump});
    require_there(file, "--recording");
    const datasets::Recording recording(file);
    require_same(file, recording.content_sha256(), record.recording_sha256, "--recording");
    const Explanation found = record.candidate ? explain_candidate(record, row, recording, numbers)
                                               : explain_device(record, row, recording, options.run);
    if (!options.svg.empty()) {
        write_atomically(options.svg, reports::svg_picture(found.picture));
    }
    if (!options.dump.empty()) {
        datasets::write_block(options.dump, found.block);
    }
    if (!options.common.quiet) {
        fmt::print("row {}\n{}{}", index, row_heading(record, row, found),
                   reports::terminal_picture(found.picture, wants_color(options.common.color)));
    }
    return ExitCode::passed;
}

}  // namespace harness
