#include "reports/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/accuracy.hpp"
#include "reports/clean_text.hpp"
#include "reports/launch_times.hpp"
#include "reports/time_model.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

using harness::OpStatistics;
using harness::RunRecord;
using harness::StepTime;
using harness::Verdict;

// Failed rows beyond this many are counted, not printed.
constexpr std::size_t failed_rows_shown = 12;

// A figure that is 1 within its digits but not in truth is printed so that it does not look like 1.
std::string rho(double value) {
    if (std::isinf(value) || std::isnan(value)) {
        return "inf";
    }
    return value < 10     ? fmt::format("{:.3f}", value)
           : value < 1000 ? fmt::format("{:.1f}", value)
                          : fmt::format("{:.0e}", value);
}

// Of numbers that another program computed.
std::string candidate_heading(const RunRecord& r, const harness::CandidateFile& candidate) {
    std::string out = fmt::format("NPU        numbers from {}\n", one_line(candidate.file));
    out += fmt::format("           {}, computed by {}{}", harness::name(candidate.input),
                       one_line(candidate.runner),
                       candidate.device.empty() ? "" : " on " + one_line(candidate.device));
    out += candidate.sha256.empty() ? "\n" : fmt::format(", sha256 {:.16}\n", one_line(candidate.sha256));
    if (const auto& probes = candidate.probes) {
        out += fmt::format("           probes from {}, sha256 {:.16}\n", one_line(probes->candidate),
                           one_line(probes->candidate_sha256));
    }
    if (candidate.launches) {
        out += fmt::format("           {} launches, as the runner states\n", *candidate.launches);
    }
    out += fmt::format("           judged by the arithmetic of design {}\n", one_line(r.design));
    for (const std::string& what : candidate.not_checked) {
        out += fmt::format("           not checked: {}\n", one_line(what));
    }
    return out;
}

std::string run_heading(const RunRecord& r) {
    const harness::Environment& e = r.environment;
    std::string out = fmt::format("Recording  {}\n", one_line(r.recording_file));
    out += fmt::format("           {}, T = {}, sha256 {:.16}\n", one_line(r.recording.model_id),
                       r.recording.context, one_line(r.recording_sha256));
    out += fmt::format("           {}\n", one_line(r.provenance_note));
    out += fmt::format("CPU        golden fp32, {} tasks, {}; {}\n", e.threads, one_line(e.cpu),
                       r.candidate ? "not timed" : "times measured");
    out += fmt::format("           {} with {} kernels\n", one_line(e.blas.substr(0, e.blas.find(' '))),
                       one_line(e.blas_core_type));
    return out +
           (r.candidate ? candidate_heading(r, *r.candidate)
                        : fmt::format("NPU        design {} on the {} device, {} emulation; times {}\n",
                                      one_line(r.design), one_line(r.device), one_line(r.emulation),
                                      one_line(r.cost_model))) +
           npu_lines(r) + "\n";
}

// Kind of the times of one side; all ops of a run share it.
std::string kind_of(const RunRecord& record, harness::Duration StepTime::*side) {
    for (const harness::OpSummary& op : record.ops) {
        if (op.time) {
            return kind(((*op.time).*side).clock);
        }
    }
    return "not timed";
}

