#include "harness/run_record_time.hpp"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <stdexcept>

#include "harness/run_record.hpp"
#include "harness/run_record_json.hpp"

namespace harness {
namespace {

// A speedup is as good as its weaker side, and over two machines nobody has measured it.
std::string_view speedup_kind(const Duration& cpu, const Duration& npu, bool cpu_elsewhere) {
    const bool modelled = cpu.clock == datasets::Clock::modelled || npu.clock == datasets::Clock::modelled;
    return modelled || cpu_elsewhere ? "modelled" : "measured";
}

}  // namespace

std::string range_name(datasets::OpRange ops) {
    return ops.first == ops.last ? std::string(datasets::name(ops.last))
                                 : fmt::format("{}..{}", datasets::name(ops.first), datasets::name(ops.last));
}

std::vector<AmdahlLine> amdahl(const std::vector<MovedStep>& steps, double whole_seconds) {
    const double moved =
        std::accumulate(steps.begin(), steps.end(), 0.0,
                        [](double sum, const MovedStep& step) { return sum + step.cpu_seconds; });
    if (!(whole_seconds > 0) || moved > whole_seconds * (1 + 1e-9)) {
        throw std::invalid_argument("the steps on the CPU take longer than the whole that they are part of");
    }
    std::vector<AmdahlLine> lines;
    double left = whole_seconds;
    for (const MovedStep& step : steps) {
        AmdahlLine line;
        line.ops = step.ops;
        line.share = step.cpu_seconds / whole_seconds;
        line.speedup = step.npu_seconds > 0 ? step.cpu_seconds / step.npu_seconds
                                            : std::numeric_limits<double>::infinity();
        line.alone = whole_seconds / (whole_seconds - step.cpu_seconds + step.npu_seconds);
        left += step.npu_seconds - step.cpu_seconds;
        line.with_those_before = whole_seconds / left;
        lines.push_back(line);
    }
    return lines;
}

Json to_json(const StepTime& step, bool cpu_elsewhere) {
    Json out{{"ops", to_json(step.ops)},
             {"cpu", to_json(step.cpu)},
             {"npu", to_json(step.npu)},
             {"launches", counted(step.launches, "launches")},
             {"tiles", counted(step.tiles, "tiles")},
             {"bytes", counted(step.bytes, "bytes")},
             {"speedup", number(step.speedup, "cpu/npu", speedup_kind(step.cpu, step.npu, cpu_elsewhere))}};
    if (step.launch_times) {
        out["launch_times"] = to_json(*step.launch_times);
        out["npu_modelled"] = to_json(step.npu_modelled);
    }
    return out;
}

Json to_json(const ClipRow& clip, bool cpu_elsewhere) {
    const std::string_view kind = speedup_kind(clip.cpu.processing, clip.npu.processing, cpu_elsewhere);
    Json interval;
    if (clip.speedup_low > 0) {
        interval = {
            {"low", clip.speedup_low}, {"high", clip.speedup_high}, {"unit", "cpu/npu"}, {"kind", kind}};
    }
    return {{"clip", clip.clip},
            {"scope", clip.scope},
            {"audio", number(clip.audio_seconds, "s", "recorded")},
            {"layers", clip.layers},
            {"cpu", to_json(clip.cpu)},
            {"npu", to_json(clip.npu)},
            {"speedup", number(clip.speedup, "cpu/npu", kind)},
            {"speedup_interval", interval}};
}

Json to_json(const TimeModelNotes& notes) {
    Json steps = Json::array();
    for (const ModelledStep& step : notes.steps) {
        steps.push_back({{"ops", to_json(step.ops)},
                         {"clock", "modelled"},
                         {"launches", step.launches},
                         {"context_switches", step.switches},
                         {"seconds", step.seconds},
                         {"low_seconds", step.seconds / notes.interval_factor},
                         {"high_seconds", step.seconds * notes.interval_factor},
                         {"launch_seconds", step.launch_seconds},
                         {"transfer_seconds", step.transfer_seconds},
                         {"compute_seconds", step.compute_seconds},
                         {"idle_seconds", step.idle_seconds},
                         {"bound", step.bound},
                         {"share_of_peak", step.share_of_peak}});
    }
    Json amdahl_lines = Json::array();
    for (const AmdahlLine& line : notes.amdahl) {
        amdahl_lines.push_back({{"ops", to_json(line.ops)},
                                {"share", line.share},
                                {"speedup", line.speedup},
                                {"alone", line.alone},
                                {"with_those_before", line.with_those_before}});
    }
    return {{"device", notes.device},
            {"assumptions", notes.assumptions},
            {"interval_factor_90", notes.interval_factor},
            {"steps", steps},
            {"whole", notes.whole},
            {"amdahl", amdahl_lines}};
}

Json to_json(const CpuTiming& timing) {
    return {{"kind", "measured"},
            {"elsewhere", timing.elsewhere},
            {"warm_up_runs", 1},
            {"task_placement", "by the system"},
            {"layers", timing.layers},
            {"fewest_samples", timing.fewest_samples},
            {"most_samples", timing.most_samples},
            {"median_half_width_95", finite(timing.half_width)},
            {"odd_over_even", timing.control.odd_over_even},
            {"second_over_first", timing.control.second_over_first},
            {"noise_95", timing.control.noise}};
}

}  // namespace harness
