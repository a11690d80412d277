// `harness bench-cpu`: the golden's attention timed by itself, and a file that carries the times elsewhere.
#include <fmt/format.h>

#include <cmath>

#include "harness/atomic_file.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/cpu_baseline.hpp"
#include "harness/interrupt.hpp"
#include "harness/recorder.hpp"
#include "reference/golden.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

void print_baseline(const CpuBaseline& baseline) {
    fmt::print("{}, {} tasks placed by the system; {}\nattention of one layer, T = {}, {} heads\n",
               baseline.cpu, baseline.threads, baseline.blas, baseline.context, baseline.heads);
    fmt::print("{:<14} {:>12} {:>10} {:>9} {}\n", "op", "median ms", "MAD ms", "samples", "clock");
    for (const CpuOpTime& op : baseline.ops) {
        fmt::print("{:<14} {:>12.3f} {:>10.3f} {:>9} {}\n", range_name(op.ops),
                   median(op.samples_seconds) * 1e3, median_deviation(op.samples_seconds) * 1e3,
                   op.samples_seconds.size(), datasets::name(op.clock));
    }
    const std::vector<double> totals = baseline.totals();
    fmt::print("{:<14} {:>12.3f} {:>10.3f} {:>9} {}\n", "all", median(totals) * 1e3,
               median_deviation(totals) * 1e3, totals.size(),
               baseline.settled ? "median known to 1%"
                                : "median not known to 1%: give it more --seconds, or a quieter machine");
    const auto control = [noise = baseline.control.noise](const char* what, double ratio) {
        fmt::print("A/A control, {}: {:.4f}, {} what noise allows (1 +- {:.4f})\n", what, ratio,
                   std::abs(ratio - 1) <= noise ? "within" : "BEYOND", noise);
    };
    control("odd over even samples", baseline.control.odd_over_even);
    control("second over first half (drift of the clock)", baseline.control.second_over_first);
}

}  // namespace

ExitCode run(const BenchCpuOptions& options, const std::string&) {
    check_files({options.recording}, {options.out});
    const std::string file = options.recording.empty()
                                 ? default_recording(options.context, !options.common.quiet)
                                 : options.recording;
    const datasets::Recording recording(file);
    const datasets::RecordingInfo& info = recording.info();
    const datasets::LayerCase layer = recording.layer(info.clips.front().id, info.recorded_layers.front());
    const reference::GoldenSource source(layer);
    reference::GoldenPath golden;
    const auto prepared = golden.prepare(layer);
    StopRule rule;
    rule.least = options.least_samples;
    rule.most = std::max(rule.most, rule.least);
    rule.seconds = options.most_seconds;
    throw_if_interrupted();
    CpuBaseline baseline = measure_cpu(*prepared, {datasets::attention_ops, -1}, source, rule);
    throw_if_interrupted();
    const Environment here = environment(options.common.threads);
    baseline.created_utc = utc_now();
    baseline.cpu = here.cpu;
    baseline.threads = here.threads;
    baseline.blas = fmt::format("{}, {} kernels", here.blas, here.blas_core_type);
    baseline.system = here.system;
    baseline.context = info.context;
    baseline.heads = info.heads;
    write_atomically(options.out, to_json(baseline));
    if (!options.common.quiet) {
        print_baseline(baseline);
    }
    return ExitCode::passed;
}

}  // namespace harness
