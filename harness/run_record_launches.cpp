// The serialiser of what a device with a clock says of time and of itself.
#include "harness/environment.hpp"
#include "harness/run_record_json.hpp"

namespace harness {

Json to_json(const LaunchTimes& times) {
    const auto part = [&](double seconds) {
        Json out = number(seconds, "s", kind_of(times.total.clock));
        out["clock"] = datasets::name(times.total.clock);
        return out;
    };
    return {{"total", to_json(times.total)},
            {"submit", part(times.split.submit_seconds)},
            {"wait", part(times.split.wait_seconds)},
            {"to_device", part(times.split.to_device_seconds)},
            {"from_device", part(times.split.from_device_seconds)},
            {"launches", counted(times.launches, "launches")},
            {"submissions", counted(times.split.submissions, "submissions")},
            {"context_switches", counted(times.split.switches, "switches")},
            {"warm_ups", counted(times.warm_ups, "runs")}};
}

Json to_json(const std::optional<NpuEnvironment>& npu) {
    if (!npu) {
        return nullptr;
    }
    return {
        {"name", npu->name}, {"hardware", npu->hardware}, {"power_mode", npu->power_mode},
        {"xrt", npu->xrt},   {"firmware", npu->firmware}, {"launches_at_once", npu->most_launches_at_once}};
}

}  // namespace harness
