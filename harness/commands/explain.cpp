// `harness explain`: one row of a run, computed again, drawn and dumped.
#include "harness/explain.hpp"
#include "harness/atomic_file.hpp"

#include <fmt/format.h>

#include <stdexcept>

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

// What a row judged: its step alone, or the range that the run chained.
datasets::Work work_of(const RunRecord& record, const OpRow& row, const datasets::Path& candidate) {
    Selection selection;
    selection.placement = parse_placement(record.placement);
    selection.head = record.head;
    std::vector<datasets::Work> works = selection.works();
    if (row.layer == end_layer) {
        works = {{datasets::end_ops, -1}};
    }
    for (const datasets::Work& work : works) {
        if (!work.ops.contains(row.op)) {
            continue;
        }
        for (const datasets::OpRange step : candidate.steps()) {
            if (step.last == row.op && work.ops.contains(step.first)) {
                return row.input == Input::chained ? work : datasets::Work{step, work.head};
            }
        }
    }
    throw std::invalid_argument(
        fmt::format("design {} has no step that ends with {}", record.design, datasets::name(row.op)));
}

Explanation explain_layer(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                          datasets::Path& candidate) {
    const datasets::LayerCase layer =
        load_layer(recording, row.clip, row.layer, parse_placement(record.placement));
    const reference::GoldenSource golden(layer);
    const datasets::LayerCase rounded = rounded_weights(layer, candidate);
    const auto prepared = candidate.prepare(layer);
    const datasets::Work work = work_of(record, row, candidate);
    const auto judge = [&] {
        return std::make_unique<Judge>(rounded, work.ops, candidate, golden, row.input, work.head);
    };
    const ErrorModel errors(layer, golden, declared_by(candidate), work.ops, work.head);
    return explain(row, {*prepared, work, golden, judge, &layer, &rounded, layer.shape}, &errors);
}

Explanation explain_end(const RunRecord& record, const OpRow& row, const datasets::Recording& recording,
                        datasets::Path& candidate) {
    RecordedEnd end = load_end(recording, row.clip, parse_placement(record.placement));
    const reference::GoldenEndSource golden(end.piece, std::move(end.block));
    const datasets::EndCase rounded = rounded_weights(end.piece, candidate);
    const auto prepared = candidate.prepare(end.piece);
    const auto judge = [&] { return std::make_unique<Judge>(rounded, candidate, golden, row.input); };
    const ErrorModel errors(end.piece, golden, declared_by(candidate));
    return explain(
        row, {*prepared, work_of(record, row, candidate), golden, judge, nullptr, nullptr, end.piece.shape},
        &errors);
}

std::string row_heading(const OpRow& row, const Explanation& found) {
    const double before = row.statistics->rho;
    std::string out = fmt::format("record     {}{}\n", name(row.judgement.verdict),
                                  row.judgement.reason.empty() ? "" : ": " + row.judgement.reason);
    out += reports::limits_text(row.judgement, "           ");
    out += fmt::format("run again  rho {:.4g}, {} of {} elements beyond their bound; {}\n",
                       found.statistics.rho, found.statistics.outside, found.statistics.elements,
                       before == found.statistics.rho
                           ? "rho as in the record"
                           : fmt::format("rho {:.4g} in the record: the run does not repeat itself, or this "
                                         "program or device is another",
                                         before));
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
    const OpRow& row = record.rows[index];
    const std::string file = options.recording.empty() ? record.recording_file : options.recording;
    refuse_shared_files({options.run, file}, {options.svg, options.dump});
    const datasets::Recording recording(file);
    if (recording.content_sha256() != record.recording_sha256) {
        throw datasets::ReadError(
            file, "content",
            fmt::format("is not what {} was judged on (sha256 {:.16}, recorded {:.16}): name the right one "
                        "with --recording",
                        options.run, recording.content_sha256(), record.recording_sha256));
    }
    const auto device = device_of(record, options.run);
    npu_impl::NpuPath candidate(*device, npu_impl::compose(record.design));
    const Explanation found = row.layer == end_layer ? explain_end(record, row, recording, candidate)
                                                     : explain_layer(record, row, recording, candidate);
    if (!options.svg.empty()) {
        write_atomically(options.svg, reports::svg_picture(found.picture));
    }
    if (!options.dump.empty()) {
        datasets::write_block(options.dump, found.block);
    }
    if (!options.common.quiet) {
        fmt::print("row {}\n{}{}", index, row_heading(row, found),
                   reports::terminal_picture(found.picture, wants_color(options.common.color)));
    }
    return ExitCode::passed;
}

}  // namespace harness
