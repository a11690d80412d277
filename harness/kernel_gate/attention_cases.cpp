// attention_update and attention_finish.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "harness/kernel_gate/exponential.hpp"
#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

constexpr double score_error = 8 * 5 * 0x1p-23;  // of 64 products, see product_cases.cpp
constexpr double finish_error = 0x1p-14;         // of 1 / row_sum and its product, by bf16 splits

struct Inputs {
    std::vector<double> query, key, value;  // [row, channel], [key, channel], [key, channel]
    int keys = tile;
    double scale = 0.125;
    std::vector<double> row_max = std::vector<double>(tile, -infinity);
    std::vector<double> row_sum = std::vector<double>(tile, 0.0);
    std::vector<double> context = std::vector<double>(elements, 0.0);
    bool exact_scores = false;   // of small integers
    bool whole_numbers = false;  // besides, every exponential is 1 and every sum exact
};

struct Scores {
    std::vector<double> value = std::vector<double>(elements);
    std::vector<double> error = std::vector<double>(elements);
};

Scores scores_of(const Inputs& in) {
    Scores out;
    for (int row = 0; row < tile; ++row) {
        for (int key = 0; key < in.keys; ++key) {
            double sum = 0;
            double magnitude = 0;
            for (int channel = 0; channel < tile; ++channel) {
                const double product = in.query[at(row, channel)] * in.key[at(key, channel)];
                sum += product;
                magnitude += std::abs(product);
            }
            out.value[at(row, key)] = in.scale * sum;
            out.error[at(row, key)] = in.exact_scores ? 0 : in.scale * score_error * magnitude;
        }
    }
    return out;
}

// One row: adds its maximum, sum and context, the last two from the maximum that the kernel found.
void expect_row(const Inputs& in, const Scores& scores, int row, double found_max,
                std::vector<Expectation>& out) {
    const auto index = static_cast<std::size_t>(row);
    const double before = in.row_max[index];
    double top = before;
    double top_error = 0;
    bool poisoned = false;
    for (int key = 0; key < in.keys; ++key) {
        poisoned = poisoned || std::isnan(scores.value[at(row, key)]);
        top = std::max(top, scores.value[at(row, key)]);
        top_error = std::max(top_error, scores.error[at(row, key)]);
    }
    out[0].add(top, poisoned ? infinity : top_error);
    out[0].zeros_are_positive = true;
    const double height = std::abs(found_max - top) <= top_error ? found_max : top;
    const bool first = in.row_sum[index] == 0;
    const Exponential factor = first ? Exponential{} : exponential(before, height, 0);
    std::vector<Exponential> e;
    double sum = in.row_sum[index] * factor.value;
    double error = in.row_sum[index] * factor.error;
    for (int key = 0; key < in.keys; ++key) {
        e.push_back(in.whole_numbers
                        ? Exponential{1, 0}
                        : exponential(scores.value[at(row, key)], height, scores.error[at(row, key)]));
        sum += e.back().value;
        error += e.back().error;
    }
    const double rounding = in.whole_numbers || in.keys == 0 ? 0.0 : running_sum_error;
    out[1].add(poisoned ? not_a_number : sum, error + rounding * sum);
    for (int channel = 0; channel < tile; ++channel) {
        const double old = in.context[at(row, channel)];
        double context = old * factor.value;
        double magnitude = std::abs(context);
        double spread = std::abs(old) * factor.error;
        for (int key = 0; key < in.keys; ++key) {
            const Exponential& weight = e[static_cast<std::size_t>(key)];
            const double value = in.value[at(key, channel)];
            context += weight.value * value;
            magnitude += std::abs(weight.value * value);
            spread += weight.error * std::abs(value);
        }
        out[2].add(poisoned ? not_a_number : context, spread + rounding * magnitude);
    }
}

std::vector<bool> padded_rows(int keys) {
    std::vector<bool> padding;
    for (int i = 0; i < elements; ++i) {
        padding.push_back(i / tile >= keys);
    }
    return padding;
}

TileCase update_case(std::string name, const Inputs& in) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"query", Type::bf16, Use::in, tile, tile, {4, 8}, in.query, {}},
                    {"key", Type::bf16, Use::in, tile, tile, {4, 8}, in.key, padded_rows(in.keys)},
                    {"value", Type::bf16, Use::in, tile, tile, {8, 4}, in.value, padded_rows(in.keys)},
                    {"row_max", Type::f32, Use::inout, 1, tile, {}, in.row_max, {}},
                    {"row_sum", Type::f32, Use::inout, 1, tile, {}, in.row_sum, {}},
                    {"context", Type::f32, Use::inout, tile, tile, {4, 4}, in.context, {}}};
    one.call = [keys = in.keys, scale = static_cast<float>(in.scale)](void* function, void* const* p) {
        using Function = void(const void*, const void*, const void*, int, float, void*, void*, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], p[2], keys, scale, p[3], p[4], p[5]);
    };
    one.expect = [in, scores = scores_of(in)](const Results& results) {
        std::vector<Expectation> out(3);
        for (int row = 0; row < tile; ++row) {
            expect_row(in, scores, row, results[3][static_cast<std::size_t>(row)], out);
        }
        return out;
    };
    return one;
}

