// start_tile, zero_tile and the products: c += a b.
#include <fmt/format.h>

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
            const double error = exact ? 0.0 : product_error * magnitude;
            const bool stored = exact && product.rounding && std::isfinite(sum);
            out.value.push_back(stored ? double(datasets::round_to_bf16(float(sum), *product.rounding))
                                       : sum);
            out.bound.push_back(error + (product.rounding && !exact
                                             ? store_error(std::abs(sum) + error, *product.rounding)
                                             : 0.0));
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
    Expectation expected = multiplied(product, a, b, c, exact);
    one.expect = [expected = std::move(expected)](const Results&) { return std::vector{expected}; };
    one.rounding = product.rounding;
    return one;
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
    std::vector<double> a = random.integers(elements, 1, 2);
    a[5 * tile + 9] = std::numeric_limits<double>::quiet_NaN();
    a[40 * tile + 63] = -std::numeric_limits<double>::infinity();
    cases.push_back(product_case(product, "NaN and infinity in a", a, random.integers(elements, 1, 1),
                                 random.integers(elements, 1, 1), true));
    return cases;
}

std::vector<TileCase> start_cases() {
    Random random(2);
    TileCase one;
    one.name = "bias";
    const std::vector<double> bias = random.normals(tile, 4, Type::bf16);
    one.operands = {{"bias", Type::bf16, Use::in, 1, tile, {}, bias, {}},
                    {"c", Type::f32, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, void*)>(function)(p[0], p[1]);
    };
    Expectation expected;
    for (int i = 0; i < elements; ++i) {
        expected.value.push_back(bias[static_cast<std::size_t>(i % tile)]);
        expected.bound.push_back(0);
    }
    one.expect = [expected](const Results&) { return std::vector{expected}; };
    return {one};
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
