#include "reports/history_database.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "reports/clean_text.hpp"

namespace reports {
namespace {

// Identity of a figure in `series`, of a place in `environment`: what many rows share is kept once. figure is
// clustered by series, so that the nights of one row lie together; figure_of_run is for whole runs.
std::string schema() {
    return fmt::format(
        "CREATE TABLE environment(id INTEGER PRIMARY KEY, {}, UNIQUE({})) STRICT;"
        "CREATE TABLE run(id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, created TEXT NOT NULL,"
        " build TEXT NOT NULL, command TEXT NOT NULL, system TEXT NOT NULL, scope TEXT NOT NULL,"
        " verdict TEXT NOT NULL, exit_code INTEGER NOT NULL, figures INTEGER NOT NULL,"
        " environment INTEGER NOT NULL REFERENCES environment(id)) STRICT;"
        "CREATE INDEX run_of_environment ON run(environment, created);"
        "CREATE INDEX run_of_time ON run(created);"
        "CREATE TABLE series(id INTEGER PRIMARY KEY, row TEXT NOT NULL, part TEXT NOT NULL,"
        " clip TEXT NOT NULL, input TEXT NOT NULL, quantity TEXT NOT NULL, kind TEXT NOT NULL,"
        " UNIQUE(row, part, clip, input, quantity, kind)) STRICT;"
        "CREATE TABLE figure(series INTEGER NOT NULL REFERENCES series(id),"
        " run INTEGER NOT NULL REFERENCES run(id), value REAL, samples BLOB, verdict TEXT,"
        " PRIMARY KEY(series, run)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX figure_of_run ON figure(run);"
        "PRAGMA application_id = {}; PRAGMA user_version = {};",
        key_list("{} TEXT NOT NULL"), key_list("{}"), history_application, history_schema);
}

std::string damage(std::string_view words) {
    return fmt::format("is damaged ({}); nothing was changed: restore a copy, or begin another file", words);
}

// In SQLite's words and the system's.
std::string cause_of(sqlite3* database, int result) {
    const std::string words = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(result);
    const int system = database != nullptr ? sqlite3_system_errno(database) : 0;
    return system == 0 ? words : fmt::format("{}: {}", words, std::strerror(system));
}

std::string reason_of(sqlite3* database, int result, const std::string& file) {
    switch (result & 0xFF) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return fmt::format("another process has held it for {} s: try again", busy_ms / 1000);
        case SQLITE_FULL:
            return "the disk is full; nothing was changed";
        case SQLITE_IOERR:
            return fmt::format(
                "cannot be read or written ({}); nothing was changed: mend that, or name another "
                "file with --history",
                cause_of(database, result));
        case SQLITE_ERROR:  // of our own words, so that something is missing that they are about
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return damage(cause_of(database, result));
        case SQLITE_READONLY:
        case SQLITE_PERM:
            return history_write_hindrance(file);
        case SQLITE_CANTOPEN:
            return fmt::format(
                "cannot be opened ({}): give access to it and its folder, or name another file "
                "with --history",
                cause_of(database, result));
        default:
            return fmt::format("{}; nothing was changed: try again, or name another file with --history",
                               cause_of(database, result));
    }
}

}  // namespace

HistoryError::HistoryError(const std::string& file, const std::string& reason)
    : std::runtime_error(one_line(fmt::format("{}: history: {}", file, reason))) {}

std::string key_list(fmt::format_string<const std::string_view&> form, std::string_view between) {
    std::vector<std::string> pieces;
    for (const harness::KeyField& field : harness::key_fields()) {
        pieces.push_back(fmt::format(form, field.name));
    }
    return fmt::format("{}", fmt::join(pieces, between));
}

HistoryError unknown_word(const std::string& file, const std::string& word) {
    return {file,
            fmt::format("'{}' is no word of this program's: a newer one wrote it, or the file is damaged; "
                        "use that one, or restore a copy",
                        word)};
}

const harness::FigureQuantity& quantity_in(const std::string& file, const std::string& quantity) {
    try {
        return harness::figure_quantity(quantity);
    } catch (const std::invalid_argument&) {
        throw unknown_word(file, quantity);
    }
}

HistoryStatement::HistoryStatement(const HistoryDatabase& database, sqlite3* connection, std::string_view sql)
    : database_(database), statement_(nullptr, sqlite3_finalize) {
    sqlite3_stmt* raw = nullptr;
    const int result =
        sqlite3_prepare_v2(connection, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
    statement_.reset(raw);
    database_.check(result);
}

HistoryStatement& HistoryStatement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    bound_ = 0;
    return *this;
}

HistoryStatement& HistoryStatement::bind(std::string_view text) {
    database_.check(sqlite3_bind_text(statement_.get(), ++bound_, text.data(), static_cast<int>(text.size()),
                                      SQLITE_TRANSIENT));
    return *this;
}

HistoryStatement& HistoryStatement::bind(std::int64_t number) {
    database_.check(sqlite3_bind_int64(statement_.get(), ++bound_, number));
    return *this;
}