std::string op_table(const RunRecord& record, bool color) {
    if (record.ops.empty()) {
        return {};
    }
    std::string out = fmt::format("{:<13} {:<10} {:>15} {:>23} {:>8} {:>9} {:>7} {:>8}\n", "", "worst of",
                                  "isolated", "chained", "CPU ms", "NPU ms", "speedup", "launches");
    out += fmt::format("{:<13} {:<10} {:>6} {:>8} {:>6} {:>8} {:>7} {:>8} {:>9} {:>7} {:>8}\n", "op",
                       "all rows", "rho", "match %", "rho", "match %", "row err",
                       kind_of(record, &StepTime::cpu), kind_of(record, &StepTime::npu), "", "counted");
    for (const harness::OpSummary& op : record.ops) {
        const auto cell = [](const auto& summary, auto text) {
            return summary ? text(*summary) : std::string("-");
        };
        const auto match = [](const harness::InputSummary& s) { return percent(s.match_percent); };
        const auto bound = [](const harness::InputSummary& s) { return rho(s.rho); };
        const auto row_error = [](const harness::InputSummary& s) { return error(s.worst_row); };
        out += fmt::format("{:<13} {} {:>6} {:>8} {:>6} {:>8} {:>7} {:>8} {:>9} {:>7} {:>8}\n",
                           datasets::name(op.op), painted(op.verdict, 10, color), cell(op.isolated, bound),
                           cell(op.isolated, match), cell(op.chained, bound), cell(op.chained, match),
                           cell(op.chained, row_error),
                           cell(op.time, [](const StepTime& t) { return milliseconds(t.cpu.seconds); }),
                           cell(op.time, [](const StepTime& t) { return milliseconds(t.npu.seconds); }),
                           cell(op.time, [](const StepTime& t) { return ratio(t.speedup); }),
                           cell(op.time, [](const StepTime& t) { return fmt::format("{}", t.launches); }));
    }
    for (const harness::OpSummary& op : record.ops) {
        if (op.time && op.time->ops.first != op.time->ops.last) {
            out += fmt::format("{}: time and launches of {}..{}, one fused step\n", datasets::name(op.op),
                               datasets::name(op.time->ops.first), datasets::name(op.time->ops.last));
        }
    }
    return out +
           "times and launches: per layer, mean over the layers; rho: largest error / derived bound, <= "
           "1\n\n";
}

std::string layer_table(const RunRecord& record, bool color) {
    if (record.layers.empty()) {
        return {};
    }
    std::string out =
        fmt::format("{:<22} {:>5}  {:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}\n", "clip", "layer", "headline",
                    "match %", "worst row", "w. tile", "CPU ms", "NPU ms", "speedup");
    for (const harness::LayerRow& layer : record.layers) {
        if (layer.layer < 0) {
            continue;  // the end has no attention to sum up
        }
        const auto output = [&](auto text) { return layer.output ? text(*layer.output) : std::string("-"); };
        const auto total = [&](auto text) { return layer.total ? text(*layer.total) : std::string("-"); };
        const Verdict verdict = layer.differing_elements > 0 ? Verdict::unstable : layer.headline.verdict;
        out += fmt::format("{:<22.22} {:>5}  {} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}\n", one_line(layer.clip),
                           layer.layer, painted(verdict, 10, color),
                           output([](const OpStatistics& s) { return percent(s.match_percent); }),
                           output([](const OpStatistics& s) { return error(s.worst_row); }),
                           output([](const OpStatistics& s) { return error(s.worst_tile); }),
                           total([](const StepTime& t) { return milliseconds(t.cpu.seconds); }),
                           total([](const StepTime& t) { return milliseconds(t.npu.seconds); }),
                           total([](const StepTime& t) { return ratio(t.speedup); }));
        if (!layer.headline.reason.empty()) {
            out += fmt::format("    {}\n", one_line(layer.headline.reason));
        }
        out += limits_text(layer.headline, "    ");
        if (layer.headline.verdict == Verdict::failed && layer.output) {
            out +=
                fmt::format("    where: worst row {}, worst tile ({}, {})\n", layer.output->worst_row_index,
                            layer.output->worst_tile_row, layer.output->worst_tile_column);
        }
        out += layer.diagnosis ? diagnosis_text(*layer.diagnosis, "    ") : "";
        if (!layer.reproduce.empty()) {
            out += fmt::format("    reproduce: {}\n", one_line(layer.reproduce));
        }
        if (!layer.untimed.empty()) {
            out += fmt::format("    not timed: {}\n", one_line(layer.untimed));
        }
    }
    return out + "\n";
}

// Of each probe the largest share of its bound that it used, or its verdict. Neighbours of the same probe are
// one.
std::string probe_line(const std::vector<harness::ProbeRow>& rows) {
    std::string out;
    for (auto row = rows.begin(); row != rows.end();) {
        const auto end =
            std::find_if(row, rows.end(), [&](const auto& other) { return other.probe != row->probe; });
        std::vector<Verdict> verdicts;
        double largest = 0;
        for (auto one = row; one != end; ++one) {
            verdicts.push_back(one->judgement.verdict);
            largest = std::max(largest, one->rho);
        }
        const Verdict worst = harness::worst_verdict(verdicts);
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", harness::name(row->probe),
                           worst == Verdict::passed ? rho(largest) : std::string(harness::name(worst)));
        row = end;
    }
    return out;
}

