// scale_tile and store_tile: exact but for one rounding.
#include <fmt/format.h>

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

TileCase scale_case(std::string name, const std::vector<double>& c, float scale) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"c", Type::f32, Use::inout, tile, tile, {}, c, {}}};
    one.call = [scale](void* function, void* const* p) {
        reinterpret_cast<void (*)(void*, float)>(function)(p[0], scale);
    };
    Expectation expected;
    for (const double value : c) {
        expected.value.push_back(value * static_cast<double>(scale));
        expected.bound.push_back(0);
    }
    one.expect = [expected](const Results&) { return std::vector{expected}; };
    return one;
}

// `stored`: the very results are expected; otherwise the exact value, from which a store may differ.
TileCase store_case(std::string name, const std::vector<double>& c, float scale, Rounding rounding,
                    bool stored) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"c", Type::f32, Use::in, tile, tile, {4, 4}, c, {}},
                    {"out", Type::bf16, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [scale](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, float, void*)>(function)(p[0], scale, p[1]);
    };
    Expectation expected;
    for (const double value : c) {
        const double exact = value * static_cast<double>(scale);
        expected.value.push_back(
            stored ? static_cast<double>(datasets::round_to_bf16(static_cast<float>(exact), rounding))
                   : exact);
        expected.bound.push_back(stored ? 0 : store_error(exact, rounding));
    }
    one.expect = [expected](const Results&) { return std::vector{expected}; };
    if (!stored) {
        one.rounding = rounding;
    }
    return one;
}

}  // namespace

std::vector<TileCase> store_cases(std::string_view role) {
    const auto [stem, rounding] = split_role(role);
    Random random(3);
    std::vector<TileCase> cases;
    for (const float scale : {1.0F, 0.125F, 4.0F}) {
        const std::vector<double> data = random.normals(elements, 10, Type::f32);
        if (role == "scale_tile") {
            cases.push_back(scale_case(fmt::format("random data, scale {}", scale), data, scale));
        } else if (stem == "store_tile" && rounding) {
            cases.push_back(
                store_case(fmt::format("random data, scale {}", scale), data, scale, *rounding, false));
            cases.push_back(
                store_case(fmt::format("the same bits, scale {}", scale), data, scale, *rounding, true));
        }
    }
    if (role == "scale_tile") {
        cases.push_back(scale_case("NaN and infinity", ties(), 0.125F));
    } else if (!cases.empty()) {
        cases.push_back(store_case("ties, NaN and infinity", ties(), 1, *rounding, true));
    }
    return cases;
}

}  // namespace harness::kernel_gate
