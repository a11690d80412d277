// softmax_update and softmax_finish.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

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

// Adds what is expected of one row's maximum and sum.
void expect_row(const double* scores, int keys, double before, double old, Expectation& row_max,
                Expectation& row_sum) {
    double top = before;
    bool poisoned = false;
    for (int key = 0; key < keys; ++key) {
        poisoned = poisoned || std::isnan(scores[key]) || scores[key] == infinity;
        top = std::max(top, scores[key]);
    }
    poisoned = poisoned || (keys > 0 && top == -infinity);
    const Exponential factor = exponential(before, top, 0);
    double sum = old == 0 ? 0 : old * factor.value;
    double error = old == 0 || top == before ? 0 : old * factor.error;
    for (int key = 0; key < keys; ++key) {
        const Exponential e = exponential(scores[key], top, 0);
        sum += e.value;
        error += e.error;
    }
    // Equal scores give whole numbers, whose sums are exact.
    const bool exact = error == 0 && (old == 0 || keys == 0);
    row_max.add(top, poisoned ? infinity : 0);
    row_sum.add(poisoned ? not_a_number : sum, exact ? 0 : error + running_sum_error * sum);
}

std::vector<Expectation> updated(const std::vector<double>& scores, int keys, const State& state) {
    Expectation row_max;
    row_max.zeros_are_positive = true;
    Expectation row_sum;
    for (std::size_t row = 0; row < tile; ++row) {
        expect_row(scores.data() + row * tile, keys, state.row_max[row], state.row_sum[row], row_max,
                   row_sum);
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

// Fewer keys than a tile has, each of them the largest of some row; half of all maxima are negative.
TileCase ragged_update(int keys) {
    Random random(static_cast<std::uint64_t>(1000 + keys));
    std::vector<double> scores = random.normals(elements, 2, Type::f32);
    State state = running_state(random, 0);
    for (int row = 0; row < tile; ++row) {
        const auto index = static_cast<std::size_t>(row);
        const double height = row / 16 % 2 == 0 ? 20 : -60;
        const int largest = row % std::max(keys, 1);
        for (int key = 0; key < tile; ++key) {
            double& score = scores[at(row, key)];
            score = exact_in(Type::f32, height + (key == largest ? 6 : std::min(score, 5.0)));
        }
        state.row_max[index] = maximum_before(row, scores[at(row, largest)]);
        state.row_sum[index] = state_before(row) == Before::fresh ? 0 : state.row_sum[index] / 16;
    }
    return update_case(fmt::format("ragged keys: {} of 64", keys), scores, keys, state);
}

// What is not a number, or hardly one, in one row each.
std::vector<TileCase> special_updates(Random& random) {
    std::vector<double> scores = random.normals(elements, 2, Type::f32);
    scores[at(5, 9)] = not_a_number;
    scores[at(7, 20)] = -not_a_number;
    scores[at(9, 40)] = infinity;
    fill_row(scores, 11, -infinity);
    fill_row(scores, 13, -infinity);
    scores[at(13, 33)] = 1.5;
    scores[at(15, 1)] = -infinity;
    fill_row(scores, 17, -0.0);
    fill_row(scores, 19, -0.0);
    scores[at(19, 63)] = -1;
    fill_row(scores, 21, exact_in(Type::f32, 3e38));
    scores[at(21, 50)] = exact_in(Type::f32, -3e38);
    fill_row(scores, 23, exact_in(Type::f32, -3e38));
    fill_row(scores, 25, exact_in(Type::f32, -0x1p100));
    scores[at(25, 3)] = exact_in(Type::f32, 0x1p100);
    fill_row(scores, 27, exact_in(Type::f32, 1e-39));
    State running = running_state(random, 4);
    running.row_max[19] = -2;
    return {update_case("special values", scores, tile, {}),
            update_case("special values, second tile", scores, tile, running)};
}

// exp_difference is one function: by what a sum is scaled when its maximum grows from -d to 0 is what a score
// of -d adds to a sum whose maximum is 0. So the results of even rows say to fp32's error what those of odd
// rows must be, whatever the table's error.
TileCase sum_factor_case(Random& random) {
    constexpr double far_below = -300;        // adds 0
    constexpr double scaled_error = 0x1p-21;  // of three VMACs and one addition
    constexpr double one_error = 0x1p-23;     // of 1 + e
    std::vector<double> scores(elements, far_below);
    State state;
    for (std::size_t row = 0; row < tile; row += 2) {
        const double distance = exact_in(Type::f32, std::exp2(8 * random.uniform() - 7));
        scores[row * tile + row] = -distance;
        state.row_max[row] = 0;
        state.row_sum[row] = 1;
        scores[(row + 1) * tile + row] = 0;
        state.row_max[row + 1] = -distance;
        state.row_sum[row + 1] = exact_in(Type::f32, std::ldexp(1 + random.uniform(), row % 4 == 0 ? 20 : 3));
    }
    TileCase one = update_case("the factor of a sum is an exponential", scores, tile, state);
    one.expect = [expected = updated(scores, tile, state), state](const Results& results) {
        std::vector<Expectation> out = expected;
        for (std::size_t row = 0; row < tile; row += 2) {
            const double before = state.row_sum[row + 1];
            const double sum = before * (results[2][row] - 1) + 1;
            out[1].value[row + 1] = sum;
            out[1].error[row + 1] = scaled_error * sum + one_error * before;
        }
        return out;
    };
    return one;
}

std::vector<TileCase> softmax_update_cases() {
    Random random(11);
    std::vector<TileCase> cases;
    cases.push_back(update_case("equal scores", std::vector<double>(elements, -3.0), tile, {}));
    const auto scores = [&random](double scale) { return random.normals(elements, scale, Type::f32); };
    cases.push_back(update_case("random data", scores(8), tile, {}));
    for (int keys = tile - 1; keys >= 0; --keys) {
        cases.push_back(ragged_update(keys));
    }
    cases.push_back(update_case("second tile", scores(8), tile, running_state(random, 16)));
    for (const int distance : far_distances) {
        cases.push_back(update_case(fmt::format("far greater maximum, by {}", distance), scores(2), tile,
                                    running_state(random, -distance)));
        cases.push_back(update_case(fmt::format("far smaller scores, by {}", distance), scores(2), tile,
                                    running_state(random, distance)));
    }
    std::ranges::move(special_updates(random), std::back_inserter(cases));
    cases.push_back(sum_factor_case(random));
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
            p.add(0, 0);
            continue;
        }
        const Exponential e = exponential(scores[static_cast<std::size_t>(i)], state.row_max[row], 0);
        p.add(e.value / sum, (e.error + (e.value + e.error) * reciprocal_error) / sum + flushed);
    }
    one.rounding = rounding;
    return expecting(std::move(one), std::move(p));
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

// What is not a number, or hardly one, among scores that are: each tells of its own element only.
TileCase special_finish(Random& random, Rounding rounding) {
    std::vector<double> scores = random.normals(elements, 2, Type::f32);
    State state = state_of(scores, tile, random);
    scores[at(5, 9)] = not_a_number;
    scores[at(7, 20)] = -not_a_number;
    scores[at(9, 40)] = -infinity;
    scores[at(11, 63)] = exact_in(Type::f32, -3e38);
    fill_row(scores, 13, -0.0);
    state.row_max[13] = 0;
    fill_row(scores, 15, exact_in(Type::f32, -0x1p100));
    scores[at(15, 3)] = state.row_max[15] = exact_in(Type::f32, 0x1p100);
    fill_row(scores, 17, exact_in(Type::f32, -1e-39));
    state.row_max[17] = exact_in(Type::f32, 1e-39);
    return finish_case("special values", scores, tile, state, rounding);
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
    for (int keys = tile; keys >= 0; --keys) {
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
    State state = state_of(scores, tile, random);
    for (double& sum : state.row_sum) {
        sum = exact_in(Type::f32, 1 + 3000 * random.uniform());
    }
    cases.push_back(finish_case("sums of many tiles", scores, tile, state, rounding));
    state.row_sum[5] = not_a_number;
    state.row_sum[40] = -not_a_number;
    cases.push_back(finish_case("NaN in a row", scores, tile, state, rounding));
    state.row_max[21] = -infinity;
    state.row_sum[21] = 0;
    cases.push_back(finish_case("a row without keys", scores, tile, state, rounding));
    cases.push_back(special_finish(random, rounding));
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
