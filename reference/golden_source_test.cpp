#include "reference/golden_source.hpp"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <stdexcept>

#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

using datasets::Op;
using datasets::Rows;

class GoldenSourceTest : public ::testing::TestWithParam<std::int64_t> {
protected:
    const datasets::LayerCase layer_ = random_layer({GetParam(), 6});
    const GoldenSource source_{layer_};

    std::vector<float> ask(Op op, Rows rows, std::int64_t columns) const {
        std::vector<float> out(static_cast<std::size_t>(rows.count * columns), -7.0F);
        source_.rows(op, rows, out);
        return out;
    }
};

TEST_P(GoldenSourceTest, KeepsWhatTheGoldenPathPushes) {
    Collector pushed(layer_.shape);
    RowStatistics statistics;
    GoldenLayer golden(layer_);
    golden.collect_row_statistics(&statistics);
    golden.compute({}, source_, pushed);
    const std::int64_t context = layer_.shape.context;
    for (const Op op : {Op::query, Op::key, Op::value, Op::context, Op::output}) {
        const auto tensor = source_.tensor(op);
        EXPECT_TRUE(std::ranges::equal(tensor, pushed.tensor(op))) << datasets::name(op);
        EXPECT_EQ(ask(op, {-1, 0, context}, layer_.shape.width()), pushed.tensor(op));
    }
    EXPECT_EQ(source_.row_statistics().max, statistics.max);
    EXPECT_EQ(source_.row_statistics().log_sum_exp, statistics.log_sum_exp);
    for (const Op op : {Op::scores, Op::probabilities}) {
        for (int head = 0; head < layer_.shape.heads; ++head) {
            RelativeError error;
            error.add(ask(op, {head, 0, context}, context), pushed.rows(op, {head, 0, context}));
            EXPECT_LE(error.value(), 1e-6) << datasets::name(op) << " " << head;
        }
    }
}

// Any rows, one head or all: the same numbers as out of the whole.
TEST_P(GoldenSourceTest, ServesAnyRows) {
    const std::int64_t context = layer_.shape.context;
    const std::int64_t width = layer_.shape.width();
    for (const Rows rows : {Rows{-1, 0, 1}, Rows{-1, context - 1, 1}, Rows{-1, context / 3, context / 2}}) {
        EXPECT_TRUE(std::ranges::equal(ask(Op::attention_norm, rows, width),
                                       std::span(layer_.input)
                                           .subspan(static_cast<std::size_t>(rows.begin * width),
                                                    static_cast<std::size_t>(rows.count * width))));
        for (const Op op : {Op::query, Op::context}) {
            const std::vector<float> all = ask(op, rows, width);
            for (int head = 0; head < layer_.shape.heads; ++head) {
                const std::vector<float> one = ask(op, {head, rows.begin, rows.count}, 64);
                for (std::size_t i = 0; i < one.size(); ++i) {
                    ASSERT_EQ(one[i], all[i / 64 * static_cast<std::size_t>(width) +
                                          static_cast<std::size_t>(head) * 64 + i % 64]);
                }
            }
        }
    }
    const std::vector<float> all = ask(Op::scores, {2, 0, context}, context);
    const std::vector<float> last = ask(Op::scores, {2, context - 1, 1}, context);
    RelativeError error;
    error.add(last, std::span(all).last(static_cast<std::size_t>(context)));
    EXPECT_LE(error.value(), 1e-6);
}

// Whatever was asked for before, of this head or block or another: the bits of a source that is asked first.
TEST_P(GoldenSourceTest, RemembersNoOtherRows) {
    const std::int64_t context = layer_.shape.context;
    const std::int64_t last = (context - 1) / 64 * 64;
    const std::vector<Rows> blocks{
        {1, 0, std::min<std::int64_t>(64, context)}, {2, 0, 1}, {2, last, context - last}, {1, 0, 1}};
    const auto first_answer = [&](Op op, Rows rows) {
        const GoldenSource fresh(layer_);
        std::vector<float> out(static_cast<std::size_t>(rows.count * context));
        fresh.rows(op, rows, out);
        return out;
    };
    for (const Rows before : blocks) {
        for (const Op op_before : {Op::scores, Op::probabilities}) {
            for (const Rows rows : blocks) {
                for (const Op op : {Op::scores, Op::probabilities}) {
                    ask(op_before, before, context);
                    EXPECT_EQ(ask(op, rows, context), first_answer(op, rows))
                        << datasets::name(op) << " after " << datasets::name(op_before);
                }
            }
        }
    }
}

// A block that is remembered is shown, all else copied: the same bits either way, and they stay.
TEST_P(GoldenSourceTest, ShowsTheRowsThatItServes) {
    const std::int64_t context = layer_.shape.context;
    const Rows block{1, 0, std::min<std::int64_t>(64, context)};
    for (const Op op : {Op::scores, Op::probabilities, Op::query}) {
        const std::int64_t columns = op == Op::query ? 64 : context;
        std::vector<float> room(static_cast<std::size_t>(block.count * columns), -7.0F);
        const datasets::RowsView view = source_.view(op, block, room);
        const std::vector<float> seen(view.values.begin(), view.values.end());
        EXPECT_EQ(seen, ask(op, block, columns)) << datasets::name(op);
        EXPECT_EQ(view.values.data() == room.data(), op == Op::query) << datasets::name(op);
        for (int head = 0; head < 6; ++head) {  // more blocks than are remembered
            for (std::int64_t begin = 0; begin < context; begin += 64) {
                ask(op, {head, begin, std::min<std::int64_t>(64, context - begin)}, columns);
            }
        }
        EXPECT_TRUE(std::ranges::equal(view.values, seen)) << datasets::name(op);
        EXPECT_THROW(static_cast<void>(source_.view(op, block, std::span(room).subspan(1))),
                     std::invalid_argument);
    }
    std::vector<float> whole(static_cast<std::size_t>(context * context));
    EXPECT_EQ(source_.view(Op::scores, {0, 0, context}, whole).values.size(), whole.size());
}

TEST_P(GoldenSourceTest, ServesManyTasksAtOnce) {
    const std::int64_t context = layer_.shape.context;
    const std::vector<float> expected = ask(Op::probabilities, {1, 0, context}, context);
    tbb::parallel_for(0, 32, [&](int) {
        EXPECT_EQ(ask(Op::probabilities, {1, 0, context}, context), expected);
    });
}

TEST_P(GoldenSourceTest, RefusesWhatItDoesNotHold) {
    const std::int64_t context = layer_.shape.context;
    EXPECT_THROW(static_cast<void>(ask(Op::fc1, {-1, 0, 1}, 4 * layer_.shape.width())),
                 std::invalid_argument);
    EXPECT_THROW(static_cast<void>(ask(Op::scores, {-1, 0, 1}, context)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(ask(Op::scores, {6, 0, 1}, context)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(ask(Op::scores, {0, context, 1}, context)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(ask(Op::scores, {0, 0, 1}, context + 1)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(ask(Op::attention_norm, {0, 0, 1}, 64)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(source_.tensor(Op::scores)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(source_.tensor(Op::block)), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Contexts, GoldenSourceTest, ::testing::Values(1, 65, 450),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reference
