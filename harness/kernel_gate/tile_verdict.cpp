#include "harness/kernel_gate/tile_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

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

// An infinite bound expects nothing.
bool within(double got, double value, double bound) {
    if (std::isinf(bound)) {
        return true;
    }
    if (std::isnan(value) || std::isnan(got)) {
        return std::isnan(value) && std::isnan(got);
    }
    return got == value || std::abs(got - value) <= bound;
}

std::string range(std::string_view what, int first, int last) {
    return first == last ? fmt::format("{} {}", what, first) : fmt::format("{}s {}-{}", what, first, last);
}

// The element that is farthest out, measured by its bound.
std::size_t worst_of(const std::vector<double>& got, const Expectation& expected) {
    std::size_t worst = 0;
    double largest = -1;
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (within(got[i], expected.value[i], expected.bound[i])) {
            continue;
        }
        const double error = std::abs(got[i] - expected.value[i]);
        const double excess = std::isfinite(error) ? error / (expected.bound[i] + 1e-300) : HUGE_VAL;
        if (excess > largest) {
            largest = excess;
            worst = i;
        }
    }
    return worst;
}

// What all wrong elements have in common.
std::string pattern_of(const Operand& operand, const std::vector<double>& got, const Expectation& expected) {
    bool untouched = operand.use == Use::inout;
    bool all_nan = true;
    bool not_propagated = true;
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (!within(got[i], expected.value[i], expected.bound[i])) {
            untouched = untouched && got[i] == operand.values[i];
            all_nan = all_nan && std::isnan(got[i]);
            not_propagated = not_propagated && std::isnan(expected.value[i]);
        }
    }
    if (untouched) {
        return "; they are as they were before the call: not updated";
    }
    if (not_propagated) {
        return "; a NaN of the input does not reach them";
    }
    return all_nan ? "; they are NaN, as an uninitialised vector is here" : "";
}

std::string wrong_elements(const Operand& operand, const std::vector<double>& got,
                           const Expectation& expected) {
    Elements wrong(operand);
    for (std::size_t i = 0; i < got.size(); ++i) {
        wrong.add(i, !within(got[i], expected.value[i], expected.bound[i]));
    }
    if (wrong.count() == 0) {
        return {};
    }
    const std::size_t at = worst_of(got, expected);
    const auto columns = static_cast<std::size_t>(operand.columns);
    return fmt::format("wrong: {}; worst {}[{}, {}]: got {:.9g}, contract {:.9g} +- {:.2g}{}", wrong.text(),
                       operand.name, at / columns, at % columns, got[at], expected.value[at],
                       expected.bound[at], pattern_of(operand, got, expected));
}

struct Signs {
    int rounded = 0;
    int lowered = 0;
    int shrunk = 0;
};

// Of the stores whose rounding can be told from the error of what they store.
Signs signs_of(const std::vector<double>& got, const Expectation& expected, Rounding rounding) {
    Signs signs;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double value = expected.value[i];
        const double uncertain = expected.bound[i] - store_error(value, rounding);
        const double error = got[i] - value;
        if (std::isfinite(error) && error != 0 && std::abs(error) > uncertain) {
            ++signs.rounded;
            signs.lowered += error < 0 ? 1 : 0;
            signs.shrunk += std::abs(got[i]) < std::abs(value) ? 1 : 0;
        }
    }
    return signs;
}

std::string rounding_fault(const Operand& operand, const std::vector<double>& got,
                           const Expectation& expected, Rounding declared) {
    const Signs signs = signs_of(got, expected, declared);
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
        const std::string wrong = wrong_elements(operand, results[i], expectation);
        if (one.rounding) {
            if (std::string fault = rounding_fault(operand, results[i], expectation, *one.rounding);
                !fault.empty()) {
                found.push_back(std::move(fault));
            }
        }
        if (!wrong.empty()) {
            found.push_back(wrong);
        }
    }
    return found;
}

}  // namespace harness::kernel_gate
