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

// Of one written operand: `value`, from which results differ by at most `bound`. A NaN expects a NaN.
struct Expectation {
    std::vector<double> value;
    std::vector<double> bound;
};

// [operand][element], of every operand, after the call.
using Results = std::vector<std::vector<double>>;

struct TileCase {
    std::string name;
    std::vector<Operand> operands;
    std::function<void(void* function, void* const* pointers)> call;
    // One per operand that is not Use::in, in order.
    std::function<std::vector<Expectation>(const Results&)> expect;
    // Of the bf16 operands that are written; none: results are expected to the bit, or are fp32.
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

// The largest error of storing `value` as bf16.
double store_error(double value, datasets::Rounding rounding);

// `role` split at its rounding: "store_tile_even" is {"store_tile", nearest_even}.
struct RoundedRole {
    std::string_view stem;
    std::optional<datasets::Rounding> rounding;
};
RoundedRole split_role(std::string_view role);

}  // namespace harness::kernel_gate
