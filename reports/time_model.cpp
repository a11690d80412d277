#include "reports/time_model.hpp"

#include <fmt/format.h>

#include "reports/clean_text.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

std::string step_table(const harness::TimeModelNotes& notes) {
    std::string out = fmt::format(
        "modelled for {}: {}; 90% interval: a factor of {:.2f} either way, as measured on products\n",
        one_line(notes.device), one_line(notes.assumptions), notes.interval_factor);
    out += fmt::format("{:<22} {:>8} {:>19} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7} {}\n", "op, one layer",
                       "NPU ms", "interval", "launch", "transfer", "compute", "idle", "launches", "switches",
                       "% peak", "bound by");
    for (const harness::ModelledStep& step : notes.steps) {
        out += fmt::format(
            "{:<22} {:>8} {:>19} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7} {}\n",
            harness::range_name(step.ops), milliseconds(step.seconds),
            milliseconds(step.seconds / notes.interval_factor) + " .. " +
                milliseconds(step.seconds * notes.interval_factor),
            milliseconds(step.launch_seconds), milliseconds(step.transfer_seconds),
            milliseconds(step.compute_seconds), milliseconds(step.idle_seconds), step.launches, step.switches,
            step.share_of_peak > 0 ? fmt::format("{:.2f}", 100 * step.share_of_peak) : "-", step.bound);
    }
    return out;
}

std::string amdahl_table(const harness::TimeModelNotes& notes, const std::string& label) {
    if (notes.amdahl.empty()) {
        return {};
    }
    std::string out =
        fmt::format("\nwhat moving each op is worth, of {}; {}\n", one_line(notes.whole), one_line(label));
    out += fmt::format("{:<22} {:>8} {:>8} {:>14} {:>18}\n", "op", "share %", "speedup", "it alone",
                       "with those above");
    for (const harness::AmdahlLine& line : notes.amdahl) {
        out += fmt::format("{:<22} {:>8.1f} {:>8} {:>14} {:>18}\n", harness::range_name(line.ops),
                           100 * line.share, ratio(line.speedup), ratio(line.alone),
                           ratio(line.with_those_before));
    }
    return out;
}

}  // namespace

std::string time_model_table(const harness::RunRecord& record) {
    if (!record.time_model) {
        return {};
    }
    return step_table(*record.time_model) + amdahl_table(*record.time_model, record.speedup_label) + "\n";
}

}  // namespace reports