Inputs random_inputs(Random& random, int keys, double spread) {
    Inputs in;
    in.query = random.normals(elements, spread, Type::bf16);
    in.key = random.normals(elements, 1, Type::bf16);
    in.value = random.normals(elements, 1, Type::bf16);
    in.keys = keys;
    return in;
}

Inputs running(Inputs in, Random& random, double height) {
    for (std::size_t row = 0; row < tile; ++row) {
        in.row_max[row] = exact_in(Type::f32, height + 3 * random.normal());
        in.row_sum[row] = exact_in(Type::f32, 1 + 100 * random.uniform());
    }
    in.context = random.normals(elements, 10, Type::f32);
    return in;
}

// Fewer keys than a tile has, by turns each of them the largest of some row; the other rows take what
// comes, negative maxima too.
Inputs ragged_inputs(int keys) {
    Random random(static_cast<std::uint64_t>(2000 + keys));
    Inputs in = running(random_inputs(random, keys, 1), random, 0);
    for (int row = 0; row < tile; ++row) {
        for (int channel = 0; row / 16 % 2 == keys % 2 && channel < tile; ++channel) {
            in.query[at(row, channel)] = in.key[at(row % std::max(keys, 1), channel)];
        }
    }
    const Scores scores = scores_of(in);
    for (int row = 0; row < tile; ++row) {
        const auto index = static_cast<std::size_t>(row);
        const double* const of_row = &scores.value[at(row, 0)];
        const double top = keys == 0 ? 0 : *std::max_element(of_row, of_row + keys);
        in.row_max[index] = maximum_before(row, top);
        in.row_sum[index] /= 16;
        if (state_before(row) == Before::fresh) {
            in.row_sum[index] = 0;
            fill_row(in.context, row, 0);
        }
    }
    return in;
}

std::vector<TileCase> special_attention_updates(Random& random) {
    Inputs of_query = random_inputs(random, tile, 1);
    of_query.query[at(5, 9)] = not_a_number;
    of_query.query[at(30, 63)] = -not_a_number;
    of_query.query[at(47, 0)] = infinity;
    Inputs of_key = random_inputs(random, tile, 1);
    of_key.key[at(7, 11)] = -not_a_number;
    Inputs of_value = random_inputs(random, tile, 1);
    of_value.value[at(7, 11)] = not_a_number;
    of_value.value[at(63, 40)] = -not_a_number;
    Inputs large = random_inputs(random, tile, 1);
    for (double& value : large.value) {
        value = std::ldexp(value, 100);
    }
    Inputs small = random_inputs(random, tile, 0x1p40);
    for (std::size_t i = 0; i < elements; ++i) {
        small.key[i] = std::ldexp(small.key[i], -40);
        small.value[i] = std::ldexp(small.value[i], -40);
    }
    return {update_case("NaN and infinity in rows of query", of_query), update_case("NaN in a key", of_key),
            update_case("NaN in values", of_value), update_case("large values", large),
            update_case("small keys and values", small)};
}

// exp_difference is one function: by what sum and context are scaled when a maximum grows from -d to 0 is
// the weight of a score of -d under a maximum of 0. So the context of an even row, its only weight, says to
// fp32's error what the odd row behind it must be, whatever the table's error.
TileCase context_factor_case(Random& random) {
    constexpr double scaled_error = 0x1p-21;  // of three VMACs and one addition
    Inputs in;
    in.keys = 1;
    in.scale = 1;
    in.exact_scores = true;
    in.query.assign(elements, 0);
    in.key.assign(elements, 1);
    in.value.assign(elements, 1);
    in = running(in, random, 0);
    for (int row = 0; row < tile; row += 2) {
        const double distance = exact_in(Type::bf16, std::exp2(8 * random.uniform() - 7));
        const auto index = static_cast<std::size_t>(row);
        in.query[at(row, 0)] = -distance;
        in.row_max[index] = 0;
        fill_row(in.context, row, 0);
        in.row_max[index + 1] = -distance;
    }
    TileCase one = update_case("the factor of sum and context is an exponential", in);
    one.expect = [in, plain = one.expect](const Results& results) {
        std::vector<Expectation> out = plain(results);
        for (int row = 0; row < tile; row += 2) {
            const double e = results[5][at(row, 0)];
            const auto scaled = [e](Expectation& into, std::size_t i, double before) {
                into.value[i] = before * e + 1;
                into.error[i] = scaled_error * (std::abs(before * e) + 1);
            };
            const auto odd = static_cast<std::size_t>(row + 1);
            scaled(out[1], odd, in.row_sum[odd]);
            for (int channel = 0; channel < tile; ++channel) {
                scaled(out[2], at(row + 1, channel), in.context[at(row + 1, channel)]);
            }
        }
        return out;
    };
    return one;
}

