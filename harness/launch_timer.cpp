#include "harness/launch_timer.hpp"

#include <algorithm>
#include <utility>

#include "harness/stopwatch.hpp"

namespace harness {
namespace {

using datasets::Clock;
using datasets::DeviceTime;
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

// The repetition whose total is the median; the mean of the middle two where the number is even.
DeviceTime middle(std::vector<DeviceTime> sums) {
    std::ranges::sort(sums, {}, &DeviceTime::total_seconds);
    DeviceTime out = sums[sums.size() / 2];
    if (sums.size() % 2 == 0) {
        out += sums[sums.size() / 2 - 1];
        out = {out.submit_seconds / 2,      out.wait_seconds / 2, out.to_device_seconds / 2,
               out.from_device_seconds / 2, out.submissions / 2,  out.switches / 2};
    }
    return out;
}

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
    std::vector<DeviceTime> sums;
    for (const std::vector<Part>& parts : repetitions_) {
        DeviceTime sum;
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
    out.split = middle(std::move(sums));
    return out;
}

}  // namespace harness
