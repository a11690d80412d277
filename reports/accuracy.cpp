#include "reports/accuracy.hpp"

#include <fmt/format.h>

#include <cmath>

namespace reports {
namespace {

// One op over all rows of one input.
struct Line {
    int rows = 0;
    double predicted = 0;  // mean squares
    double measured = 0;
    const harness::Headroom* least = nullptr;  // to a gated limit

    void add(const harness::OpRow& row) {
        const harness::ZStatistics& z = *row.statistics->z;
        ++rows;
        predicted += z.predicted_error * z.predicted_error;
        measured += z.measured_error * z.measured_error;
        for (const harness::Headroom& headroom : row.headroom) {
            const bool gated = harness::limit(headroom.quantity).gated;
            if (gated && (least == nullptr || headroom.decibel < least->decibel)) {
                least = &headroom;
            }
        }
    }

    [[nodiscard]] std::string text() const {
        if (rows == 0) {
            return fmt::format("{:>9} {:>8} {:>5} {:<18}", "-", "-", "-", "");
        }
        const auto rms = [this](double squares) { return std::sqrt(squares / rows); };
        const std::string room = least != nullptr ? fmt::format("{:.1f}", least->decibel) : "-";
        return fmt::format("{:>9.2e} {:>8.2e} {:>5} {:<18}", rms(predicted), rms(measured), room,
                           least != nullptr ? harness::limit(least->quantity).name : "");
    }
};

}  // namespace

std::string accuracy_table(const harness::RunRecord& record) {
    std::string out;
    for (const harness::OpSummary& op : record.ops) {
        Line isolated;
        Line chained;
        for (const harness::OpRow& row : record.rows) {
            if (row.op == op.op && row.statistics && row.statistics->z) {
                (row.input == harness::Input::isolated ? isolated : chained).add(row);
            }
        }
        if (isolated.rows + chained.rows > 0) {
            const std::string line =
                fmt::format("{:<13} {} {}", datasets::name(op.op), isolated.text(), chained.text());
            out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
        }
    }
    if (out.empty()) {
        return out;
    }
    return fmt::format("{:<13} {:<43} chained\n", "error against", "isolated") +
           fmt::format("{:<13} {:>9} {:>8} {:>5} {:<18} {:>9} {:>8} {:>5} {}\n", "the golden", "predicted",
                       "measured", "dB", "to the limit of", "predicted", "measured", "dB",
                       "to the limit of") +
           out +
           "errors: relative, rms over the layers; predicted from the declared arithmetic; dB: headroom\n\n";
}

}  // namespace reports
