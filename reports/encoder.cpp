#include "reports/encoder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "reports/clean_text.hpp"
#include "reports/time_model.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

using harness::Deviation;
using harness::Duration;
using harness::EncoderRow;
using harness::PlacementTime;
using harness::RunRecord;

std::string encoder_heading(const RunRecord& r) {
    const harness::Environment& e = r.environment;
    std::string out =
        fmt::format("Encoder    {}, {}\n", one_line(r.recording.model_id), one_line(r.provenance_note));
    out += fmt::format("CPU        golden fp32, {} tasks, {}; times measured\n", e.threads, one_line(e.cpu));
    out += fmt::format("           {} with {} kernels\n", one_line(e.blas.substr(0, e.blas.find(' '))),
                       one_line(e.blas_core_type));
    out += fmt::format("NPU        design {} on the {} device, {} emulation; times {}\n\n",
                       one_line(r.design), one_line(r.device), one_line(r.emulation), one_line(r.cost_model));
    return out;
}

std::string duration(const Duration& time) {
    return time.clock == datasets::Clock::none ? "-" : milliseconds(time.seconds);
}

std::string op_table(const EncoderRow& row) {
    std::string out = fmt::format("  {:<22} {:>10} {:>7} {:>10} {:>9}\n", "op, all layers", "CPU ms", "share",
                                  "NPU ms", "launches");
    out += fmt::format("  {:<22} {:>10} {:>7} {:>10} {:>9}\n", "", "measured", "", "modelled", "planned");
    const double whole = row.mel.seconds + row.warm.seconds;
    const auto line = [&](std::string_view what, const Duration& cpu, const std::string& npu,
                          const std::string& launches) {
        out += fmt::format("  {:<22} {:>10} {:>6.1f}% {:>10} {:>9}\n", what, milliseconds(cpu.seconds),
                           100 * cpu.seconds / whole, npu, launches);
    };
    line("mel", row.mel, "-", "-");
    for (const harness::OpTime& op : row.ops) {
        line(harness::range_name(op.ops), op.cpu, op.npu ? duration(*op.npu) : "-",
             op.npu ? fmt::format("{}", op.launches) : "-");
    }
    line("between the steps", row.between, "-", "-");
    out +=
        fmt::format("  {:<22} {:>10} {:>6.1f}%   of {} warm runs{}\n\n", "mel and encoder",
                    milliseconds(whole), 100.0, row.warm.samples_seconds.size(),
                    row.cold ? fmt::format("; the first, cold: {} ms", milliseconds(row.cold->seconds)) : "");
    return out;
}

std::string piece_table(const EncoderRow& row) {
    std::string out = fmt::format("  {:<14}", "ms by piece");
    for (const PlacementTime& placement : row.placements) {
        out += fmt::format(" {:>17}", placement.placement);
    }
    out += fmt::format("\n  {:<14}", "");
    for (const PlacementTime& placement : row.placements) {
        out += fmt::format(" {:>17}", placement.steps.empty() ? "measured" : "CPU + NPU");
    }
    out += "\n";
    for (std::size_t piece = 0; piece < row.placements.front().pieces.size(); ++piece) {
        out += fmt::format("  {:<14}", harness::name(row.placements.front().pieces[piece].stage));
        for (const PlacementTime& placement : row.placements) {
            const harness::PieceTime& time = placement.pieces[piece];
            out += time.npu.clock == datasets::Clock::none
                       ? fmt::format(" {:>17}", duration(time.cpu))
                       : fmt::format(" {:>17}", fmt::format("{} + {}", milliseconds(time.cpu.seconds),
                                                            milliseconds(time.npu.seconds)));
        }
        out += "\n";
    }
    return out + "\n";
}

