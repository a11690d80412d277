#include "harness/kernel_gate/tile_case.hpp"

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

int place(const Operand& operand, int row, int column) {
    const auto [rows, columns] = operand.blocks;
    if (rows == 0) {
        return row * operand.columns + column;
    }
    const int block = (row / rows) * (operand.columns / columns) + column / columns;
    return block * rows * columns + (row % rows) * columns + column % columns;
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

double store_error(double value, datasets::Rounding rounding) {
    if (value == 0 || !std::isfinite(value)) {
        return 0;
    }
    const double ulp = std::ldexp(1.0, std::max(std::ilogb(value), -126) - 7);
    return rounding == datasets::Rounding::nearest_even ? ulp / 2 : ulp;
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
