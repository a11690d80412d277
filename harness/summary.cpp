#include "harness/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace harness {
namespace {

// The worse of two errors; a NaN is worse than anything.
double larger(double a, double b) {
    return std::isnan(a) || a > b ? a : b;
}

void add_statistics(std::optional<InputSummary>& into, const OpStatistics& s) {
    // Nearly constant tensors have no variance that could be matched.
    const double match = s.centred_energy < least_centred_energy ? std::nan("") : s.match_percent;
    if (!into) {
        into = InputSummary{s.rho, match, s.worst_row, s.worst_tile};
        return;
    }
    into->rho = larger(s.rho, into->rho);
    into->match_percent = std::fmin(match, into->match_percent);
    into->worst_row = larger(s.worst_row, into->worst_row);
    into->worst_tile = larger(s.worst_tile, into->worst_tile);
}

void add_launches(StepTime& sum, const StepTime& step) {
    if (sum.launch_times && step.launch_times) {
        sum.launch_times->total.seconds += step.launch_times->total.seconds;
        sum.launch_times->split += step.launch_times->split;
    }
}

// The counts are the same in every layer.
void divide_launches(StepTime& sum, int count) {
    if (sum.launch_times) {
        LaunchTimes& times = *sum.launch_times;
        times.total.seconds /= count;
        times.total.samples_seconds.clear();
        times.split = {times.split.submit_seconds / count,    times.split.wait_seconds / count,
                       times.split.to_device_seconds / count, times.split.from_device_seconds / count,
                       times.split.submissions / count,       times.split.switches / count};
    }
}

// Mean over the layers of the step that ends with `op`.
std::optional<StepTime> mean_time(datasets::Op op, const std::vector<LayerRow>& layers) {
    std::optional<StepTime> sum;
    int count = 0;
    for (const LayerRow& layer : layers) {
        for (const StepTime& step : layer.steps) {
            if (step.ops.last != op) {
                continue;
            }
            ++count;
            if (!sum) {
                sum = step;
                sum->cpu.samples_seconds.clear();
                sum->npu.samples_seconds.clear();
                continue;
            }
            sum->cpu.seconds += step.cpu.seconds;
            sum->npu.seconds += step.npu.seconds;
            sum->npu_modelled.seconds += step.npu_modelled.seconds;
            add_launches(*sum, step);
        }
    }
    if (sum) {
        sum->cpu.seconds /= count;
        sum->npu.seconds /= count;
        sum->npu_modelled.seconds /= count;
        divide_launches(*sum, count);
        sum->speedup = sum->npu.seconds > 0 ? sum->cpu.seconds / sum->npu.seconds : 0.0;
    }
    return sum;
}

// Of the medians of a clip's layers, relative: the widest. Infinite where one is not known.
double npu_half_width(const std::string& clip, const std::vector<LayerRow>& layers) {
    double widest = 0;
    for (const LayerRow& layer : layers) {
        if (layer.clip == clip && layer.total) {
            const std::vector<double>& samples = layer.total->npu.samples_seconds;
            widest = std::max(widest, median_half_width(samples) / (samples.empty() ? 1 : median(samples)));
        }
    }
    return widest;
}

}  // namespace

std::vector<OpSummary> sum_ops(const std::vector<OpRow>& rows, const std::vector<LayerRow>& layers) {
    std::vector<OpSummary> out;
    for (const datasets::OpInfo& info : datasets::op_table()) {
        OpSummary summary{info.op, Verdict::not_run, {}, {}, {}};
        std::vector<Verdict> seen;
        for (const OpRow& row : rows) {
            if (row.op != info.op) {
                continue;
            }
            seen.push_back(row.judgement.verdict);
            if (row.statistics) {
                add_statistics(row.input == Input::isolated ? summary.isolated : summary.chained,
                               *row.statistics);
            }
        }
        if (seen.empty()) {
            continue;
        }
        summary.verdict = worst_verdict(seen);
        summary.time = mean_time(info.op, layers);
        out.push_back(summary);
    }
    return out;
}

