// SQLite for the history: its connection, statements, transactions.
#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reports/history.hpp"
#include "reports/history_file.hpp"

namespace reports {

// One piece per field of the environment's key, in its order: `form` is given the field's name.
std::string key_list(fmt::format_string<const std::string_view&> form, std::string_view between = ", ");

// How long a writer waits for another.
inline constexpr int busy_ms = 20'000;

class HistoryDatabase;

// For a word in the file that this program never writes.
HistoryError unknown_word(const std::string& file, const std::string& word);

// Throws HistoryError for a quantity that is not in harness::figure_quantities().
const harness::FigureQuantity& quantity_in(const std::string& file, const std::string& quantity);

// A prepared statement. Values are bound in order by `bind`, columns read by number from 0.
class HistoryStatement {
public:
    HistoryStatement(const HistoryDatabase& database, sqlite3* connection, std::string_view sql);

    // Begins anew, with nothing bound.
    HistoryStatement& reset();
    HistoryStatement& bind(std::string_view text);
    HistoryStatement& bind(std::int64_t number);
    HistoryStatement& bind(double number);                    // not a number becomes NULL
    HistoryStatement& bind(std::span<const double> numbers);  // NULL where there is none
    HistoryStatement& bind_null();

    // Whether there is a row. Throws HistoryError where there is none since somebody wrote to what is read
    // without locks: read to the end.
    bool step();

    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] double real(int column) const;  // NULL is not a number
    [[nodiscard]] std::vector<double> reals(int column) const;
    [[nodiscard]] bool is_null(int column) const;

private:
    const HistoryDatabase& database_;
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
    // Throws HistoryError for what SQLite returned, if it is an error.
    void check(int result) const;
    [[nodiscard]] const std::string& file() const { return file_; }

private:
    void create_schema() const;
    void switch_to_wal() const;
    void require_undamaged() const;

    std::string file_;
    std::optional<HistoryFileState> at_rest_;  // when reading began; none: SQLite's locks guard it
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
