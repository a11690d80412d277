// start_tile, zero_tile and the products: c += a b.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

// One VMAC errs by no more than 5 units of 2^-23 of what it and those before it have added
// (harness/bounds.hpp); 64 products take 8.
constexpr double product_error = 8 * 5 * 0x1p-23;

struct Product {
    Type stored = Type::f32;
    bool n_by_k = false;
    std::optional<datasets::Rounding> rounding;
};

std::optional<Product> product_of(std::string_view role) {
    const auto [stem, rounding] = split_role(role);
    if (role == "matmul_tile" || role == "matmul_tile_nk") {
        return Product{Type::f32, role == "matmul_tile_nk", std::nullopt};
    }
    if (rounding && (stem == "matmul_tile_bf16" || stem == "matmul_tile_nk_bf16")) {
        return Product{Type::bf16, stem == "matmul_tile_nk_bf16", rounding};
    }
    return std::nullopt;
}

// c + a b, within a multiple of sum |a||b| + |c|, or to the bit where its sums are exact. a [64, 64]; b
// [k, n], or [n, k] where the product says so.
Expectation multiplied(const Product& product, const std::vector<double>& a, const std::vector<double>& b,
                       const std::vector<double>& c, bool exact) {
    Expectation out;
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            double sum = c[static_cast<std::size_t>(i * tile + j)];
            double magnitude = std::abs(sum);
            for (int k = 0; k < tile; ++k) {
                const double left = a[static_cast<std::size_t>(i * tile + k)];
                const double right =
                    b[static_cast<std::size_t>(product.n_by_k ? j * tile + k : k * tile + j)];
                sum += left * right;
                magnitude += std::abs(left * right);
            }
            out.add(sum, exact ? 0.0 : product_error * magnitude);
        }
    }
    return out;
}

void call_product(void* function, void* const* p) {
    reinterpret_cast<void (*)(const void*, const void*, void*)>(function)(p[0], p[1], p[2]);
}

TileCase product_case(const Product& product, std::string name, std::vector<double> a, std::vector<double> b,
                      std::vector<double> c, bool exact) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {
        {"a", Type::bf16, Use::in, tile, tile, {4, 8}, a, {}},
        {"b", Type::bf16, Use::in, tile, tile, product.n_by_k ? Blocks{4, 8} : Blocks{8, 4}, b, {}},
        {"c", product.stored, Use::inout, tile, tile, {4, 4}, c, {}}};
    one.call = call_product;
    one.rounding = product.rounding;
    return expecting(std::move(one), multiplied(product, a, b, c, exact));
}

// Only the products of eight k are not zero: what is wrong here names the k that a kernel loses.
TileCase one_k_step(const Product& product, int step) {
    Random random(100 + static_cast<std::uint64_t>(step));
    std::vector<double> a = random.integers(elements, 1, 2);
    for (int i = 0; i < elements; ++i) {
        a[static_cast<std::size_t>(i)] *= i % tile / 8 == step ? 1 : 0;
    }
    return product_case(product, fmt::format("products of k {}-{}", 8 * step, 8 * step + 7), a,
                        random.integers(elements, 1, 2), random.integers(elements, 1, 2), true);
}

// Sums of 240 to 460 of either sign, which bf16 holds in steps of two: every odd one is a tie.
TileCase ties(const Product& product) {
    Random random(200);
    std::vector<double> a = random.integers(elements, 1, 2);
    std::vector<double> c = random.integers(elements, 150, 250);
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double sign = i / tile % 2 == 0 ? 1 : -1;
        a[i] *= sign;
        c[i] *= sign;
    }
    return product_case(product, "ties", a, random.integers(elements, 1, 2), c, true);
}

struct Scales {
    const char* name;
    int of_a, of_b;  // exponents of two
};

std::vector<double> scaled(Random& random, int exponent, Type type) {
    return random.normals(elements, std::ldexp(1.0, exponent), type);
}

