#include "harness/kernel_gate/tile_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "harness/bounds.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

// As the gate of whole layers (harness/gate.cpp): directed rounding shows in this share of the stores.
constexpr double directed_share = 0.98;
constexpr int fewest_stores = 128;

float element(Type type, const std::byte* at) {
    if (type == Type::f32) {
        float value = 0;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    datasets::bf16 value{};
    std::memcpy(&value.bits, at, sizeof value.bits);
    return datasets::to_float(value);
}

// A unit in the last place of bf16, and what a core flushes to zero.
double bf16_unit_of(double value) {
    return std::max(std::ldexp(1.0, std::ilogb(std::max(0x1p-126, value)) - 7), 0x1p-126);
}

// What the contract allows of the elements of one operand.
class Law {
public:
    Law(const TileCase& one, const Operand& operand, const Expectation& expected)
        : expected_(expected),
          store_(operand.type == Type::bf16 ? one.rounding : std::optional<Rounding>()) {}

    [[nodiscard]] bool allows(double got, std::size_t i) const {
        const double value = expected_.value[i];
        const double error = expected_.error[i];
        if (std::isinf(error)) {
            return true;
        }
        if (std::isnan(value) || std::isnan(got)) {
            return std::isnan(value) && std::isnan(got);
        }
        if (std::isinf(value) || std::isinf(got)) {
            return got == value;
        }
        const bool signed_zero = got == 0 && std::signbit(got) && expected_.zeros_are_positive;
        return !signed_zero && near(got, i) &&
               (!store_ || stores_between(value - error, value + error, *store_).allows(got));
    }

    // Allowed by this or another rounding of the store.
    [[nodiscard]] bool near(double got, std::size_t i) const {
        return std::abs(got - expected_.value[i]) <= reach(i);
    }

    [[nodiscard]] double reach(std::size_t i) const {
        const double error = expected_.error[i];
        return error + (store_ ? bf16_unit_of(std::abs(expected_.value[i]) + error) : 0);
    }

    [[nodiscard]] double excess(double got, std::size_t i) const {
        const double distance = std::abs(got - expected_.value[i]);
        return std::isfinite(distance) ? distance / (reach(i) + 1e-300) : HUGE_VAL;
    }

    // E.g. "1.5 +- 0.01", and of a store "1.5 to 1.51 (floor)".
    [[nodiscard]] std::string text(std::size_t i) const {
        const double value = expected_.value[i];
        const double error = expected_.error[i];
        if (!store_ || !std::isfinite(value)) {
            return fmt::format("{:.9g} +- {:.2g}", value, error);
        }
        const StoreRange range = stores_between(value - error, value + error, *store_);
        return range.low == range.high
                   ? fmt::format("{:.9g} ({})", range.low, datasets::name(*store_))
                   : fmt::format("{:.9g} to {:.9g} ({})", range.low, range.high, datasets::name(*store_));
    }

private:
    const Expectation& expected_;
    std::optional<Rounding> store_;
};

std::string range(std::string_view what, int first, int last) {
    return first == last ? fmt::format("{} {}", what, first) : fmt::format("{}s {}-{}", what, first, last);
}

// The elements that are not allowed.
struct Wrong {
    Elements elements;
    std::size_t worst = 0;  // measured by what is allowed
    bool plain = false;     // no rounding of the store would allow all of them

    Wrong(const Operand& operand, const std::vector<double>& got, const Law& law) : elements(operand) {
        double largest = -1;
        for (std::size_t i = 0; i < got.size(); ++i) {
            const bool wrong = !law.allows(got[i], i);
            elements.add(i, wrong);
            plain = plain || (wrong && !law.near(got[i], i));
            const double excess = wrong ? law.excess(got[i], i) : -1;
            if (excess > largest) {
                largest = excess;
                worst = i;
            }
        }
    }
};

// What all wrong elements have in common.
std::string pattern_of(const Operand& operand, const std::vector<double>& got, const Expectation& expected,
                       const Law& law, bool plain) {
    bool untouched = operand.use == Use::inout;
    bool all_nan = true;
    bool not_propagated = true;
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (!law.allows(got[i], i)) {
            untouched = untouched && got[i] == operand.values[i];
            all_nan = all_nan && std::isnan(got[i]);
            not_propagated = not_propagated && std::isnan(expected.value[i]);
        }
    }
    if (untouched) {
        return "; they are as they were before the call: not updated";
    }
    if (not_propagated) {
        return "; the NaN or infinity of an input does not make them NaN";
    }
    if (all_nan) {
        return "; they are NaN, as an uninitialised vector is here";
    }
    return plain ? "" : "; another rounding would give them";
}

std::string wrong_elements(const Operand& operand, const std::vector<double>& got,
                           const Expectation& expected, const Law& law, const Wrong& wrong) {
    const std::size_t at = wrong.worst;
    const auto columns = static_cast<std::size_t>(operand.columns);
    return fmt::format("wrong: {}; worst {}[{}, {}]: got {:.9g}, contract {}{}", wrong.elements.text(),
                       operand.name, at / columns, at % columns, got[at], law.text(at),
                       pattern_of(operand, got, expected, law, wrong.plain));
}

struct Signs {
    int rounded = 0;
    int lowered = 0;
    int shrunk = 0;
};

