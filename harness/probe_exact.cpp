// Probes whose results are exact: integers, op by op.
#include <algorithm>
#include <vector>

#include "harness/index.hpp"
#include "harness/probe_expectation.hpp"
#include "harness/probe_filling.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;
using datasets::Source;
using datasets::TensorView;

using datasets::head_width;

// Scores of integer queries and keys, and sums of integer values over the keys of weight 1.
class Integers final : public Expectation {
public:
    explicit Integers(datasets::LayerShape shape) : keys_(shape.context) {
        for (int head = 0; head < shape.heads; ++head) {
            for (std::int64_t i = 0; i < query_period; ++i) {
                for (std::int64_t j = 0; j < key_period; ++j) {
                    double sum = 0;
                    for (int c = 0; c < head_width; ++c) {
                        sum += double{integer_query(head, i, c)} * double{integer_key(head, j, c)};
                    }
                    scores_.push_back(sum / 8);
                }
            }
            for (std::int64_t j = 0; j < key_period; ++j) {
                for (int c = 0; c < head_width; ++c) {
                    values_.push_back(integer_value(head, j, c));
                }
            }
        }
    }

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (op == Op::scores) {
            fill(into, got, [&](std::int64_t row, std::int64_t key) -> Due {
                const std::int64_t query = rows.head * query_period + (rows.begin + row) % query_period;
                return {scores_[index(query * key_period + key % key_period)], 0};
            });
            return true;
        }
        resize(into, got);
        std::ranges::fill(into.value, 0.0);
        std::ranges::fill(into.bound, 0.0);
        for (std::int64_t row = 0; row < got.rows; ++row) {
            for (const std::int64_t key : integer_keys(rows.begin + row, keys_)) {
                const std::int64_t at = (rows.head * key_period + key % key_period) * head_width;
                for (std::int64_t c = 0; c < head_width; ++c) {
                    into.value[index(row * head_width + c)] += double{values_[index(at + c)]};
                }
            }
        }
        return true;
    }

private:
    std::int64_t keys_;
    std::vector<double> scores_;  // [head, query_period, key_period]
    std::vector<float> values_;   // [head, key_period, 64]
};

// Sums of integers below 2^24, exact in fp32 in any order.
class ExactScores final : public Expectation {
public:
    ExactScores(datasets::LayerShape shape, const Source& source) : keys_(shape.context) {
        std::vector<float> rows(index(shape.context * head_width));
        for (int head = 0; head < shape.heads; ++head) {
            source.rows(Op::query, {head, 0, shape.context}, rows);
            query_.push_back(rows);
            source.rows(Op::key, {head, 0, shape.context}, rows);
            std::vector<float>& key = key_.emplace_back(rows.size());
            for (std::int64_t i = 0; i < shape.context * head_width; ++i) {
                key[index(i % head_width * keys_ + i / head_width)] = rows[index(i)];
            }
        }
    }

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (op != Op::scores) {
            return false;
        }
        const std::vector<float>& query = query_[index(rows.head)];
        const std::vector<float>& key = key_[index(rows.head)];
        std::vector<float> sums(index(keys_));
        resize(into, got);
        std::ranges::fill(into.bound, 0.0);
        for (std::int64_t row = 0; row < got.rows; ++row) {
            std::ranges::fill(sums, 0.0F);
            for (std::int64_t c = 0; c < head_width; ++c) {
                const float q = query[index((rows.begin + row) * head_width + c)];
                for (std::int64_t j = 0; j < keys_; ++j) {
                    sums[index(j)] += q * key[index(c * keys_ + j)];
                }
            }
            std::ranges::transform(sums, into.value.begin() + row * got.columns,
                                   [](float sum) { return double{sum} / 8; });
        }
        return true;
    }

private:
    std::int64_t keys_;
    std::vector<std::vector<float>> query_;  // [head][time, 64]
    std::vector<std::vector<float>> key_;    // [head][64, time]
};

class Exactly final : public Expectation {
public:
    Exactly(Op op, std::span<const float> values, std::int64_t columns)
        : op_(op), values_(values), columns_(columns) {}

    bool expect(Op op, Rows rows, const TensorView& got, Bounded& into) override {
        if (op != op_) {
            return false;
        }
        const std::int64_t offset = std::max(rows.head, 0) * head_width;
        fill(into, got, [&](std::int64_t row, std::int64_t c) -> Due {
            return {double{values_[index((rows.begin + row) * columns_ + offset + c)]}, 0};
        });
        return true;
    }

private:
    Op op_;
    std::span<const float> values_;
    std::int64_t columns_;
};

}  // namespace

std::unique_ptr<Expectation> expect_integers(datasets::LayerShape shape) {
    return std::make_unique<Integers>(shape);
}

std::unique_ptr<Expectation> expect_exact_scores(datasets::LayerShape shape, const Source& source) {
    return std::make_unique<ExactScores>(shape, source);
}

std::unique_ptr<Expectation> expect_exactly(Op op, std::span<const float> values, std::int64_t columns) {
    return std::make_unique<Exactly>(op, values, columns);
}

}  // namespace harness
