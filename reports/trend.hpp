// One figure over the nights of a history: what the history yields and the page draws.
#pragma once

#include <string>
#include <vector>

namespace reports {

struct TrendPoint {
    std::string created_utc;  // of the run, ISO 8601
    std::string commit;
    double value = 0;  // not a number where the run has none
};

// Points in order of time, of one environment key, so that they may be compared.
struct Trend {
    std::string row;       // an op or a range of ops ("scores..context"), or the scope of a whole
    std::string quantity;  // with its unit: "CPU ms", "match %"
    std::string kind;      // measured, counted, modelled, computed
    std::vector<TrendPoint> points;
};

}  // namespace reports
