// SQLite for the history: a file that is checked before it is opened, statements, transactions.
#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "reports/history.hpp"

namespace reports {

// Header of the file, at the places that sqlite.org/fileformat2.html gives: who made it, and its schema.
inline constexpr std::int32_t history_application = 0x4E504148;  // "NPAH"
inline constexpr std::int32_t history_schema = 2;

// One piece per field of the environment's key, in its order: `form` is given the field's name.
std::string key_list(fmt::format_string<const std::string_view&> form, std::string_view between = ", ");

// How long a writer waits for another.
inline constexpr int busy_ms = 20'000;

// A prepared statement. Values are bound in order by `bind`, columns read by number from 0.
class HistoryStatement {
public:
    HistoryStatement(sqlite3* database, const std::string& file, std::string_view sql);

    // Begins anew, with nothing bound.
    HistoryStatement& reset();
    HistoryStatement& bind(std::string_view text);
    HistoryStatement& bind(std::int64_t number);
    HistoryStatement& bind(double number);                    // not a number becomes NULL
    HistoryStatement& bind(std::span<const double> numbers);  // NULL where there is none
    HistoryStatement& bind_null();

    // Whether there is a row.
    bool step();

    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] double real(int column) const;  // NULL is not a number
    [[nodiscard]] std::vector<double> reals(int column) const;
    [[nodiscard]] bool is_null(int column) const;

private:
    void check(int result) const;

    sqlite3* database_;
    const std::string& file_;
    std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement_;
    int bound_ = 0;
};

class HistoryDatabase {
public:
    // Throws HistoryError for what is no history, or damaged where it is to be written, without having
    // written to it.
    HistoryDatabase(std::string file, HistoryAccess access);

    [[nodiscard]] HistoryStatement statement(std::string_view sql) const;
    void execute(const std::string& sql) const;
    [[nodiscard]] const std::string& file() const { return file_; }

private:
    void create_schema() const;
    void require_undamaged() const;

    std::string file_;
    std::unique_ptr<sqlite3, int (*)(sqlite3*)> database_;
};

// Rolled back unless committed.
class HistoryTransaction {
public:
    explicit HistoryTransaction(const HistoryDatabase& database, const char* begin = "BEGIN IMMEDIATE");
    ~HistoryTransaction();
    HistoryTransaction(const HistoryTransaction&) = delete;
    HistoryTransaction& operator=(const HistoryTransaction&) = delete;

    void commit();

private:
    const HistoryDatabase& database_;
    bool open_ = true;
};

}  // namespace reports
