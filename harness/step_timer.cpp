#include "harness/step_timer.hpp"

#include <utility>

namespace harness {
namespace {

using datasets::OpRange;
using datasets::Part;

}  // namespace

StepTimer::StepTimer(datasets::PreparedLayer& golden, datasets::Work work, const datasets::Source& source,
                     const StopRule& rule, std::vector<Part> modelled, std::vector<Part> counted,
                     std::optional<LaunchTimer> launches)
    : modelled_(std::move(modelled)), counted_(std::move(counted)), launches_(std::move(launches)) {
    datasets::NullSink sink;
    samples_ = measure(rule, [&] {
                   golden_ = golden.compute(work, source, sink);
                   std::vector<double> seconds;
                   for (const Part& part : golden_) {
                       seconds.push_back(part.seconds);
                   }
                   return seconds;
               }).samples;
}

StepTime StepTimer::of(OpRange range) const {
    StepTime out;
    out.ops = range;
    const auto inside = [&](const Part& part) {
        return range.contains(part.ops.first) && range.contains(part.ops.last);
    };
    out.cpu.clock = datasets::Clock::host_wall;
    for (std::size_t p = 0; p < golden_.size(); ++p) {
        if (inside(golden_[p])) {
            out.cpu.samples_seconds.resize(samples_[p].size());
            for (std::size_t i = 0; i < samples_[p].size(); ++i) {
                out.cpu.samples_seconds[i] += samples_[p][i];
            }
            if (golden_[p].clock == datasets::Clock::host_share) {
                out.cpu.clock = datasets::Clock::host_share;
            }
        }
    }
    out.cpu.seconds = out.cpu.samples_seconds.empty() ? 0.0 : median(out.cpu.samples_seconds);
    for (const Part& part : modelled_) {
        if (inside(part)) {
            out.npu_modelled.seconds += part.seconds;
            out.npu_modelled.clock = part.clock;
        }
    }
    out.npu = out.npu_modelled;
    if (launches_) {
        out.launch_times = launches_->of(range);
    }
    if (out.launch_times && out.launch_times->total.clock == datasets::Clock::device_wall) {
        out.npu = out.launch_times->total;
    }
    for (const Part& part : counted_) {
        if (inside(part)) {
            out.launches += part.launches;
            out.tiles += part.tiles;
            out.bytes += part.bytes;
        }
    }
    out.speedup = out.npu.seconds > 0 ? out.cpu.seconds / out.npu.seconds : 0.0;
    return out;
}

}  // namespace harness
