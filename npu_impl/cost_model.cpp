#include "npu_impl/cost_model.hpp"

#include <algorithm>
#include <array>

namespace npu_impl {
namespace {

// What the launches of a plan carry in all, each through its busiest part.
struct Totals {
    double read = 0;
    double write = 0;
    double read_channel = 0;
    double write_channel = 0;
    double feed = 0;
    double drain = 0;
    double cycles = 0;

    void add(const ArrayLaunch& launch, double times) {
        for (const TaskGroup& group : launch.groups) {
            for (const PassRun& run : group.passes) {
                const double count = times * double(run.count);
                read += count * double(run.pass.read_bytes);
                write += count * double(run.pass.write_bytes);
                read_channel += count * double(run.pass.read_channel_bytes);
                write_channel += count * double(run.pass.write_channel_bytes);
                feed += count * double(run.pass.feed_bytes);
                drain += count * double(run.pass.drain_bytes);
                cycles += count * run.pass.cycles;
            }
        }
    }
};

// The mean of a full list is what the specification quotes; its first run pays the call.
double later_run_seconds(const DeviceSpec& spec) {
    const double length = double(spec.run_list_length);
    return length <= 1
               ? spec.call_seconds
               : std::max(0.0, (length * spec.run_list_run_seconds - spec.call_seconds) / (length - 1));
}

}  // namespace

std::string_view name(Dispatch dispatch) {
    return dispatch == Dispatch::calls ? "calls" : "run_lists";
}

std::string_view name(Contexts contexts) {
    return contexts == Contexts::per_kernel ? "per_kernel" : "shared";
}

double TimeBounds::largest() const {
    return std::max({launch_floor, kernel_floor, dram_roof, stream_roof, compute_roof});
}

std::string_view TimeBounds::limiting() const {
    const std::array<double, 4> bounds{launch_floor, kernel_floor, dram_roof, stream_roof};
    constexpr std::array<std::string_view, 4> names{"launches", "kernel", "DRAM", "streams"};
    return names[static_cast<std::size_t>(std::ranges::max_element(bounds) - bounds.begin())];
}

TimeBounds& TimeBounds::operator+=(const TimeBounds& other) {
    launch_floor += other.launch_floor;
    kernel_floor += other.kernel_floor;
    dram_roof += other.dram_roof;
    stream_roof += other.stream_roof;
    compute_roof += other.compute_roof;
    return *this;
}

Cost& Cost::operator+=(const Cost& other) {
    launch += other.launch;
    transfer += other.transfer;
    compute += other.compute;
    idle += other.idle;
    launches += other.launches;
    bounds += other.bounds;
    return *this;
}

double CostModel::launch_seconds(std::int64_t index) const {
    const bool first = dispatch == Dispatch::calls || index % spec.run_list_length == 0;
    const double python = caller == Caller::python ? spec.python_call_seconds : 0;
    return first ? spec.call_seconds + python : later_run_seconds(spec);
}

double CostModel::launches_seconds(std::int64_t first, std::int64_t count) const {
    const auto calls_before = [&](std::int64_t index) {
        return dispatch == Dispatch::calls ? index
                                           : (index + spec.run_list_length - 1) / spec.run_list_length;
    };
    const std::int64_t calls = calls_before(first + count) - calls_before(first);
    return double(calls) * launch_seconds(0) + double(count - calls) * later_run_seconds(spec);
}

Cost CostModel::cost(const ArrayWork& work, std::vector<TimelineEvent>* timeline, std::int64_t first) const {
    Cost cost;
    std::vector<ArrayTime> times;
    std::vector<std::vector<TimelineEvent>> events(timeline == nullptr ? 0 : work.launches.size());
    for (std::size_t i = 0; i < work.launches.size(); ++i) {
        times.push_back(simulate(work.launches[i], spec, timeline == nullptr ? nullptr : &events[i]));
    }
    double now = 0;
    for (const LaunchSpan& span : work.sequence) {
        const ArrayTime& time = times[span.launch];
        cost.transfer += double(span.count) * time.transfer;
        cost.compute += double(span.count) * time.compute;
        cost.idle += double(span.count) * time.idle;
        for (std::int64_t i = 0; timeline != nullptr && i < span.count; ++i) {
            const std::int64_t index = cost.launches + i;
            const double begin = now;
            now += launch_seconds(first + index);
            timeline->push_back({Lane::host, begin, now, index});
            for (const TimelineEvent& event : events[span.launch]) {
                timeline->push_back({event.lane, now + event.begin, now + event.end, event.pass});
            }
            now += time.total();
        }
        cost.launches += span.count;
    }
    cost.launch = launches_seconds(first, cost.launches);
    cost.bounds = time_bounds(work, *this);
    cost.bounds.launch_floor = cost.launch;
    return cost;
}

Cost CostModel::cost(const TilePlan& plan) const {
    return cost(array_work(plan, spec, kernel));
}

TimeBounds time_bounds(const ArrayWork& work, const CostModel& model) {
    Totals totals;
    for (const LaunchSpan& span : work.sequence) {
        totals.add(work.launches[span.launch], double(span.count));
    }
    const DeviceSpec& spec = model.spec;
    TimeBounds bounds;
    bounds.launch_floor = model.launches_seconds(0, work.launch_count());
    bounds.kernel_floor = totals.cycles / spec.clock_hz;
    bounds.dram_roof = std::max({totals.read / spec.dram_read_bytes_per_second,
                                 totals.write / spec.dram_write_bytes_per_second,
                                 (totals.read + totals.write) / spec.dram_total_bytes_per_second});
    bounds.stream_roof = std::max({totals.read_channel, totals.write_channel, totals.feed, totals.drain}) /
                         spec.stream_bytes_per_second();
    bounds.compute_roof = work.macs / (double(spec.cores()) * spec.peak_mac_per_cycle * spec.clock_hz);
    return bounds;
}

}  // namespace npu_impl
