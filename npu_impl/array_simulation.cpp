#include "npu_impl/array_simulation.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace npu_impl {
namespace {

// Buffers of a memory tile per stream, each way (mlir-aie's whole_array: fifo_depth = 2).
constexpr std::size_t staged_copies = 2;

// Tasks of the smallest kernel that the published cost of a call was measured with: one in, one out.
constexpr std::int64_t tasks_of_a_call = 2;

constexpr double never = std::numeric_limits<double>::infinity();

class LaunchSimulation {
public:
    LaunchSimulation(const ArrayLaunch& launch, const DeviceSpec& spec, std::vector<TimelineEvent>* timeline)
        : launch_(launch), spec_(spec), timeline_(timeline) {
        for (std::size_t group = 0; group < launch.groups.size(); ++group) {
            for (const PassRun& run : launch.groups[group].passes) {
                for (std::int64_t i = 0; i < run.count; ++i) {
                    drains_before_.push_back(drains_.size());
                    if (run.pass.drain_bytes > 0) {
                        drains_.push_back(passes_.size());
                    }
                    passes_.push_back(&run.pass);
                    group_of_.push_back(group);
                }
            }
            passes_until_.push_back(passes_.size());
            drains_until_.push_back(drains_.size());
        }
        const auto window = spec.shim_descriptors / descriptors_per_group;
        groups_in_flight_ = static_cast<std::size_t>(std::max<std::int64_t>(1, window));
    }

    ArrayTime run() {
        ArrayTime time;
        double now = 0;
        while (true) {
            start_all(now);
            double next = never;
            for (const Server& server : servers_) {
                next = std::min(next, server.until);
            }
            if (next == never) {
                break;
            }
            const auto busy = [&](Lane lane) { return of(lane).until != never; };
            const bool moving =
                busy(Lane::fetch) || busy(Lane::feed) || busy(Lane::drain) || busy(Lane::store);
            (busy(Lane::cores) ? time.compute : moving ? time.transfer : time.idle) += next - now;
            now = next;
            for (Server& server : servers_) {
                if (server.until <= now) {
                    server.until = never;
                    ++server.done;
                }
            }
        }
        if (of(Lane::cores).done != passes_.size() || of(Lane::store).done != drains_.size()) {
            throw std::logic_error("the simulation of a launch came to a stop before its end");
        }
        return time;
    }

private:
    struct Server {
        std::size_t done = 0;  // passes; of drain and store those that drain; of the controller groups
        double until = never;  // of the one at work
    };

    Server& of(Lane lane) { return servers_[static_cast<std::size_t>(lane)]; }

    void start(Lane lane, double now, double until) {
        Server& server = of(lane);
        server.until = until;
        if (timeline_ != nullptr) {
            timeline_->push_back({lane, now, until, static_cast<std::int64_t>(server.done)});
        }
    }

    [[nodiscard]] bool idle(Lane lane, std::size_t all) {
        return of(lane).until == never && of(lane).done < all;
    }

    // From the back to the front, so that what one server frees is seen by the one before.
    void start_all(double now) {
        if (idle(Lane::store, drains_.size())) {
            start_store(now);
        }
        if (idle(Lane::drain, drains_.size())) {
            start_drain(now);
        }
        if (idle(Lane::cores, passes_.size())) {
            start_cores(now);
        }
        if (idle(Lane::feed, passes_.size())) {
            start_feed(now);
        }
        if (idle(Lane::fetch, passes_.size())) {
            start_fetch(now);
        }
        if (idle(Lane::controller, launch_.groups.size())) {
            start_controller(now);
        }
    }

    // A group's descriptors are free again when its outputs are in DRAM.
    void start_controller(double now) {
        while (groups_complete_ < launch_.groups.size() &&
               of(Lane::cores).done >= passes_until_[groups_complete_] &&
               of(Lane::store).done >= drains_until_[groups_complete_]) {
            ++groups_complete_;
        }
        const std::size_t group = of(Lane::controller).done;
        if (group < groups_complete_ + groups_in_flight_) {
            const std::int64_t known = group == 0 ? tasks_of_a_call : 0;
            const std::int64_t tasks = std::max<std::int64_t>(0, launch_.groups[group].tasks - known);
            start(Lane::controller, now, now + double(tasks) * spec_.task_seconds);
        }
    }

