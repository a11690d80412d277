// softmax_update and softmax_finish.
#include <fmt/format.h>

#include <cmath>

#include "harness/kernel_gate/exponential.hpp"
#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

// Of a reciprocal kept as two bf16.
constexpr double reciprocal_error = 0x1p-15;
// Of the two VMACs of a product and of its result: each flushes what lies below the smallest normal fp32.
constexpr double flushed = 3 * 0x1p-126;

std::vector<bool> padded_columns(int keys) {
    std::vector<bool> padding;
    for (int i = 0; i < elements; ++i) {
        padding.push_back(i % tile >= keys);
    }
    return padding;
}

struct State {
    std::vector<double> row_max = std::vector<double>(tile, -infinity);
    std::vector<double> row_sum = std::vector<double>(tile, 0.0);
};

State running_state(Random& random, double height) {
    State state;
    for (int row = 0; row < tile; ++row) {
        state.row_max[static_cast<std::size_t>(row)] = exact_in(Type::f32, height + 8 * random.normal());
        state.row_sum[static_cast<std::size_t>(row)] = exact_in(Type::f32, 1 + 100 * random.uniform());
    }
    return state;
}

// Expectations of row_max and row_sum.
std::vector<Expectation> updated(const std::vector<double>& scores, int keys, const State& state) {
    Expectation row_max;
    Expectation row_sum;
    for (int row = 0; row < tile; ++row) {
        const double before = state.row_max[static_cast<std::size_t>(row)];
        double top = before;
        bool poisoned = false;
        for (int key = 0; key < keys; ++key) {
            poisoned = poisoned || std::isnan(scores[at(row, key)]);
            top = std::max(top, scores[at(row, key)]);
        }
        const Exponential factor = exponential(before, top, 0);
        const double old = state.row_sum[static_cast<std::size_t>(row)];
        double sum = old == 0 ? 0 : old * factor.value;
        double error = old == 0 || top == before ? 0 : old * factor.error;
        for (int key = 0; key < keys; ++key) {
            const Exponential e = exponential(scores[at(row, key)], top, 0);
            sum += e.value;
            error += e.error;
        }
        // Equal scores give whole numbers, whose sums are exact.
        const bool exact = error == 0 && (old == 0 || keys == 0);
        row_max.value.push_back(top);
        row_max.bound.push_back(poisoned ? infinity : 0);
        row_sum.value.push_back(poisoned ? not_a_number : sum);
        row_sum.bound.push_back(exact ? 0 : error + running_sum_error * sum);
    }
    return {row_max, row_sum};
}

TileCase update_case(std::string name, const std::vector<double>& scores, int keys, const State& state) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"scores", Type::f32, Use::in, tile, tile, {}, scores, padded_columns(keys)},
                    {"row_max", Type::f32, Use::inout, 1, tile, {}, state.row_max, {}},
                    {"row_sum", Type::f32, Use::inout, 1, tile, {}, state.row_sum, {}}};
    one.call = [keys](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, int, void*, void*)>(function)(p[0], keys, p[1], p[2]);
    };
    one.expect = [expected = updated(scores, keys, state)](const Results&) { return expected; };
    return one;
}

std::vector<TileCase> softmax_update_cases() {
    Random random(11);
    std::vector<TileCase> cases;
    cases.push_back(update_case("equal scores", std::vector<double>(elements, -3.0), tile, {}));
    const auto scores = [&random](double scale) { return random.normals(elements, scale, Type::f32); };
    cases.push_back(update_case("random data", scores(8), tile, {}));
    for (const int keys : {63, 33, 16, 2, 1}) {
        cases.push_back(update_case(fmt::format("ragged keys: {} of 64", keys), scores(4), keys, {}));
    }
    cases.push_back(update_case("no keys", scores(1), 0, running_state(random, 0)));
    cases.push_back(update_case("second tile", scores(8), tile, running_state(random, 16)));
    cases.push_back(
        update_case("second tile, ragged keys: 17 of 64", scores(8), 17, running_state(random, 8)));
    for (const int distance : far_distances) {
        cases.push_back(update_case(fmt::format("far greater maximum, by {}", distance), scores(2), tile,
                                    running_state(random, -distance)));
        cases.push_back(update_case(fmt::format("far smaller scores, by {}", distance), scores(2), tile,
                                    running_state(random, distance)));
    }
    std::vector<double> poisoned = scores(2);
    poisoned[at(5, 9)] = not_a_number;
    cases.push_back(update_case("NaN in a row", poisoned, tile, {}));
    return cases;
}