std::vector<ClipRow> sum_clips(const std::vector<LayerRow>& layers,
                               const datasets::RecordingInfo& recording) {
    std::vector<ClipRow> out;
    for (const datasets::ClipInfo& clip : recording.clips) {
        ClipRow row;
        row.clip = clip.id;
        row.audio_seconds = clip.audio_seconds;
        for (const LayerRow& layer : layers) {
            if (layer.clip == clip.id && layer.total) {
                ++row.layers;
                row.cpu.processing.seconds += layer.total->cpu.seconds;
                row.cpu.processing.clock = layer.total->cpu.clock;
                row.npu.processing.seconds += layer.total->npu.seconds;
                row.npu.processing.clock = layer.total->npu.clock;
            }
        }
        if (row.layers == 0 || !(row.audio_seconds > 0)) {
            continue;
        }
        row.scope = fmt::format("attention, {} of {} layers", row.layers, recording.layers);
        for (RealTime* side : {&row.cpu, &row.npu}) {
            side->rtf = side->processing.seconds / row.audio_seconds;
            side->rtfx = side->processing.seconds > 0 ? row.audio_seconds / side->processing.seconds : 0.0;
        }
        row.speedup =
            row.npu.processing.seconds > 0 ? row.cpu.processing.seconds / row.npu.processing.seconds : 0.0;
        out.push_back(row);
    }
    return out;
}

std::optional<CpuTiming> sum_cpu_timing(const std::vector<LayerRow>& layers) {
    CpuTiming out;
    std::vector<double> all;
    for (const LayerRow& layer : layers) {
        if (!layer.total || layer.total->cpu.samples_seconds.empty()) {
            continue;
        }
        const std::vector<double>& samples = layer.total->cpu.samples_seconds;
        const int count = static_cast<int>(samples.size());
        out.fewest_samples = out.layers == 0 ? count : std::min(out.fewest_samples, count);
        out.most_samples = std::max(out.most_samples, count);
        out.half_width = std::max(out.half_width, median_half_width(samples) / median(samples));
        all.insert(all.end(), samples.begin(), samples.end());
        ++out.layers;
    }
    if (out.layers == 0) {
        return std::nullopt;
    }
    out.control = control_of(all);
    return out;
}

void add_speedup_intervals(std::vector<ClipRow>& clips, const std::vector<LayerRow>& layers, double factor,
                           double half_width) {
    for (ClipRow& clip : clips) {
        const bool measured = clip.npu.processing.clock == datasets::Clock::device_wall;
        const double npu = measured ? npu_half_width(clip.clip, layers) : 0;
        if (half_width < 1 && npu < 1) {
            clip.speedup_low = clip.speedup * (1 - half_width) / (measured ? 1 + npu : factor);
            clip.speedup_high = clip.speedup * (1 + half_width) * (measured ? 1 / (1 - npu) : factor);
        }
    }
}

void keep_first_error_maps(std::vector<OpRow>& rows) {
    std::size_t mapped = 0;
    std::size_t letters = 0;
    for (OpRow& row : rows) {
        if (row.judgement.verdict == Verdict::failed && !row.error_maps.empty()) {
            ++mapped;
            for (const HeadErrorMap& map : row.error_maps) {
                for (const std::string& line : map.tiles) {
                    letters += line.size();
                }
            }
        }
        if (row.judgement.verdict != Verdict::failed || mapped > most_mapped_rows ||
            letters > most_map_letters) {
            row.error_maps.clear();
        }
    }
}

void sum_up(RunRecord& record) {
    keep_first_error_maps(record.rows);
    record.ops = sum_ops(record.rows, record.layers);
    record.clips = sum_clips(record.layers, record.recording);
    if (!record.cpu_timing || !record.cpu_timing->elsewhere) {
        record.cpu_timing = sum_cpu_timing(record.layers);
    }
    if (record.time_model && record.cpu_timing) {
        add_speedup_intervals(record.clips, record.layers, record.time_model->interval_factor,
                              record.cpu_timing->half_width);
    }
    record.verdict = overall_verdict(record);
    record.exit_code = static_cast<int>(exit_code(record.verdict));
}

}  // namespace harness