    void start_fetch(double now) {
        const std::size_t pass = of(Lane::fetch).done;
        const std::size_t group = group_of_[pass];
        if (group >= of(Lane::controller).done || pass >= of(Lane::feed).done + staged_copies) {
            return;
        }
        const bool first_of_group = pass == 0 || group_of_[pass - 1] != group;
        const double cycles = pass == 0        ? spec_.first_task_start_cycles
                              : first_of_group ? spec_.task_start_cycles
                                               : 0;
        const ArrayPass& what = *passes_[pass];
        const double seconds = std::max(double(what.read_bytes) / spec_.dram_read_bytes_per_second,
                                        streamed(what.read_channel_bytes));
        start(Lane::fetch, now, through_dram(now, what.read_bytes, cycles / spec_.clock_hz + seconds));
    }

    void start_feed(double now) {
        const std::size_t pass = of(Lane::feed).done;
        const auto copies = static_cast<std::size_t>(launch_.input_copies);
        if (pass < of(Lane::fetch).done && pass < of(Lane::cores).done + copies) {
            start(Lane::feed, now, now + streamed(passes_[pass]->feed_bytes));
        }
    }

    void start_cores(double now) {
        const std::size_t pass = of(Lane::cores).done;
        const std::size_t drained = of(Lane::drain).done;
        const std::size_t before = drains_before_[pass];
        const bool drains = passes_[pass]->drain_bytes > 0;
        const bool room = launch_.output_in_accumulator
                              ? drained >= before
                              : !drains || drained + static_cast<std::size_t>(launch_.output_copies) > before;
        if (pass < of(Lane::feed).done && room) {
            start(Lane::cores, now, now + passes_[pass]->cycles / spec_.clock_hz);
        }
    }

    void start_drain(double now) {
        const std::size_t drain = of(Lane::drain).done;
        if (drains_[drain] < of(Lane::cores).done && drain < of(Lane::store).done + staged_copies) {
            start(Lane::drain, now, now + streamed(passes_[drains_[drain]]->drain_bytes));
        }
    }

    void start_store(double now) {
        const std::size_t store = of(Lane::store).done;
        if (store < of(Lane::drain).done) {
            const ArrayPass& what = *passes_[drains_[store]];
            const double seconds = std::max(double(what.write_bytes) / spec_.dram_write_bytes_per_second,
                                            streamed(what.write_channel_bytes));
            start(Lane::store, now, through_dram(now, what.write_bytes, seconds));
        }
    }

    [[nodiscard]] double streamed(std::int64_t bytes) const {
        return double(bytes) / spec_.stream_bytes_per_second();
    }

    // The end of a transfer that takes `seconds` by itself and shares DRAM with the other direction.
    double through_dram(double now, std::int64_t bytes, double seconds) {
        dram_free_ = std::max(now, dram_free_) + double(bytes) / spec_.dram_total_bytes_per_second;
        return std::max(now + seconds, dram_free_);
    }

    const ArrayLaunch& launch_;
    const DeviceSpec& spec_;
    std::vector<TimelineEvent>* timeline_;
    std::vector<const ArrayPass*> passes_;
    std::vector<std::size_t> group_of_;       // by pass
    std::vector<std::size_t> drains_;         // passes that put something out
    std::vector<std::size_t> drains_before_;  // by pass: how many before it
    std::vector<std::size_t> passes_until_;   // by group: passes until its end
    std::vector<std::size_t> drains_until_;
    std::size_t groups_in_flight_ = 1;
    std::size_t groups_complete_ = 0;
    double dram_free_ = 0;
    std::array<Server, lane_count> servers_;
};

}  // namespace

std::string_view name(Lane lane) {
    switch (lane) {
        case Lane::host:
            return "host";
        case Lane::controller:
            return "controller";
        case Lane::fetch:
            return "DRAM to memory tiles";
        case Lane::feed:
            return "memory tiles to cores";
        case Lane::cores:
            return "cores";
        case Lane::drain:
            return "cores to memory tiles";
        case Lane::store:
            break;
    }
    return "memory tiles to DRAM";
}

ArrayTime simulate(const ArrayLaunch& launch, const DeviceSpec& spec, std::vector<TimelineEvent>* timeline) {
    return LaunchSimulation(launch, spec, timeline).run();
}

}  // namespace npu_impl
