// What a role's contract (kernels/aie2/kernels.h) promises, as cases: operands, the call, and what must come
// out. Independent of our own kernels: expectations are fp64 computations of the contract's formulas.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/bf16.hpp"

namespace harness::kernel_gate {

inline constexpr int tile = 64;
inline constexpr int elements = tile * tile;
inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// Position in a row-major tile.
inline std::size_t at(int row, int column) {
    return static_cast<std::size_t>(row * tile + column);
}

// Of a tile.
void fill_row(std::vector<double>& values, int row, double value);

enum class Type : std::uint8_t { bf16, f32 };
enum class Use : std::uint8_t { in, out, inout };

// In memory: row-major blocks of rows x columns, in row-major order; {0, 0}: row-major.
struct Blocks {
    int rows = 0;
    int columns = 0;
};

// One pointer argument.
struct Operand {
    std::string name;
    Type type = Type::f32;
    Use use = Use::in;
    int rows = tile;
    int columns = tile;
    Blocks blocks;
    std::vector<double> values;  // [rows, columns], exact in `type`; empty where `use` is out
    std::vector<bool> padding;   // elements that must not matter; empty: none

    [[nodiscard]] int count() const { return rows * columns; }
};

// Of one written operand: `value`, from which what is stored differs by at most `error` before it is rounded
// to bf16, where it is. A NaN expects a NaN, an infinite error nothing.
struct Expectation {
    std::vector<double> value;
    std::vector<double> error;
    bool zeros_are_positive = false;  // -0 is wrong

    void add(double of_value, double of_error) {
        value.push_back(of_value);
        error.push_back(of_error);
    }
};

// [operand][element], of every operand, after the call.
using Results = std::vector<std::vector<double>>;

struct TileCase {
    std::string name;
    std::vector<Operand> operands;
    std::function<void(void* function, void* const* pointers)> call;
    // One per operand that is not Use::in, in order.
    std::function<std::vector<Expectation>(const Results&)> expect;
    // Of the bf16 operand that is written; none: all results are fp32.
    std::optional<datasets::Rounding> rounding;
};

// Every case of a role; empty for an unknown one.
std::vector<TileCase> tile_cases(std::string_view role);

// Of the families of roles; each empty for roles of another.
std::vector<TileCase> product_cases(std::string_view role);
std::vector<TileCase> store_cases(std::string_view role);
std::vector<TileCase> row_cases(std::string_view role);
std::vector<TileCase> softmax_cases(std::string_view role);
std::vector<TileCase> attention_cases(std::string_view role);

// `name` as the index in memory of element (row, column).
int place(const Operand& operand, int row, int column);

// The state of a row before keys whose largest score is `top`, by groups of four rows, which kernels take
// together: a fresh one, one whose maximum stands, one whose maximum grows, and all of these in one group.
// The distances are small, so that what was there and what is added both weigh.
enum class Before : std::uint8_t { fresh, stands, grows };
Before state_before(int row);
double maximum_before(int row, double top);

// Deterministic data. Values are exact in bf16 where asked for.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    double uniform();  // [0, 1)
    double normal();   // about N(0, 1)
    int integer(int lowest, int highest);
    std::vector<double> normals(int count, double scale, Type type);
    std::vector<double> integers(int count, int lowest, int highest);

private:
    std::uint64_t next();
    std::uint64_t state_;
};

double exact_in(Type type, double value);

// What the sign, the exponent or a NaN of a number may go wrong with; finite ones from 2^-100 to the largest
// of bf16.
std::vector<double> special_values(Type type);

// A case that expects the same whatever the results.
TileCase expecting(TileCase one, Expectation expected);

// `role` split at its rounding: "store_tile_even" is {"store_tile", nearest_even}.
struct RoundedRole {
    std::string_view stem;
    std::optional<datasets::Rounding> rounding;
};
RoundedRole split_role(std::string_view role);

}  // namespace harness::kernel_gate
