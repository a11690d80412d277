// attention_update and attention_finish.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "harness/kernel_gate/exponential.hpp"
#include "harness/kernel_gate/tile_case.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::Rounding;

constexpr double logit_scale = 0.125;
constexpr double score_error = 8 * 5 * 0x1p-23;  // of 64 products, see product_cases.cpp
constexpr double finish_error = 0x1p-14;         // of 1 / row_sum and its product, by bf16 splits

struct Inputs {
    std::vector<double> query, key, value;  // [row, channel], [key, channel], [key, channel]
    int keys = tile;
    std::vector<double> row_max = std::vector<double>(tile, -infinity);
    std::vector<double> row_sum = std::vector<double>(tile, 0.0);
    std::vector<double> context = std::vector<double>(elements, 0.0);
    bool whole_numbers = false;  // every exponential is 1 and every sum exact
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
            out.value[at(row, key)] = logit_scale * sum;
            out.error[at(row, key)] = logit_scale * score_error * magnitude;
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
    out[0].value.push_back(top);
    out[0].bound.push_back(poisoned ? infinity : top_error);
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
    out[1].value.push_back(poisoned ? not_a_number : sum);
    out[1].bound.push_back(error + rounding * sum);
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
        out[2].value.push_back(poisoned ? not_a_number : context);
        out[2].bound.push_back(spread + rounding * magnitude);
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
    one.call = [keys = in.keys](void* function, void* const* p) {
        using Function = void(const void*, const void*, const void*, int, float, void*, void*, void*);
        reinterpret_cast<Function*>(function)(p[0], p[1], p[2], keys, static_cast<float>(logit_scale), p[3],
                                              p[4], p[5]);
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

std::vector<TileCase> attention_update_cases() {
    Random random(21);
    std::vector<TileCase> cases;
    Inputs whole = random_inputs(random, tile, 1);
    whole.query.assign(elements, 0.0);
    whole.value = random.integers(elements, -8, 8);
    whole.whole_numbers = true;
    cases.push_back(update_case("equal scores, integers", whole));
    whole.keys = 17;
    cases.push_back(update_case("equal scores, integers, ragged keys: 17 of 64", whole));
    cases.push_back(update_case("random data", random_inputs(random, tile, 1)));
    cases.push_back(update_case("sharp rows", random_inputs(random, tile, 8)));
    for (const int keys : {63, 33, 2, 1}) {
        cases.push_back(
            update_case(fmt::format("ragged keys: {} of 64", keys), random_inputs(random, keys, 1)));
    }
    cases.push_back(update_case("second tile", running(random_inputs(random, tile, 2), random, 4)));
    cases.push_back(
        update_case("second tile, ragged keys: 17 of 64", running(random_inputs(random, 17, 2), random, 2)));
    cases.push_back(update_case("no keys", running(random_inputs(random, 0, 1), random, 0)));
    for (const int distance : far_distances) {
        cases.push_back(update_case(fmt::format("far greater maximum, by {}", distance),
                                    running(random_inputs(random, tile, 1), random, -distance)));
        cases.push_back(update_case(fmt::format("far smaller scores, by {}", distance),
                                    running(random_inputs(random, tile, 1), random, distance)));
    }
    Inputs poisoned = random_inputs(random, tile, 1);
    poisoned.query[at(5, 9)] = not_a_number;
    cases.push_back(update_case("NaN in a row of query", poisoned));
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
        const double error = finish_error * std::abs(value);
        out.value.push_back(value);
        out.bound.push_back(error + store_error(std::abs(value) + error, rounding));
    }
    one.expect = [out](const Results&) { return std::vector{out}; };
    one.rounding = rounding;
    return one;
}

std::vector<TileCase> attention_finish_cases(Rounding rounding) {
    Random random(22);
    const std::vector<double> context = random.normals(elements, 10, Type::f32);
    std::vector<double> row_sum;
    for (int row = 0; row < tile; ++row) {
        row_sum.push_back(exact_in(Type::f32, 1 + 1500 * random.uniform()));
    }
    std::vector<double> none = context;
    std::fill_n(none.begin() + 7 * tile, tile, 0.0);
    std::vector<double> without = row_sum;
    without[7] = 0;
    without[20] = not_a_number;
    return {finish_case("random data", context, row_sum, rounding),
            finish_case("a row without keys, a row of NaN", none, without, rounding)};
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
