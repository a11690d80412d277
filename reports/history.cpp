#include "reports/history.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "reports/history_database.hpp"
#include "reports/history_trends.hpp"

namespace reports {
namespace {

using harness::EnvironmentKey;
using harness::Figure;
using harness::KeyField;
using harness::RunFigures;

// "cpu, cores, ..." with `prefix` before each.
std::string key_columns(std::string_view prefix) {
    std::string out;
    for (const KeyField& field : harness::key_fields()) {
        out += fmt::format("{}{}{}", out.empty() ? "" : ", ", prefix, field.name);
    }
    return out;
}

std::string key_placeholders() {
    std::string out = "?";
    for (std::size_t i = 1; i < harness::key_fields().size(); ++i) {
        out += ", ?";
    }
    return out;
}

std::string key_condition() {
    std::string out;
    for (const KeyField& field : harness::key_fields()) {
        out += fmt::format("{}{} = ?", out.empty() ? "" : " AND ", field.name);
    }
    return out;
}

void bind_key(HistoryStatement& statement, const EnvironmentKey& key) {
    for (const KeyField& field : harness::key_fields()) {
        statement.bind(std::string_view(key.*field.value));
    }
}

std::optional<std::int64_t> environment_number(const HistoryDatabase& database, const EnvironmentKey& key) {
    HistoryStatement find = database.statement("SELECT id FROM environment WHERE " + key_condition());
    bind_key(find, key);
    return find.step() ? std::optional(find.integer(0)) : std::nullopt;
}

std::int64_t environment_of(const HistoryDatabase& database, const EnvironmentKey& key) {
    if (const auto number = environment_number(database, key)) {
        return *number;
    }
    HistoryStatement insert = database.statement(fmt::format(
        "INSERT INTO environment({}) VALUES({}) RETURNING id", key_columns(""), key_placeholders()));
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

std::optional<harness::Verdict> verdict_of(const std::string& word) {
    using harness::Verdict;
    for (const Verdict verdict : {Verdict::passed, Verdict::failed, Verdict::mistrusted, Verdict::not_run,
                                  Verdict::covered, Verdict::unstable}) {
        if (harness::name(verdict) == word) {
            return verdict;
        }
    }
    return std::nullopt;
}

// What the columns of every query for runs are.
std::string run_columns() {
    return "r.id, r.environment, r.figures, r.sha256, r.created, r.build, r.command, r.system, r.scope, "
           "r.verdict, r.exit_code, " +
           key_columns("e.");
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
    out.run.verdict = verdict_of(row.text(9)).value_or(harness::Verdict::not_run);
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

    State(const std::string& file, HistoryAccess access) : database(file, access) {}

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
    // The first day of the last `nights` on which the condition (of one environment and a time) holds.
    [[nodiscard]] std::string first_day(const char* condition, std::int64_t environment,
                                        const std::string& until, int nights) const {
        HistoryStatement query = database.statement(
            fmt::format("SELECT min(day) FROM (SELECT DISTINCT substr(created, 1, 10) AS day FROM run WHERE "
                        "environment = ? AND created <= ? AND {} ORDER BY day DESC LIMIT ?)",
                        condition));
        query.bind(environment).bind(std::string_view(until)).bind(std::int64_t{nights});
        query.step();
        return query.text(0);
    }
};

namespace {

void erase_compared(std::vector<HistoryRun>& runs, const BaselineFilter& filter) {
    std::erase_if(runs, [&](const HistoryRun& run) {
        return std::ranges::find(filter.without, run.run.sha256) != filter.without.end();
    });
}

constexpr const char* is_green = "verdict = 'passed' AND exit_code = 0";
constexpr const char* end_of_time = "9999";

}  // namespace

History::History(const std::string& file, HistoryAccess access)
    : state_(std::make_unique<State>(file, access)) {}

History::~History() = default;
History::History(History&&) noexcept = default;
History& History::operator=(History&&) noexcept = default;

bool History::add(const RunFigures& run) {
    const HistoryDatabase& database = state_->database;
    HistoryStatement check = database.statement("PRAGMA quick_check(1)");
    check.step();
    if (check.text(0) != "ok") {
        throw HistoryError(database.file(),
                           fmt::format("is damaged ({}); nothing was changed: restore a copy, "
                                       "or begin another file",
                                       check.text(0)));
    }
    check.reset();
    HistoryTransaction transaction(database);
    HistoryStatement known = database.statement("SELECT id FROM run WHERE sha256 = ?");
    known.bind(std::string_view(run.sha256));
    if (known.step()) {
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
    while (query.step()) {
        out.figures.push_back(
            {query.text(0), query.text(1), query.text(2), query.text(3), query.text(4),
             harness::parse_figure_kind(query.text(5)).value_or(harness::FigureKind::computed), query.real(6),
             query.reals(7), verdict_of(query.text(8))});
    }
    if (std::ssize(out.figures) != run.figures) {
        throw HistoryError(state_->database.file(),
                           fmt::format("run {} has {} of its {} figures: the file is damaged, restore a copy",
                                       run.number, out.figures.size(), run.figures));
    }
    return out;
}

std::vector<HistoryRun> History::green_nights(const BaselineFilter& filter, int nights) const {
    const auto environment = environment_number(state_->database, filter.key);
    if (!environment) {
        return {};
    }
    // A compared run may be in the history already; it must not use up a night.
    const std::string first = state_->first_day(is_green, *environment, filter.until_utc, nights + 1);
    HistoryStatement query = state_->query_where(
        fmt::format("r.environment = ? AND r.created >= ? AND r.created <= ? AND {}", is_green),
        "r.created, r.id");
    query.bind(*environment).bind(std::string_view(first)).bind(std::string_view(filter.until_utc));
    std::vector<HistoryRun> out = all_runs(query, state_->database.file());
    erase_compared(out, filter);
    std::string day;
    int seen = 0;
    auto begin = out.end();
    while (begin != out.begin()) {
        const std::string other = std::prev(begin)->run.created_utc.substr(0, 10);
        if (other != day && ++seen > nights) {
            break;
        }
        day = other;
        --begin;
    }
    out.erase(out.begin(), begin);
    return out;
}

std::vector<HistoryRun> History::of_commit(const BaselineFilter& filter, const std::string& commit) const {
    const auto environment = environment_number(state_->database, filter.key);
    if (!environment) {
        return {};
    }
    HistoryStatement query =
        state_->query_where("r.environment = ? AND substr(r.build, 1, length(?2)) = ?2", "r.created, r.id");
    query.bind(*environment).bind(std::string_view(commit));
    std::vector<HistoryRun> out = all_runs(query, state_->database.file());
    erase_compared(out, filter);
    return out;
}

std::optional<HistoryRun> History::latest(std::optional<std::int64_t> environment) const {
    HistoryStatement query =
        state_->query_where("?1 = 0 OR r.environment = ?1", "r.created DESC, r.id DESC LIMIT 1");
    query.bind(environment.value_or(0));
    return query.step() ? std::optional(run_of(query, state_->database.file())) : std::nullopt;
}

std::vector<std::int64_t> History::environments_with(const std::string& row) const {
    HistoryStatement query = state_->database.statement(
        "SELECT r.environment, max(r.created) AS last FROM run r WHERE EXISTS (SELECT 1 FROM series s JOIN "
        "figure f"
        " ON f.series = s.id AND f.run = r.id WHERE s.row = ?) GROUP BY r.environment ORDER BY last DESC");
    query.bind(std::string_view(row));
    std::vector<std::int64_t> out;
    while (query.step()) {
        out.push_back(query.integer(0));
    }
    return out;
}

std::vector<Trend> History::trends(std::int64_t environment, int nights, const TrendFilter& filter) const {
    const auto last = latest(environment);
    if (!last) {
        return {};
    }
    const std::string first = state_->first_day("1", environment, end_of_time, nights);
    return fold_trends(state_->database, {environment, first, last->run.scope}, filter);
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