std::string probe_failures(const std::vector<harness::ProbeRow>& rows, bool color) {
    std::string out;
    for (const harness::ProbeRow& row : rows) {
        if (row.judgement.verdict == Verdict::passed || row.judgement.verdict == Verdict::covered) {
            continue;
        }
        out += fmt::format("    {} {} at T = {}: {}\n", painted(row.judgement.verdict, 0, color),
                           harness::name(row.probe), row.shape.context, one_line(row.judgement.reason));
        out += limits_text(row.judgement, "    ");
        if (row.site) {
            out += fmt::format("    where: {}\n", site_text(*row.site));
        }
        if (!row.reproduce.empty()) {
            out += fmt::format("    reproduce: {}\n", one_line(row.reproduce));
        }
    }
    return out;
}

// One line per layer and per ragged context; failures in full.
std::string probe_table(const RunRecord& record, bool color) {
    std::string out;
    for (const harness::LayerRow& layer : record.layers) {
        if (!layer.probes.empty()) {
            out += fmt::format("{:<16.16} {:<8} {}\n", one_line(layer.clip), piece_name(layer.layer),
                               probe_line(layer.probes));
            out += probe_failures(layer.probes, color);
        }
    }
    const auto& ragged = record.ragged_probes;
    for (auto row = ragged.begin(); row != ragged.end();) {
        const auto end = std::find_if(
            row, ragged.end(), [&](const auto& other) { return other.shape.context != row->shape.context; });
        const std::vector<harness::ProbeRow> rows(row, end);
        out += fmt::format("{:<16} T = {:<4} {}\n", record.candidate ? "known operands" : "small integers",
                           row->shape.context, probe_line(rows));
        out += probe_failures(rows, color);
        row = end;
    }
    return out.empty() ? out : "probes: largest deviation / derived bound, <= 1\n" + out + "\n";
}

// One block: what the data cannot reveal, and who covers it.
std::string trust_table(const RunRecord& record, bool color) {
    std::string out;
    for (const harness::TrustRow& row : record.trust) {
        if (row.judgement.verdict != Verdict::passed) {
            out += fmt::format("  {} {:<17} {}\n", painted(row.judgement.verdict, 10, color),
                               harness::name(row.fault), one_line(row.judgement.reason));
        }
    }
    if (record.trust.empty()) {
        return out;
    }
    return out.empty() ? fmt::format("data: these layers can reveal all {} classes of faults\n\n",
                                     record.trust.size())
                       : "data: these layers cannot reveal\n" + out + "\n";
}

std::string cpu_timing_text(const harness::CpuTiming& timing) {
    const harness::SampleControl& control = timing.control;
    const std::string runs = timing.fewest_samples == timing.most_samples
                                 ? fmt::format("{}", timing.most_samples)
                                 : fmt::format("{} to {}", timing.fewest_samples, timing.most_samples);
    const std::string known = std::isfinite(timing.half_width)
                                  ? fmt::format("medians known within {:.1f}%", 100 * timing.half_width)
                                  : std::string("too few for an interval of the median");
    return fmt::format(
        "  CPU timed {} times a layer, warm, cores chosen by the system; {}\n"
        "      A/A: odd over even runs {:.3f}, second half over first {:.3f}: {}\n",
        runs, known, control.odd_over_even, control.second_over_first,
        control.within_noise()
            ? fmt::format("within noise (1 +- {:.3f})", control.noise)
            : fmt::format("BEYOND noise (1 +- {:.3f}): clock or load drift", control.noise));
}