std::vector<TileCase> attention_update_cases() {
    Random random(21);
    std::vector<TileCase> cases;
    Inputs whole = random_inputs(random, tile, 1);
    whole.query.assign(elements, 0.0);
    whole.value = random.integers(elements, -8, 8);
    whole.exact_scores = whole.whole_numbers = true;
    cases.push_back(update_case("equal scores, integers", whole));
    whole.keys = 17;
    cases.push_back(update_case("equal scores, integers, ragged keys: 17 of 64", whole));
    cases.push_back(update_case("random data", random_inputs(random, tile, 1)));
    cases.push_back(update_case("sharp rows", random_inputs(random, tile, 8)));
    for (int keys = tile - 1; keys >= 0; --keys) {
        cases.push_back(update_case(fmt::format("ragged keys: {} of 64", keys), ragged_inputs(keys)));
    }
    cases.push_back(update_case("second tile", running(random_inputs(random, tile, 2), random, 4)));
    for (const double scale : {1.0, 0.25, 0x1p-5}) {
        Inputs in = running(random_inputs(random, tile, 0.25 / scale), random, 4);
        in.scale = scale;
        cases.push_back(update_case(fmt::format("scale {}", scale), in));
    }
    // The context is the exponentials themselves, which no mean hides.
    Inputs bare = random_inputs(random, tile, 4);
    bare.value.assign(elements, 0);
    for (int key = 0; key < tile; ++key) {
        bare.value[at(key, key)] = 1;
    }
    cases.push_back(update_case("values of one key each", bare));
    bare.query = random.integers(elements, -4, 4);
    bare.key = random.integers(elements, -4, 4);
    bare.exact_scores = true;
    cases.push_back(update_case("values of one key each, exact scores", bare));
    for (const int distance : far_distances) {
        cases.push_back(update_case(fmt::format("far greater maximum, by {}", distance),
                                    running(random_inputs(random, tile, 1), random, -distance)));
        cases.push_back(update_case(fmt::format("far smaller scores, by {}", distance),
                                    running(random_inputs(random, tile, 1), random, distance)));
    }
    std::ranges::move(special_attention_updates(random), std::back_inserter(cases));
    cases.push_back(context_factor_case(random));
    return cases;
}

TileCase finish_case(std::string name, const std::vector<double>& context, const std::vector<double>& row_sum,
                     Rounding rounding) {
    TileCase one;
    one.name = std::move(name);
    one.operands = {{"context", Type::f32, Use::in, tile, tile, {4, 4}, context, {}},
                    {"row_sum", Type::f32, Use::in, 1, tile, {}, row_sum, {}},
                    {"out", Type::bf16, Use::out, tile, tile, {4, 4}, {}, {}}};
    one.call = [](void* function, void* const* p) {
        reinterpret_cast<void (*)(const void*, const void*, void*)>(function)(p[0], p[1], p[2]);
    };
    Expectation out;
    for (int i = 0; i < elements; ++i) {
        const double sum = row_sum[static_cast<std::size_t>(i / tile)];
        const double value = sum == 0 ? 0 : context[static_cast<std::size_t>(i)] / sum;
        out.add(value, finish_error * std::abs(value));
    }
    one.rounding = rounding;
    return expecting(std::move(one), std::move(out));
}

std::vector<TileCase> attention_finish_cases(Rounding rounding) {
    Random random(22);
    const std::vector<double> context = random.normals(elements, 10, Type::f32);
    std::vector<double> row_sum;
    for (int row = 0; row < tile; ++row) {
        row_sum.push_back(exact_in(Type::f32, 1 + 1500 * random.uniform()));
    }
    std::vector<double> none = context;
    fill_row(none, 7, 0);
    none[at(3, 50)] = -not_a_number;
    std::vector<double> without = row_sum;
    without[7] = 0;
    without[20] = not_a_number;
    return {finish_case("random data", context, row_sum, rounding),
            finish_case("a row without keys, NaN", none, without, rounding)};
}

}  // namespace

std::vector<TileCase> attention_cases(std::string_view role) {
    if (role == "attention_update") {
        return attention_update_cases();
    }
    const auto [stem, rounding] = split_role(role);
    return stem == "attention_finish" && rounding ? attention_finish_cases(*rounding)
                                                  : std::vector<TileCase>();
}

}  // namespace harness::kernel_gate
