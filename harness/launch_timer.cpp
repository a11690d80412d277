#include "harness/launch_timer.hpp"

#include <algorithm>

#include "harness/stopwatch.hpp"

namespace harness {
namespace {

using datasets::Clock;
using datasets::Part;

// Fetches the last op, and has no use for it.
class LastOpSink final : public datasets::Sink {
public:
    explicit LastOpSink(datasets::Op last) : last_(last) {}
    bool wants(datasets::Op op) const override { return op == last_; }
    bool looks() const override { return false; }
    void accept(datasets::Op, datasets::Rows, const datasets::TensorView&) override {}

private:
    datasets::Op last_;
};

}  // namespace

bool is_clocked(const std::vector<Part>& counted) {
    return std::ranges::any_of(counted, [](const Part& part) {
        return part.clock == Clock::device_wall || part.clock == Clock::emulation_wall;
    });
}

LaunchTimer::LaunchTimer(datasets::PreparedLayer& candidate, datasets::Work work,
                         const datasets::Source& source, int repetitions) {
    LastOpSink sink(work.ops.last);
    (void)candidate.compute(work, source, sink);
    for (int i = 0; i < repetitions; ++i) {
        repetitions_.push_back(candidate.compute(work, source, sink));
    }
}

std::optional<LaunchTimes> LaunchTimer::of(datasets::OpRange range) const {
    LaunchTimes out;
    out.warm_ups = 1;
    std::vector<datasets::DeviceTime> sums;
    for (const std::vector<Part>& parts : repetitions_) {
        datasets::DeviceTime sum;
        out.launches = 0;
        for (const Part& part : parts) {
            if (range.contains(part.ops.first) && range.contains(part.ops.last)) {
                sum += part.device;
                out.launches += part.launches;
                out.total.clock = part.clock;
            }
        }
        sums.push_back(sum);
        out.total.samples_seconds.push_back(sum.total_seconds());
    }
    if (out.total.clock == Clock::none) {
        return std::nullopt;
    }
    out.total.seconds = median(out.total.samples_seconds);
    const auto middle = sums.begin() + std::ssize(sums) / 2;
    std::ranges::nth_element(sums, middle, {}, &datasets::DeviceTime::total_seconds);
    out.split = *middle;
    return out;
}

}  // namespace harness