// Of the stores whose rounding can be told from the error of what they store.
Signs signs_of(const std::vector<double>& got, const Expectation& expected) {
    Signs signs;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double value = expected.value[i];
        const double error = got[i] - value;
        if (std::isfinite(error) && error != 0 && std::abs(error) > expected.error[i]) {
            ++signs.rounded;
            signs.lowered += error < 0 ? 1 : 0;
            signs.shrunk += std::abs(got[i]) < std::abs(value) ? 1 : 0;
        }
    }
    return signs;
}

std::string rounding_fault(const Operand& operand, const std::vector<double>& got,
                           const Expectation& expected, Rounding declared) {
    const Signs signs = signs_of(got, expected);
    if (operand.type != Type::bf16 || signs.rounded < fewest_stores) {
        return {};
    }
    const double lowered = double(signs.lowered) / signs.rounded;
    const double shrunk = double(signs.shrunk) / signs.rounded;
    const auto complaint = [&](double share, std::string_view what, std::string_view actual) {
        return fmt::format(
            "rounding: {:.0f}% of its inexact stores {} the exact value: {}, where {} is declared",
            100 * share, what, actual, datasets::name(declared));
    };
    if (declared == Rounding::floor) {
        return lowered < directed_share ? complaint(lowered, "lie below", "not floor") : std::string();
    }
    if (shrunk >= directed_share) {
        return complaint(shrunk, "lie nearer to zero than", "truncation");
    }
    return lowered >= directed_share ? complaint(lowered, "lie below", "floor") : std::string();
}

}  // namespace

std::size_t element_bytes(Type type) {
    return type == Type::bf16 ? 2 : 4;
}

void encode(const Operand& operand, std::byte* memory) {
    for (int row = 0; row < operand.rows; ++row) {
        for (int column = 0; column < operand.columns; ++column) {
            const auto i = static_cast<std::size_t>(row * operand.columns + column);
            if (!operand.padding.empty() && operand.padding[i]) {
                continue;
            }
            const auto value = static_cast<float>(operand.values[i]);
            std::byte* to =
                memory + static_cast<std::size_t>(place(operand, row, column)) * element_bytes(operand.type);
            if (operand.type == Type::f32) {
                std::memcpy(to, &value, sizeof value);
            } else {
                const datasets::bf16 narrow = datasets::to_bf16(value, Rounding::nearest_even);
                std::memcpy(to, &narrow.bits, sizeof narrow.bits);
            }
        }
    }
}

std::vector<double> decode(const Operand& operand, const std::byte* memory) {
    std::vector<double> values;
    for (int row = 0; row < operand.rows; ++row) {
        for (int column = 0; column < operand.columns; ++column) {
            const auto index = static_cast<std::size_t>(place(operand, row, column));
            values.push_back(
                static_cast<double>(element(operand.type, memory + index * element_bytes(operand.type))));
        }
    }
    return values;
}

std::vector<bool> holds_pattern(const Operand& operand, const std::byte* memory, Pattern pattern) {
    std::vector<bool> holds;
    const std::size_t bytes = element_bytes(operand.type);
    for (int row = 0; row < operand.rows; ++row) {
        for (int column = 0; column < operand.columns; ++column) {
            const std::size_t offset = static_cast<std::size_t>(place(operand, row, column)) * bytes;
            holds.push_back(std::memcmp(memory + offset, &pattern, bytes) == 0);
        }
    }
    return holds;
}

void Elements::add(std::size_t element, bool belongs) {
    if (!belongs) {
        return;
    }
    const int row = static_cast<int>(element) / operand_.columns;
    const int column = static_cast<int>(element) % operand_.columns;
    first_row_ = count_ == 0 ? row : first_row_;
    last_row_ = row;
    first_column_ = count_ == 0 ? column : std::min(first_column_, column);
    last_column_ = count_ == 0 ? column : std::max(last_column_, column);
    ++count_;
}

std::string Elements::text() const {
    const std::string what = fmt::format("{} of {} elements of {}", count_, operand_.count(), operand_.name);
    if (operand_.rows == 1) {
        return fmt::format("{} ({})", what, range("element", first_column_, last_column_));
    }
    return fmt::format("{} ({}, {})", what, range("row", first_row_, last_row_),
                       range("column", first_column_, last_column_));
}

std::vector<std::string> judge_results(const TileCase& one, const Results& results) {
    std::vector<std::string> found;
    const std::vector<Expectation> expected = one.expect(results);
    std::size_t index = 0;
    for (std::size_t i = 0; i < one.operands.size(); ++i) {
        const Operand& operand = one.operands[i];
        if (operand.use == Use::in) {
            continue;
        }
        const Expectation& expectation = expected[index++];
        const Law law(one, operand, expectation);
        const Wrong wrong(operand, results[i], law);
        const std::string rounding =
            one.rounding ? rounding_fault(operand, results[i], expectation, *one.rounding) : std::string();
        if (wrong.elements.count() > 0) {
            found.push_back(wrong_elements(operand, results[i], expectation, law, wrong));
        }
        // Which rounding it is explains what is wrong, unless no rounding does.
        if (!rounding.empty()) {
            found.insert(wrong.plain ? found.end() : found.begin(), rounding);
        }
    }
    return found;
}

}  // namespace harness::kernel_gate