HistoryStatement& HistoryStatement::bind(double number) {
    database_.check(sqlite3_bind_double(statement_.get(), ++bound_, number));
    return *this;
}

HistoryStatement& HistoryStatement::bind(std::span<const double> numbers) {
    if (numbers.empty()) {
        return bind_null();
    }
    database_.check(sqlite3_bind_blob(statement_.get(), ++bound_, numbers.data(),
                                      static_cast<int>(numbers.size_bytes()), SQLITE_TRANSIENT));
    return *this;
}

HistoryStatement& HistoryStatement::bind_null() {
    database_.check(sqlite3_bind_null(statement_.get(), ++bound_));
    return *this;
}

bool HistoryStatement::step() {
    const int result = sqlite3_step(statement_.get());
    database_.check(result);
    return result == SQLITE_ROW;
}

std::string HistoryStatement::text(int column) const {
    const auto* bytes = sqlite3_column_blob(statement_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return size == 0 ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

std::int64_t HistoryStatement::integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

double HistoryStatement::real(int column) const {
    return is_null(column) ? std::numeric_limits<double>::quiet_NaN()
                           : sqlite3_column_double(statement_.get(), column);
}

std::vector<double> HistoryStatement::reals(int column) const {
    const auto* bytes = sqlite3_column_blob(statement_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    std::vector<double> out(size / sizeof(double));
    if (!out.empty()) {
        std::memcpy(out.data(), bytes, out.size() * sizeof(double));
    }
    return out;
}

bool HistoryStatement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

HistoryDatabase::HistoryDatabase(std::string file, HistoryAccess access)
    : file_(std::move(file)), database_(nullptr, sqlite3_close_v2) {
    refuse_foreign(file_, access);
    if (access == HistoryAccess::write) {
        std::error_code error;
        const auto folder = std::filesystem::path(file_).parent_path();
        std::filesystem::create_directories(folder, error);
        if (error && !folder.empty()) {
            throw HistoryError(file_, fmt::format("its folder cannot be created: {}", error.message()));
        }
    }
    const HistoryOpening opening = history_opening(file_, access);
    at_rest_ = opening.at_rest;
    sqlite3* raw = nullptr;
    const int result = sqlite3_open_v2(opening.name.c_str(), &raw, opening.flags, nullptr);
    database_.reset(raw);
    check(result);
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, busy_ms);
    if (access == HistoryAccess::write) {
        create_schema();
        require_undamaged();
        switch_to_wal();
        execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    } else {
        execute("PRAGMA query_only = ON");
    }
}

void HistoryDatabase::check(int result) const {
    if (result == SQLITE_OK || result == SQLITE_ROW) {
        return;
    }
    if (at_rest_ && *at_rest_ != history_file_state(file_)) {
        throw HistoryError(file_, "was written while it was read: try again");
    }
    if (result != SQLITE_DONE) {
        throw HistoryError(file_, reason_of(database_.get(), result, file_));
    }
}

HistoryStatement HistoryDatabase::statement(std::string_view sql) const {
    return {*this, database_.get(), sql};
}

void HistoryDatabase::execute(const std::string& sql) const {
    check(sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

// Before the file is switched to WAL, so that its header is in its first bytes for refuse_foreign to read.
void HistoryDatabase::create_schema() const {
    const auto is_new = [this] {
        HistoryStatement objects = statement("SELECT count(*) FROM sqlite_schema");
        objects.step();
        return objects.integer(0) == 0;
    };
    if (!is_new()) {
        return;
    }
    HistoryTransaction transaction(*this, "BEGIN EXCLUSIVE");
    if (is_new()) {  // still, now that nobody else creates it
        execute(schema());
    }
    transaction.commit();
}

// Where several switch a new file at the same time, SQLite tells all but one of them at once that it is busy
// instead of waiting: they could wait for each other.
void HistoryDatabase::switch_to_wal() const {
    constexpr std::chrono::milliseconds pause{5};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(busy_ms);
    int result = SQLITE_BUSY;
    while ((result = sqlite3_exec(database_.get(), "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr)) ==
               SQLITE_BUSY &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(pause);
    }
    check(result);
}

void HistoryDatabase::require_undamaged() const {
    HistoryStatement check = statement("PRAGMA quick_check(1)");
    check.step();
    if (const std::string found = check.text(0); found != "ok") {
        throw HistoryError(file_, damage(found));
    }
}

HistoryTransaction::HistoryTransaction(const HistoryDatabase& database, const char* begin)
    : database_(database) {
    database_.execute(begin);
}

HistoryTransaction::~HistoryTransaction() {
    if (open_) {
        try {
            database_.execute("ROLLBACK");
        } catch (const HistoryError&) {
            // Some errors roll back by themselves; the journal undoes the rest at the next opening.
        }
    }
}

void HistoryTransaction::commit() {
    database_.execute("COMMIT");
    open_ = false;
}

}  // namespace reports
