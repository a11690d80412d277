// scale_tile and store_tile: exact but for one rounding.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

// Halfway between two bf16, alternately above an even and an odd one; then what is not finite.
std::vector<double> ties() {
    std::vector<double> values;
    for (int i = 0; i < elements; ++i) {
        values.push_back((i % 3 == 0 ? -1 : 1) * (1 + (2 * (i % 128) + 1) * 0x1p-8));
    }
    values[7] = std::numeric_limits<double>::infinity();
    values[100] = -std::numeric_limits<double>::infinity();
    values[4000] = std::numeric_limits<double>::quiet_NaN();
    return values;
}

std::vector<double> with_special(Random& random) {
    std::vector<double> values = random.normals(elements, 10, Type::f32);
    std::ranges::copy(special_values(Type::f32), values.data() + at(9, 7));
    return values;
}

TileCase scale_case(std::string name, const std::vector<double>& c, float scale) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"c", Type::f32, Use::inout, tile, tile, {}, c, {}}};
    one.call = [scale](void* function, void* const* p) {
        reinterpret_cast<void (*)(void*, float)>(function)(p[0], scale);
    };
    Expectation expected;
    for (const double value : c) {
        const double product = static_cast<double>(static_cast<float>(value * static_cast<double>(scale)));
        expected.add(std::abs(product) < 0x1p-126 ? 0 : product, 0);
    }
    return expecting(std::move(one), std::move(expected));
}

TileCase store_case(std::string name, const std::vector<double>& c, float scale, Rounding rounding) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"c", Type::f32, Use::in, tile, tile, {4, 4}, c, {}},
                    {"out", Type::bf16, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [scale](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, float, void*)>(function)(p[0], scale, p[1]);
    };
    Expectation expected;
    for (const double value : c) {
        expected.add(value * static_cast<double>(scale), 0);
    }
    one.rounding = rounding;
    return expecting(std::move(one), std::move(expected));
}

}  // namespace

std::vector<TileCase> store_cases(std::string_view role) {
    const auto [stem, rounding] = split_role(role);
    const bool stores = stem == "store_tile" && rounding;
    if (!stores && role != "scale_tile") {
        return {};
    }
    const auto make = [&, how = rounding](const std::string& name, const std::vector<double>& c,
                                          float scale) {
        return stores ? store_case(name, c, scale, *how) : scale_case(name, c, scale);
    };
    Random random(3);
    std::vector<TileCase> cases;
    for (const float scale : {1.0F, 0.125F, 4.0F}) {
        cases.push_back(make(fmt::format("random data, scale {}", scale),
                             random.normals(elements, 10, Type::f32), scale));
    }
    cases.push_back(make("ties, NaN and infinity", ties(), stores ? 1 : 0.125F));
    for (const float scale : {1.0F, 0.125F}) {
        cases.push_back(make(fmt::format("special values, scale {}", scale), with_special(random), scale));
    }
    if (!stores) {
        cases.push_back(make("special values, scale -1", with_special(random), -1));
        for (const int exponent : {-100, -60, -30, 30, 100}) {
            cases.push_back(make(fmt::format("special values, scale 2^{}", exponent), with_special(random),
                                 std::ldexp(1.0F, exponent)));
        }
    }
    return cases;
}

}  // namespace harness::kernel_gate