std::string clip_table(const RunRecord& record) {
    std::string out;
    for (const harness::ClipRow& clip : record.clips) {
        out += fmt::format("{}: {}, {:.2f} s of audio\n", one_line(clip.clip), one_line(clip.scope),
                           clip.audio_seconds);
        const auto line = [&](std::string_view side, const harness::RealTime& time) {
            out += fmt::format("  {:<4} {:>9} ms {:<9}  RTF {:.5f}  RTFx {:>8.1f}\n", side,
                               milliseconds(time.processing.seconds), kind(time.processing.clock), time.rtf,
                               time.rtfx);
        };
        line("CPU", clip.cpu);
        line("NPU", clip.npu);
        const std::string interval =
            clip.speedup_low > 0
                ? fmt::format(" ({} .. {})", ratio(clip.speedup_low), ratio(clip.speedup_high))
                : std::string();
        out += fmt::format("  speedup {}{}, {}\n", ratio(clip.speedup), interval,
                           one_line(record.speedup_label));
    }
    if (record.cpu_timing) {
        out += cpu_timing_text(*record.cpu_timing);
        if (record.shard && record.shard->ranks_on_a_host > 1 && !record.cpu_timing->elsewhere) {
            out += fmt::format("      CONTENDED: up to {} ranks at work on one host while it was timed\n",
                               record.shard->ranks_on_a_host);
        }
    }
    return out.empty() ? out : out + "\n";
}

std::string failures(const RunRecord& record, bool color) {
    std::string out;
    std::size_t count = 0;
    for (const harness::OpRow& row : record.rows) {
        if (row.judgement.verdict == Verdict::passed || row.judgement.verdict == Verdict::covered) {
            continue;
        }
        if (++count > failed_rows_shown) {
            continue;
        }
        out += fmt::format("{} {} {} {} ({}): {}\n", painted(row.judgement.verdict, 0, color),
                           one_line(row.clip), piece_name(row.layer), datasets::name(row.op),
                           harness::name(row.input), one_line(row.judgement.reason));
        out += limits_text(row.judgement, "    ") + damage_text(row, "    ");
        if (!row.reproduce.empty()) {
            out += fmt::format("    reproduce: {}\n", one_line(row.reproduce));
        }
    }
    if (count > failed_rows_shown) {
        out += fmt::format("... and {} more rows\n", count - failed_rows_shown);
    }
    for (const harness::LayerRow& layer : record.layers) {
        if (layer.differing_elements > 0) {
            out += fmt::format("{} {} {}: {} of {} elements lie in blocks that differ after A, B, A\n",
                               painted(Verdict::unstable, 0, color), one_line(layer.clip),
                               piece_name(layer.layer), layer.differing_elements, layer.repeated_elements);
        }
    }
    return out.empty() ? out : out + "\n";
}

std::string lost_lines(const RunRecord& record) {
    std::string out;
    if (record.shard) {
        for (const std::string& line : record.shard->lost) {
            out += fmt::format("lost: {}\n", one_line(line));
        }
    }
    return out.empty() ? out : out + "\n";
}

}  // namespace

std::string terminal_report(const RunRecord& record, bool color) {
    std::string out = run_heading(record) + op_table(record, color) + accuracy_table(record) +
                      layer_table(record, color) + probe_table(record, color) + trust_table(record, color) +
                      clip_table(record) + launch_table(record) + time_model_table(record) +
                      failures(record, color) + lost_lines(record);
    const auto provisional = std::ranges::count_if(
        harness::limits(), [](const harness::Limit& limit) { return limit.gated && limit.provisional; });
    const auto rows_of = [&](auto&& is_meant) {
        return std::ranges::count_if(record.rows, is_meant,
                                     [](const harness::OpRow& row) { return row.judgement.verdict; });
    };
    const auto lost = rows_of([](Verdict verdict) { return verdict == Verdict::not_run; });
    const auto judged =
        rows_of([](Verdict verdict) { return verdict != Verdict::covered && verdict != Verdict::not_run; });
    // Of a file that lacks what they read. Ops inside a fused step have no headroom.
    const auto by_headline = std::ranges::count_if(record.rows, [](const harness::OpRow& row) {
        return row.judgement.verdict == Verdict::covered && !row.headroom.empty();
    });
    const std::string part = part_of_run(record);
    out +=
        fmt::format("{}{}: {}{}{}, exit code {}; gated limits provisional (synthetic): {}\n",
                    painted(record.verdict, 0, color), part.empty() ? part : fmt::format(" ({})", part),
                    record.rows.empty() && !record.ragged_probes.empty()
                        ? fmt::format("{} probes judged", record.ragged_probes.size())
                        : fmt::format("{} rows judged", judged),
                    by_headline > 0 ? fmt::format(", {} by the headline and level 2 alone", by_headline) : "",
                    lost > 0 ? fmt::format(", {} not run", lost) : "", record.exit_code, provisional);
    return out;
}

}  // namespace reports
