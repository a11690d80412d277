#include "harness/kernel_gate/tile_case.hpp"

#include <algorithm>
#include <cmath>

namespace harness::kernel_gate {

std::vector<TileCase> tile_cases(std::string_view role) {
    for (const auto family : {product_cases, store_cases, row_cases, softmax_cases, attention_cases}) {
        if (auto cases = family(role); !cases.empty()) {
            return cases;
        }
    }
    return {};
}

void fill_row(std::vector<double>& values, int row, double value) {
    std::fill_n(values.data() + at(row, 0), tile, value);
}

int place(const Operand& operand, int row, int column) {
    const auto [rows, columns] = operand.blocks;
    if (rows == 0) {
        return row * operand.columns + column;
    }
    const int block = (row / rows) * (operand.columns / columns) + column / columns;
    return block * rows * columns + (row % rows) * columns + column % columns;
}

Before state_before(int row) {
    const int group = row / 4 % 4;
    return Before(group == 3 ? row % 3 : group);
}

double maximum_before(int row, double top) {
    const Before before = state_before(row);
    return before == Before::fresh ? -infinity
                                   : exact_in(Type::f32, top + (before == Before::stands ? 0.5 : -1.5));
}

// splitmix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators).
std::uint64_t Random::next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
}

double Random::uniform() {
    return static_cast<double>(next() >> 11U) * 0x1p-53;
}

double Random::normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) {
        sum += uniform();
    }
    return sum;
}

int Random::integer(int lowest, int highest) {
    return lowest + static_cast<int>(next() % static_cast<std::uint64_t>(highest - lowest + 1));
}

std::vector<double> Random::normals(int count, double scale, Type type) {
    std::vector<double> out;
    for (int i = 0; i < count; ++i) {
        out.push_back(exact_in(type, scale * normal()));
    }
    return out;
}

std::vector<double> Random::integers(int count, int lowest, int highest) {
    std::vector<double> out;
    for (int i = 0; i < count; ++i) {
        out.push_back(integer(lowest, highest));
    }
    return out;
}

double exact_in(Type type, double value) {
    const auto narrow = static_cast<float>(value);
    return static_cast<double>(
        type == Type::f32 ? narrow : datasets::round_to_bf16(narrow, datasets::Rounding::nearest_even));
}

std::vector<double> special_values(Type type) {
    std::vector<double> values{0.0, -0.0, infinity, -infinity, not_a_number, -not_a_number};
    for (const double magnitude : {0x1p-100, 0x1.56p-60, 0x1.02p-20, 0x1p-15, 255.0, 257.0, 6.6e4, 3.1e7,
                                   0x1.4p60, 0x1p100, 0x1.FEp127}) {
        values.push_back(exact_in(type, magnitude));
        values.push_back(exact_in(type, -magnitude));
    }
    return values;
}

TileCase expecting(TileCase one, Expectation expected) {
    one.expect = [expected = std::move(expected)](const Results&) { return std::vector{expected}; };
    return one;
}

RoundedRole split_role(std::string_view role) {
    if (role.ends_with("_even")) {
        return {role.substr(0, role.size() - 5), datasets::Rounding::nearest_even};
    }
    if (role.ends_with("_floor")) {
        return {role.substr(0, role.size() - 6), datasets::Rounding::floor};
    }
    return {role, std::nullopt};
}

}  // namespace harness::kernel_gate
