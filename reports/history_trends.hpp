// Trends out of the history's figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/history.hpp"
#include "reports/history_database.hpp"

namespace reports {

// Which runs: of one environment, created from this day up to this moment, of one
// scope.
struct TrendRuns {
    std::int64_t environment = 0;
    std::string first_day;
    std::string until_utc;
    std::string scope;
};

// As History::trends describes them.
std::vector<Trend> fold_trends(const HistoryDatabase& database, const TrendRuns& runs,
                               const TrendFilter& filter);

// The steps in which SQLite finds the figures of one row, in its own words.
std::vector<std::string> plan_of_trends(const HistoryDatabase& database);

}  // namespace reports
