#include "reports/launch_times.hpp"

#include <fmt/format.h>

#include "reports/clean_text.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

using harness::LaunchTimes;
using harness::StepTime;

constexpr auto columns = "{:<16} {:>8} {:>7} {:>8} {:>7} {:>8} {:>8} {:>6} {:>8} {:>8} {:>5}\n";

std::string line(const StepTime& step) {
    const LaunchTimes& times = *step.launch_times;
    const datasets::DeviceTime& split = times.split;
    const bool is_npu = times.total.clock == datasets::Clock::device_wall;
    return fmt::format(columns, harness::range_name(step.ops), milliseconds(times.total.seconds),
                       milliseconds(split.submit_seconds), milliseconds(split.wait_seconds),
                       milliseconds(split.to_device_seconds), milliseconds(split.from_device_seconds),
                       times.launches, split.submissions, split.switches,
                       milliseconds(step.npu_modelled.seconds),
                       is_npu && step.npu_modelled.seconds > 0
                           ? fmt::format("{:.2f}", times.total.seconds / step.npu_modelled.seconds)
                           : std::string("-"));
}

}  // namespace

std::string npu_lines(const harness::RunRecord& record) {
    const auto& npu = record.environment.npu;
    if (!npu) {
        return {};
    }
    return fmt::format("           {}, power mode {}; launches {}\n",
                       npu->hardware       ? one_line(npu->name)
                       : npu->name.empty() ? std::string("an NPU of no name: taken for an emulation of one")
                                           : one_line(npu->name) + ": an emulation, no hardware",
                       one_line(npu->power_mode),
                       npu->most_launches_at_once > 1
                           ? fmt::format("in lists of up to {}", npu->most_launches_at_once)
                           : std::string("one by one: this XRT has no run lists"));
}

std::string launch_table(const harness::RunRecord& record) {
    std::string lines;
    const LaunchTimes* any = nullptr;
    for (const harness::OpSummary& op : record.ops) {
        if (op.time && op.time->launch_times) {
            lines += line(*op.time);
            any = &*op.time->launch_times;
        }
    }
    if (any == nullptr) {
        return {};
    }
    const std::string whose =
        any->total.clock == datasets::Clock::device_wall
            ? std::string("host wall time inside the calls of the NPU")
            : std::string("host wall time inside the calls of an emulated NPU: it says nothing of hardware");
    return fmt::format("launch times of a layer: {}\n", whose) +
           fmt::format(columns, "op, ms", "total", "submit", "wait", "sync in", "sync out", "launches",
                       "calls", "switches", "modelled", "ratio") +
           lines +
           fmt::format(
               "calls: launches alone, and lists of them; ratio: measured / modelled; {} run(s) before "
               "to warm up;\nwithout what the host packs, unpacks and adds up; with the transfers of poison "
               "and guard zones\n\n",
               any->warm_ups);
}

}  // namespace reports