// What is not finite spreads as c + a b says, 0 times it included.
void add_not_finite(const Product& product, Random& random, std::vector<TileCase>& cases) {
    const auto ones = [&] { return std::vector<double>(elements, 1.0); };
    const auto plant = [](std::vector<double> into) {
        into[at(5, 9)] = not_a_number;
        into[at(40, 63)] = -infinity;
        into[at(22, 30)] = -not_a_number;
        return into;
    };
    cases.push_back(product_case(product, "NaN and infinity in a", plant(random.integers(elements, 1, 2)),
                                 ones(), ones(), true));
    cases.push_back(product_case(product, "NaN and infinity in b", random.integers(elements, 1, 2),
                                 plant(ones()), ones(), true));
    cases.push_back(product_case(product, "NaN and infinity in c", random.integers(elements, 1, 2), ones(),
                                 plant(ones()), true));
    std::vector<double> sparse = random.integers(elements, 1, 2);
    for (int row = 8; row < 16; ++row) {
        fill_row(sparse, row, 0);
    }
    cases.push_back(product_case(product, "NaN in b, zeros in a", sparse, plant(ones()), ones(), true));
}

std::vector<TileCase> cases_of(const Product& product) {
    std::vector<TileCase> cases;
    Random random(1);
    // Sums of integers stay exact: in fp32 below 2^23, in bf16 up to 256.
    const int largest = product.stored == Type::f32 ? 8 : 1;
    cases.push_back(product_case(product, "integers", random.integers(elements, -largest, largest),
                                 random.integers(elements, -largest, largest),
                                 random.integers(elements, -largest, largest), true));
    for (int step = 0; step < tile / 8; ++step) {
        cases.push_back(one_k_step(product, step));
    }
    if (product.stored == Type::bf16) {
        cases.push_back(ties(product));
    }
    cases.push_back(product_case(product, "random data", random.normals(elements, 1, Type::bf16),
                                 random.normals(elements, 1, Type::bf16),
                                 random.normals(elements, 8, product.stored), false));
    std::vector<double> wide = random.normals(elements, 1, Type::bf16);
    for (double& value : wide) {
        value = std::ldexp(value, random.integer(-12, 12));
    }
    cases.push_back(product_case(product, "wide range", wide, random.normals(elements, 1, Type::bf16),
                                 random.normals(elements, 1, product.stored), false));
    for (const auto& [name, of_a, of_b] :
         {Scales{"small a", -40, 0}, Scales{"small b", 0, -40}, Scales{"large", 52, 52}}) {
        cases.push_back(product_case(product, name, scaled(random, of_a, Type::bf16),
                                     scaled(random, of_b, Type::bf16),
                                     scaled(random, of_a + of_b, product.stored), false));
    }
    add_not_finite(product, random, cases);
    return cases;
}

TileCase start_case(std::string name, const std::vector<double>& bias) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"bias", Type::bf16, Use::in, 1, tile, {}, bias, {}},
                    {"c", Type::f32, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, void*)>(function)(p[0], p[1]);
    };
    Expectation expected;
    for (int i = 0; i < elements; ++i) {
        expected.add(bias[static_cast<std::size_t>(i % tile)], 0);
    }
    return expecting(std::move(one), std::move(expected));
}

std::vector<TileCase> start_cases() {
    Random random(2);
    std::vector<double> special = random.normals(tile, 1, Type::bf16);
    std::ranges::copy(special_values(Type::bf16), special.begin() + 3);
    return {start_case("bias", random.normals(tile, 4, Type::bf16)), start_case("special values", special)};
}

std::vector<TileCase> zero_cases() {
    TileCase one;
    one.name = "zeros";
    one.operands = {{"c", Type::f32, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [](void* function, void* const* p) { reinterpret_cast<void (*)(void*)>(function)(p[0]); };
    one.expect = [](const Results&) {
        return std::vector{Expectation{std::vector<double>(elements), std::vector<double>(elements)}};
    };
    return {one};
}

}  // namespace

std::vector<TileCase> product_cases(std::string_view role) {
    if (role == "start_tile") {
        return start_cases();
    }
    if (role == "zero_tile") {
        return zero_cases();
    }
    const auto product = product_of(role);
    return product ? cases_of(*product) : std::vector<TileCase>();
}

}  // namespace harness::kernel_gate
