#include "reports/history_trends.hpp"

#include <fmt/format.h>

#include <map>
#include <tuple>

namespace reports {
namespace {

// The figures of one row (?6; all rows without `of_row`): run by run through the index of environments and
// times, series by series through that of rows, and each figure by its key. The order of the joins is given,
// since without statistics SQLite would guess it.
std::string trend_query(bool of_row) {
    return fmt::format(
        "SELECT s.row, s.quantity, s.input, s.kind, r.created, r.build, r.id, f.value"
        " FROM run r CROSS JOIN series s CROSS JOIN figure f ON f.series = s.id AND f.run = r.id"
        " WHERE r.environment = ?1 AND r.created >= ?2 AND r.created <= ?3 AND r.scope = ?4"
        " AND (?5 = '' OR s.part = ?5) AND f.value IS NOT NULL{}",
        of_row ? " AND s.row = ?6" : "");
}

// One point of a trend, collected over parts and clips.
struct Folded {
    std::string build;
    double sum = 0;
    double worst = 0;
    int count = 0;

    void add(double value, harness::Better better) {
        sum += value;
        const bool worse = better == harness::Better::higher ? value < worst : value > worst;
        worst = count == 0 || worse ? value : worst;
        ++count;
    }
};

// By created and number of the run, so that points come in order of time.
using FoldedTrend = std::map<std::pair<std::string, std::int64_t>, Folded>;

}  // namespace

std::vector<Trend> fold_trends(const HistoryDatabase& database, const TrendRuns& runs,
                               const TrendFilter& filter) {
    HistoryStatement query = database.statement(trend_query(!filter.row.empty()));
    query.bind(runs.environment)
        .bind(std::string_view(runs.first_day))
        .bind(std::string_view(runs.until_utc))
        .bind(std::string_view(runs.scope))
        .bind(std::string_view(filter.part));
    if (!filter.row.empty()) {
        query.bind(std::string_view(filter.row));
    }
    std::map<std::tuple<std::string, std::string, std::string>, FoldedTrend> folded;
    while (query.step()) {
        const std::string name = query.text(1);
        const std::string input = query.text(2);
        const std::string shown = input.empty() ? name : fmt::format("{} ({})", name, input);
        Folded& point = folded[{query.text(0), shown, query.text(3)}][{query.text(4), query.integer(6)}];
        point.build = query.text(5);
        point.add(query.real(7), quantity_in(database.file(), name).better);
    }
    std::vector<Trend> out;
    for (const auto& [name, points] : folded) {
        const auto& [row, quantity, kind] = name;
        Trend& trend = out.emplace_back(Trend{row, quantity, kind, {}});
        const bool computed = kind == harness::name(harness::FigureKind::computed);
        for (const auto& [run, point] : points) {
            trend.points.push_back(
                {run.first, point.build, computed ? point.worst : point.sum / point.count});
        }
    }
    return out;
}

std::vector<std::string> plan_of_trends(const HistoryDatabase& database) {
    HistoryStatement query = database.statement("EXPLAIN QUERY PLAN " + trend_query(true));
    std::vector<std::string> out;
    while (query.step()) {
        out.push_back(query.text(3));
    }
    return out;
}

}  // namespace reports
