#include "reports/history.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/commit_name.hpp"
#include "reports/history_database.hpp"
#include "reports/history_trends.hpp"

namespace reports {
namespace {

using harness::EnvironmentKey;
using harness::Figure;
using harness::KeyField;
using harness::RunFigures;

void bind_key(HistoryStatement& statement, const EnvironmentKey& key) {
    for (const KeyField& field : harness::key_fields()) {
        statement.bind(std::string_view(key.*field.value));
    }
}

std::optional<std::int64_t> environment_number(const HistoryDatabase& database, const EnvironmentKey& key) {
    HistoryStatement find =
        database.statement("SELECT id FROM environment WHERE " + key_list("{} = ?", " AND "));
    bind_key(find, key);
    return find.step() ? std::optional(find.integer(0)) : std::nullopt;
}

std::int64_t environment_of(const HistoryDatabase& database, const EnvironmentKey& key) {
    if (const auto number = environment_number(database, key)) {
        return *number;
    }
    HistoryStatement insert = database.statement(
        fmt::format("INSERT INTO environment({}) VALUES({}) RETURNING id", key_list("{}"), key_list("?")));
    bind_key(insert, key);
    insert.step();
    return insert.integer(0);
}

std::int64_t add_run(const HistoryDatabase& database, const RunFigures& run) {
    HistoryStatement insert = database.statement(
        "INSERT INTO run(sha256, created, build, command, system, scope, verdict, exit_code, figures, "
        "environment) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id");
    insert.bind(std::string_view(run.sha256))
        .bind(std::string_view(run.created_utc))
        .bind(std::string_view(run.commit))
        .bind(std::string_view(run.command))
        .bind(std::string_view(run.system))
        .bind(std::string_view(run.scope))
        .bind(harness::name(run.verdict))
        .bind(std::int64_t{run.exit_code})
        .bind(std::int64_t(run.figures.size()))
        .bind(environment_of(database, run.key));
    insert.step();
    const std::int64_t number = insert.integer(0);
    insert.step();
    return number;
}

void bind_series(HistoryStatement& statement, const Figure& figure) {
    statement.bind(std::string_view(figure.row))
        .bind(std::string_view(figure.part))
        .bind(std::string_view(figure.clip))
        .bind(std::string_view(figure.input))
        .bind(std::string_view(figure.quantity))
        .bind(harness::name(figure.kind));
}

void add_figures(const HistoryDatabase& database, std::int64_t run, const std::vector<Figure>& figures) {
    HistoryStatement find = database.statement(
        "SELECT id FROM series WHERE row = ? AND part = ? AND clip = ? AND input = ? AND quantity = ? AND "
        "kind = ?");
    HistoryStatement name = database.statement(
        "INSERT INTO series(row, part, clip, input, quantity, kind) VALUES(?, ?, ?, ?, ?, ?) RETURNING id");
    HistoryStatement insert =
        database.statement("INSERT INTO figure(series, run, value, samples, verdict) VALUES(?, ?, ?, ?, ?)");
    for (const Figure& figure : figures) {
        bind_series(find.reset(), figure);
        std::int64_t series = 0;
        if (find.step()) {
            series = find.integer(0);
        } else {
            bind_series(name.reset(), figure);
            name.step();
            series = name.integer(0);
            name.step();
        }
        insert.reset()
            .bind(series)
            .bind(run)
            .bind(figure.value)
            .bind(std::span<const double>(figure.samples));
        if (figure.verdict) {
            insert.bind(harness::name(*figure.verdict));
        } else {
            insert.bind_null();
        }
        insert.step();
    }
}

// Of a word that this program wrote.
template <typename Value>
Value known(std::optional<Value> value, const std::string& word, const std::string& file) {
    if (!value) {
        throw unknown_word(file, word);
    }
    return *value;
}

// What the columns of every query for runs are.
std::string run_columns() {
    return "r.id, r.environment, r.figures, r.sha256, r.created, r.build, r.command, r.system, r.scope, "
           "r.verdict, r.exit_code, " +
           key_list("e.{}");
}

constexpr int first_key_column = 11;

HistoryRun run_of(const HistoryStatement& row, const std::string& file) {
    HistoryRun out;
    out.number = row.integer(0);
    out.environment = row.integer(1);
    out.figures = row.integer(2);
    out.run.file = fmt::format("run {} of {}", out.number, file);
    out.run.sha256 = row.text(3);
    out.run.created_utc = row.text(4);
    out.run.commit = row.text(5);
    out.run.command = row.text(6);
    out.run.system = row.text(7);
    out.run.scope = row.text(8);
    out.run.verdict = known(harness::parse_verdict(row.text(9)), row.text(9), file);
    out.run.exit_code = static_cast<int>(row.integer(10));
    int column = first_key_column;
    for (const KeyField& field : harness::key_fields()) {
        out.run.key.*field.value = row.text(column++);
    }
    return out;
}

std::vector<HistoryRun> all_runs(HistoryStatement& query, const std::string& file) {
    std::vector<HistoryRun> out;
    while (query.step()) {
        out.push_back(run_of(query, file));
    }
    return out;
}

}  // namespace

struct History::State {
    HistoryDatabase database;
    std::optional<HistoryTransaction> snapshot;  // of a reader