std::string placement_table(const EncoderRow& row) {
    std::string out =
        fmt::format("  {:<14} {:>8} {:>9} {:>10} {:>9}  {:>17}  {:>17}\n", "on the NPU", "mel ms", "CPU ms",
                    "NPU ms", "total ms", fmt::format("{:.2f} s window", row.window_seconds),
                    fmt::format("{:.2f} s audio", row.audio_seconds));
    out += fmt::format("  {:<14} {:>8} {:>9} {:>10} {:>9}  {:>8} {:>8}  {:>8} {:>8}\n", "", "measured",
                       "measured", "modelled", "", "RTF", "RTFx", "RTF", "RTFx");
    for (const PlacementTime& p : row.placements) {
        out += fmt::format("  {:<14} {:>8} {:>9} {:>10} {:>9}  {:>8.5f} {:>8.1f}  {:>8.5f} {:>8.1f}\n",
                           p.steps.empty() ? "nothing" : p.placement, milliseconds(p.mel.seconds),
                           milliseconds(p.cpu.seconds), p.steps.empty() ? "-" : milliseconds(p.npu.seconds),
                           milliseconds(p.window.processing.seconds), p.window.rtf, p.window.rtfx,
                           p.audio.rtf, p.audio.rtfx);
    }
    return out +
           "  scope: mel and encoder, warm, without decoder; a total with NPU is projected, cross-machine, "
           "and\n"
           "  leaves out what the host spends on packing; the window is what was computed, the audio what is "
           "in it\n\n";
}

std::string drift_table(const EncoderRow& row, bool color) {
    std::string out = fmt::format("  {:<14} {:>28}  {:>28}\n", fmt::format("drift: {}", row.placement),
                                  "isolated", "chained");
    out += fmt::format("  {:<14} {:>9} {:>9} {:>8}  {:>9} {:>9} {:>8}\n", "after", "match %", "rel. err",
                       "row err", "match %", "rel. err", "row err");
    const auto cells = [](const Deviation& d) {
        return fmt::format("{:>9} {:>9.2e} {:>8}", percent(d.match_percent), d.relative_error,
                           error(d.worst_row));
    };
    for (const harness::DriftPoint& point : row.drift) {
        out += fmt::format("  {:<14} {}  {}\n", harness::name(point.stage), cells(point.isolated),
                           cells(point.chained));
    }
    out += fmt::format("  {} {} launches counted, {} planned{}{}\n\n",
                       painted(row.judgement.verdict, 0, color), row.launches, row.launches_planned,
                       row.judgement.reason.empty() ? "" : "; ", one_line(row.judgement.reason));
    if (!row.reproduce.empty()) {
        out += fmt::format("  reproduce: {}\n\n", one_line(row.reproduce));
    }
    return out;
}

std::string baseline_table(const RunRecord& record) {
    if (!record.baseline) {
        return {};
    }
    const harness::PublishedBaseline& baseline = *record.baseline;
    std::string out = fmt::format("compared with {}\n", one_line(baseline.title));
    out += fmt::format("  {:<34} {:>12} {:>14}\n", "", "published ms", "here, CPU ms");
    for (const harness::BaselineLine& line : baseline.lines) {
        out +=
            fmt::format("  {:<34} {:>12} {:>14}\n", one_line(line.what), milliseconds(line.published_seconds),
                        line.here ? milliseconds(line.here->seconds) : "-");
    }
    for (const std::string& correction : baseline.corrections) {
        out += fmt::format("  - {}\n", one_line(correction));
    }
    return out + "\n";
}

}  // namespace

std::string encoder_report(const RunRecord& record, bool color) {
    std::string out = encoder_heading(record);
    for (const EncoderRow& row : record.encoders) {
        out +=
            fmt::format("{}: {:.2f} s of audio in a window of {:.2f} s, T = {}, {} layers\n\n",
                        one_line(row.clip), row.audio_seconds, row.window_seconds, row.context, row.layers);
        out += op_table(row) + piece_table(row) + placement_table(row) + drift_table(row, color);
    }
    out += time_model_table(record) + baseline_table(record);
    const auto provisional = std::ranges::count_if(harness::limits(), [](const harness::Limit& limit) {
        return limit.gated && limit.provisional && limit.level == "drift";
    });
    out +=
        fmt::format("{}: {} clips, exit code {}; gated limits provisional (synthetic): {}\n",
                    painted(record.verdict, 0, color), record.encoders.size(), record.exit_code, provisional);
    return out;
}

}  // namespace reports