TileCase finish_case(std::string name, const std::vector<double>& scores, int keys, const State& state,
                     Rounding rounding) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"scores", Type::f32, Use::in, tile, tile, {}, scores, padded_columns(keys)},
                    {"row_max", Type::f32, Use::in, 1, tile, {}, state.row_max, {}},
                    {"row_sum", Type::f32, Use::in, 1, tile, {}, state.row_sum, {}},
                    {"p", Type::bf16, Use::out, tile, tile, {}, {}, {}}};
    one.call = [keys](void* function, void* const* p) {
        using Function = void(const void*, int, const void*, const void*, void*);
        reinterpret_cast<Function*>(function)(p[0], keys, p[1], p[2], p[3]);
    };
    Expectation p;
    for (int i = 0; i < elements; ++i) {
        const auto row = static_cast<std::size_t>(i / tile);
        const double sum = state.row_sum[row];
        if (i % tile >= keys || sum == 0) {
            p.value.push_back(0);
            p.bound.push_back(0);
            continue;
        }
        const Exponential e = exponential(scores[static_cast<std::size_t>(i)], state.row_max[row], 0);
        const double error = (e.error + (e.value + e.error) * reciprocal_error) / sum;
        p.value.push_back(e.value / sum);
        p.bound.push_back(error + store_error(e.value / sum + error, rounding) + flushed);
    }
    one.expect = [p](const Results&) { return std::vector{p}; };
    one.rounding = rounding;
    return one;
}

// The state after these scores: the true maxima, and sums that need not be exact.
State state_of(const std::vector<double>& scores, int keys, Random& random) {
    State state;
    for (int row = 0; row < tile; ++row) {
        const auto index = static_cast<std::size_t>(row);
        for (int key = 0; key < keys; ++key) {
            state.row_max[index] = std::max(state.row_max[index], scores[at(row, key)]);
        }
        state.row_sum[index] = keys == 0 ? 0 : exact_in(Type::f32, 1 + 60 * random.uniform());
    }
    return state;
}

std::vector<TileCase> softmax_finish_cases(Rounding rounding) {
    Random random(12);
    std::vector<TileCase> cases;
    // Every exponential is 1: what is left is the reciprocal and its rounding.
    for (int turn = 0; turn < 4; ++turn) {
        const std::vector<double> equal(elements, -3.0);
        cases.push_back(finish_case(fmt::format("equal scores, {}", turn + 1), equal, tile,
                                    state_of(equal, tile, random), rounding));
    }
    for (const int keys : {64, 63, 17, 1, 0}) {
        const std::vector<double> scores = random.normals(elements, 6, Type::f32);
        cases.push_back(finish_case(keys == tile ? "random data" : fmt::format("ragged keys: {} of 64", keys),
                                    scores, keys, state_of(scores, keys, random), rounding));
    }
    std::vector<double> spread;
    for (int i = 0; i < elements; ++i) {
        spread.push_back(exact_in(Type::f32, -250 * random.uniform()));
    }
    cases.push_back(
        finish_case("scores from -250 to 0", spread, tile, state_of(spread, tile, random), rounding));
    const std::vector<double> scores = random.normals(elements, 2, Type::f32);
    State poisoned = state_of(scores, tile, random);
    poisoned.row_sum[5] = not_a_number;
    cases.push_back(finish_case("NaN in a row", scores, tile, poisoned, rounding));
    return cases;
}

}  // namespace

std::vector<TileCase> softmax_cases(std::string_view role) {
    if (role == "softmax_update") {
        return softmax_update_cases();
    }
    const auto [stem, rounding] = split_role(role);
    return stem == "softmax_finish" && rounding ? softmax_finish_cases(*rounding) : std::vector<TileCase>();
}

}  // namespace harness::kernel_gate