    State(const std::string& file, HistoryAccess access) : database(file, access) {
        if (access == HistoryAccess::read) {
            snapshot.emplace(database, "BEGIN");
        }
    }

    [[nodiscard]] std::vector<HistoryRun> runs_where(const std::string& condition,
                                                     const std::string& order) const {
        HistoryStatement query = query_where(condition, order);
        return all_runs(query, database.file());
    }
    [[nodiscard]] HistoryStatement query_where(const std::string& condition, const std::string& order) const {
        return database.statement(fmt::format(
            "SELECT {} FROM run r JOIN environment e ON e.id = r.environment WHERE {} ORDER BY {}",
            run_columns(), condition, order));
    }
    // Removes runs, and what is of no other run. Returns how many.
    [[nodiscard]] std::int64_t remove(const std::string& which) const {
        HistoryTransaction transaction(database);
        HistoryStatement count = database.statement("SELECT count(*) FROM run WHERE " + which);
        count.step();
        const std::int64_t removed = count.integer(0);
        count.reset();
        database.execute(
            fmt::format("DELETE FROM figure WHERE run IN (SELECT id FROM run WHERE {0});"
                        "DELETE FROM run WHERE {0};"
                        "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM figure WHERE series = id);"
                        "DELETE FROM environment WHERE NOT EXISTS (SELECT 1 FROM run WHERE "
                        "environment = environment.id)",
                        which));
        transaction.commit();
        return removed;
    }
    // The runs in an environment up to a moment, the latest first.
    [[nodiscard]] HistoryStatement runs_until(std::int64_t environment, const std::string& until,
                                              const std::string& condition) const {
        HistoryStatement query =
            query_where("r.environment = ? AND r.created <= ? AND " + condition, "r.created DESC, r.id DESC");
        query.bind(environment).bind(std::string_view(until));
        return query;
    }
    [[nodiscard]] std::vector<Trend> trends_until(std::int64_t environment, const std::string& scope,
                                                  const std::string& until, int nights,
                                                  const TrendFilter& filter) const {
        HistoryStatement days = database.statement(
            "SELECT min(day) FROM (SELECT DISTINCT substr(created, 1, 10) AS day FROM run"
            " WHERE environment = ? AND created <= ? AND scope = ? ORDER BY day DESC LIMIT ?)");
        days.bind(environment).bind(std::string_view(until)).bind(std::string_view(scope));
        days.bind(std::int64_t{nights});
        days.step();
        return fold_trends(database, {environment, days.text(0), until, scope}, filter);
    }
};

namespace {

bool is_compared(const HistoryRun& run, const BaselineFilter& filter) {
    return std::ranges::find(filter.without, run.run.sha256) != filter.without.end();
}

constexpr const char* is_green = "r.verdict IN ('passed', 'accepted') AND r.exit_code = 0";
constexpr const char* end_of_time = "9999";

}  // namespace

History::History(const std::string& file, HistoryAccess access)
    : state_(std::make_unique<State>(file, access)) {}

History::~History() = default;
History::History(History&&) noexcept = default;
History& History::operator=(History&&) noexcept = default;

bool History::add(const RunFigures& run) {
    const HistoryDatabase& database = state_->database;
    HistoryTransaction transaction(database);
    HistoryStatement same = database.statement("SELECT id FROM run WHERE sha256 = ?");
    same.bind(std::string_view(run.sha256));
    if (same.step()) {
        return false;
    }
    add_figures(database, add_run(database, run), run.figures);
    transaction.commit();
    return true;
}

std::vector<HistoryRun> History::runs(std::int64_t most) const {
    std::vector<HistoryRun> out =
        state_->runs_where("1", most > 0 ? fmt::format("r.created DESC, r.id DESC LIMIT {}", most)
                                         : std::string("r.created DESC, r.id DESC"));
    std::ranges::reverse(out);
    return out;
}

RunFigures History::with_figures(const HistoryRun& run) const {
    RunFigures out = run.run;
    HistoryStatement query = state_->database.statement(
        "SELECT s.row, s.part, s.clip, s.input, s.quantity, s.kind, f.value, f.samples, f.verdict"
        " FROM figure f JOIN series s ON s.id = f.series WHERE f.run = ? ORDER BY s.id");
    query.bind(run.number);
    const std::string& file = state_->database.file();
    while (query.step()) {
        Figure figure{query.text(0),
                      query.text(1),
                      query.text(2),
                      query.text(3),
                      query.text(4),
                      known(harness::parse_figure_kind(query.text(5)), query.text(5), file),
                      query.real(6),
                      query.reals(7),
                      {}};
        (void)quantity_in(file, figure.quantity);
        if (!query.is_null(8)) {
            figure.verdict = known(harness::parse_verdict(query.text(8)), query.text(8), file);
        }
        out.figures.push_back(std::move(figure));
    }
    if (std::ssize(out.figures) != run.figures) {
        throw HistoryError(file,
                           fmt::format("run {} has {} of its {} figures: the file is damaged, restore a copy",
                                       run.number, out.figures.size(), run.figures));
    }
    return out;
}

std::vector<HistoryRun> History::green_nights(const BaselineFilter& filter, int nights) const {
    std::vector<HistoryRun> out;
    const auto environment = environment_number(state_->database, filter.key);
    if (!environment) {
        return out;
    }
    HistoryStatement query = state_->runs_until(*environment, filter.until_utc, is_green);
    int seen = 0;
    while (query.step()) {
        HistoryRun run = run_of(query, state_->database.file());
        if (is_compared(run, filter)) {
            continue;  // in the history already: uses up no night
        }
        if ((out.empty() || day_of(run.run) != day_of(out.back().run)) && ++seen > nights) {
            break;
        }
        out.push_back(std::move(run));
    }
    std::ranges::reverse(out);
    return out;
}

std::vector<HistoryRun> History::of_commit(const BaselineFilter& filter, const std::string& commit) const {
    std::vector<HistoryRun> out;
    const auto environment = environment_number(state_->database, filter.key);
    if (!environment) {
        return out;
    }
    HistoryStatement query = state_->runs_until(*environment, end_of_time, "1");
    while (query.step()) {
        HistoryRun run = run_of(query, state_->database.file());
        if (!is_of_commit(run.run.commit, commit) || is_compared(run, filter)) {
            continue;
        }
        if (!out.empty() && commit_name(out.back().run.commit) != commit_name(run.run.commit)) {
            throw HistoryError(state_->database.file(),
                               fmt::format("{} may be {} or {}: give more digits", commit,
                                           out.back().run.commit, run.run.commit));
        }
        out.push_back(std::move(run));
    }
    std::ranges::reverse(out);
    return out;
}

std::optional<HistoryRun> History::latest() const {
    const std::vector<HistoryRun> found = runs(1);
    return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<HistoryRun> History::latest_with(const TrendFilter& filter) const {
    HistoryStatement query = state_->query_where(
        "EXISTS (SELECT 1 FROM series s JOIN figure f ON f.series = s.id AND f.run = r.id"
        " WHERE s.row = ?1 AND (?2 = '' OR s.part = ?2))",
        "r.created DESC, r.id DESC");
    query.bind(std::string_view(filter.row)).bind(std::string_view(filter.part));
    std::vector<HistoryRun> out;
    while (query.step()) {
        HistoryRun run = run_of(query, state_->database.file());
        if (std::ranges::find(out, run.environment, &HistoryRun::environment) == out.end()) {
            out.push_back(std::move(run));
        }
    }
    return out;
}

std::vector<std::string> History::parts_of(const std::string& row) const {
    HistoryStatement query =
        state_->database.statement("SELECT part FROM series WHERE row = ? GROUP BY part ORDER BY min(id)");
    query.bind(std::string_view(row));
    std::vector<std::string> out;
    while (query.step()) {
        out.push_back(query.text(0));
    }
    return out;
}

std::vector<Trend> History::trends(const HistoryRun& last, int nights, const TrendFilter& filter) const {
    return state_->trends_until(last.environment, last.run.scope, last.run.created_utc, nights, filter);
}

std::vector<Trend> History::trends_like(const RunFigures& run, int nights) const {
    const auto environment = environment_number(state_->database, run.key);
    return environment ? state_->trends_until(*environment, run.scope, run.created_utc, nights, {})
                       : std::vector<Trend>();
}

std::int64_t History::prune_older_than(int days, const std::string& now_utc) {
    HistoryStatement limit = state_->database.statement("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?, ?)");
    limit.bind(std::string_view(now_utc)).bind(std::string_view(fmt::format("-{} days", days)));
    limit.step();
    return state_->remove(fmt::format("created < '{}'", limit.text(0)));
}

std::int64_t History::prune_to(std::int64_t most) {
    return state_->remove(
        fmt::format("id NOT IN (SELECT id FROM run ORDER BY created DESC, id DESC LIMIT {})", most));
}

}  // namespace reports
