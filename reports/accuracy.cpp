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
            return fmt::format("{:>9} {:>9} {:>5}  {:<20}", "-", "-", "-", "");
        }
        const auto rms = [this](double squares) { return std::sqrt(squares / rows); };
        const std::string room = least != nullptr ? fmt::format("{:.1f}", least->decibel) : "-";
        return fmt::format("{:>9.2e} {:>9.2e} {:>5}  {:<20.20}", rms(predicted), rms(measured), room,
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
            out += fmt::format("{:<14} {} {}\n", datasets::name(op.op), isolated.text(), chained.text());
        }
    }
    if (out.empty()) {
        return out;
    }
    return fmt::format("{:<14} {:>9} {:>9} {:>5}  {:<20} {:>9} {:>9} {:>5}\n", "error, op", "isolated", "",
                       "", "", "chained", "", "") +
           fmt::format("{:<14} {:>9} {:>9} {:>5}  {:<20} {:>9} {:>9} {:>5}  {}\n", "", "predicted",
                       "measured", "dB", "to the limit of", "predicted", "measured", "dB",
                       "to the limit of") +
           out +
           "errors: relative to the golden, rms over the layers; predicted from the declared arithmetic\n\n";
}

}  // namespace reports
