#include "reports/history_trends.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace reports {
namespace {

// The figures of one row (?6; all rows without `of_row`): run by run through the index of environments and
// times, series by series through that of rows, and each figure by its key. The order of the joins is given,
// since without statistics SQLite would guess it.
std::string trend_query(bool of_row) {
    return fmt::format(
        "SELECT s.row, s.quantity, s.input, s.kind, r.id, f.value"
        " FROM run r CROSS JOIN series s CROSS JOIN figure f ON f.series = s.id AND f.run = r.id"
        " WHERE r.environment = ?1 AND r.created >= ?2 AND r.created <= ?3 AND r.scope = ?4"
        " AND (?5 = '' OR s.part = ?5){}",
        of_row ? " AND s.row = ?6" : "");
}

void bind_runs(HistoryStatement& query, const TrendRuns& runs) {
    query.bind(runs.environment)
        .bind(std::string_view(runs.first_day))
        .bind(std::string_view(runs.until_utc))
        .bind(std::string_view(runs.scope));
}

// One point of a trend, collected over parts and clips. Not a number once one of them is none.
struct Folded {
    double sum = 0;
    double worst = 0;
    int count = 0;

    void add(double value, harness::Better better) {
        sum += value;
        const bool worse = better == harness::Better::higher ? value < worst : value > worst;
        worst = count == 0 || worse || std::isnan(value) ? value : worst;
        ++count;
    }
};

// By number of the run.
using FoldedTrend = std::map<std::int64_t, Folded>;

struct TrendRun {
    std::int64_t number = 0;
    TrendPoint point;  // without its value
};

std::vector<TrendRun> runs_in_order(const HistoryDatabase& database, const TrendRuns& runs) {
    HistoryStatement query = database.statement(
        "SELECT id, created, build FROM run WHERE environment = ? AND created >= ? AND created <= ?"
        " AND scope = ? ORDER BY created, id");
    bind_runs(query, runs);
    std::vector<TrendRun> out;
    while (query.step()) {
        out.push_back({query.integer(0), {query.text(1), query.text(2), 0}});
    }
    return out;
}

}  // namespace

std::vector<Trend> fold_trends(const HistoryDatabase& database, const TrendRuns& runs,
                               const TrendFilter& filter) {
    HistoryStatement query = database.statement(trend_query(!filter.row.empty()));
    bind_runs(query, runs);
    query.bind(std::string_view(filter.part));
    if (!filter.row.empty()) {
        query.bind(std::string_view(filter.row));
    }
    std::map<std::tuple<std::string, std::string, std::string>, FoldedTrend> folded;
    while (query.step()) {
        const std::string name = query.text(1);
        const std::string input = query.text(2);
        const std::string shown = input.empty() ? name : fmt::format("{} ({})", name, input);
        folded[{query.text(0), shown, query.text(3)}][query.integer(4)].add(
            query.real(5), quantity_in(database.file(), name).better);
    }
    const std::vector<TrendRun> in_order = runs_in_order(database, runs);
    std::vector<Trend> out;
    for (const auto& [name, points] : folded) {
        const auto& [row, quantity, kind] = name;
        Trend trend{row, quantity, kind, {}};
        const bool computed = kind == harness::name(harness::FigureKind::computed);
        bool has_values = false;
        for (const TrendRun& run : in_order) {
            TrendPoint& point = trend.points.emplace_back(run.point);
            const auto found = points.find(run.number);
            point.value = found == points.end() ? std::numeric_limits<double>::quiet_NaN()
                          : computed            ? found->second.worst
                                                : found->second.sum / found->second.count;
            has_values = has_values || !std::isnan(point.value);
        }
        if (has_values) {
            out.push_back(std::move(trend));
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
