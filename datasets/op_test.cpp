// The table of ops against the numbers of the Whisper paper's model and against itself.
#include "datasets/op.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>

namespace datasets {
namespace {

constexpr LayerShape base{1500, 8};
constexpr LayerShape base_long{3001, 8};

double attention_flop(const LayerShape& shape) {
    double sum = 0;
    for (const OpInfo& op : ops_in(attention_ops)) {
        sum += op.flop(shape);
    }
    return sum;
}

TEST(OpTable, HoldsEveryOpOnceInEnumOrder) {
    ASSERT_EQ(op_table().size(), static_cast<std::size_t>(op_count));
    for (std::size_t i = 0; i < op_table().size(); ++i) {
        const OpInfo& row = op_table()[i];
        EXPECT_EQ(static_cast<std::size_t>(row.op), i);
        EXPECT_EQ(&info(row.op), &row);
        EXPECT_EQ(name(row.op), row.name);
    }
}

TEST(OpTable, ParseIsTheInverseOfName) {
    std::set<std::string_view> names;
    for (const OpInfo& row : op_table()) {
        EXPECT_EQ(parse_op(row.name), row.op);
        EXPECT_TRUE(names.insert(row.name).second) << row.name << " names two ops";
    }
    for (const char* unknown : {"", "Query", "query ", "q", "unknown"}) {
        EXPECT_EQ(parse_op(unknown), std::nullopt) << unknown;
    }
}

// Dataflow order is what lets a range of the enum be a piece of the encoder.
TEST(OpTable, InputsComeBeforeTheirOp) {
    for (const OpInfo& row : op_table()) {
        for (const Op input : row.inputs) {
            EXPECT_LT(input, row.op) << row.name;
        }
        EXPECT_EQ(row.inputs.empty(), row.op == Op::mel) << row.name;
    }
}

TEST(OpTable, DatasetNamesAreUniqueAndSquareTensorsAreNeverRecorded) {
    std::set<std::string_view> datasets;
    for (const OpInfo& row : op_table()) {
        if (!row.dataset.empty()) {
            EXPECT_TRUE(datasets.insert(row.dataset).second) << row.name;
            EXPECT_NE(row.form, Form::square) << row.name;
        }
    }
}

TEST(OpTable, AttentionIsSevenContiguousOps) {
    const auto ops = ops_in(attention_ops);
    ASSERT_EQ(ops.size(), static_cast<std::size_t>(attention_op_count));
    EXPECT_EQ(ops.front().op, Op::query);
    EXPECT_EQ(ops.back().op, Op::output);
    for (const OpInfo& row : op_table()) {
        const bool inside = std::ranges::any_of(ops, [&](const OpInfo& op) { return op.op == row.op; });
        EXPECT_EQ(attention_ops.contains(row.op), inside) << row.name;
    }
    EXPECT_EQ(ops_in({Op::scores, Op::scores}).size(), 1U);
}

TEST(OpTable, OnlyOpsOfTheAttentionHaveHeads) {
    for (const OpInfo& row : op_table()) {
        EXPECT_EQ(has_heads(row.op), attention_ops.contains(row.op) && row.op != Op::output) << row.name;
    }
}

TEST(OpTable, RowWidths) {
    EXPECT_EQ(row_width(Op::attention_norm, base), 512);
    EXPECT_EQ(row_width(Op::query, base), 64);
    EXPECT_EQ(row_width(Op::scores, base), 1500);
    EXPECT_EQ(row_width(Op::fc1, base), 2048);
    EXPECT_EQ(row_width(Op::output, base), 512);
    EXPECT_THROW(row_width(Op::mel, base), std::invalid_argument);
}

// A product does 2 operations per element of its result and step of its reduction: the law that ties the
// columns of the table together.
TEST(OpTable, FlopsAreTwicePerElementAndReductionStep) {
    for (const LayerShape& shape : {base, base_long, LayerShape{1, 6}, LayerShape{127, 20}}) {
        for (const OpInfo& row : op_table()) {
            const double reduction = static_cast<double>(row.reduction(shape));
            if (row.form == Form::frames) {
                EXPECT_EQ(row.flop(shape), 0) << row.name;
                continue;
            }
            const double columns =
                static_cast<double>(row_width(row.op, shape)) * (has_heads(row.op) ? shape.heads : 1);
            EXPECT_DOUBLE_EQ(row.flop(shape), 2 * static_cast<double>(shape.context) * columns * reduction)
                << row.name;
        }
    }
}

// Whisper's published dimensions, GFLOP per layer.
TEST(OpTable, FlopsOfTheModelSizes) {
    EXPECT_NEAR(attention_flop(base) / 1e9, 7.754, 5e-4);
    EXPECT_NEAR(attention_flop(base_long) / 1e9, 24.738, 5e-4);
    EXPECT_NEAR(attention_flop({1500, 6}) / 1e9, 5.225, 5e-4);
    EXPECT_NEAR(attention_flop({1500, 12}) / 1e9, 13.990, 5e-4);
    EXPECT_NEAR(attention_flop({1500, 16}) / 1e9, 21.799, 5e-4);
    EXPECT_NEAR(attention_flop({1500, 20}) / 1e9, 31.181, 5e-4);
    EXPECT_NEAR(info(Op::query).flop(base) / 1e9, 0.786, 5e-4);
    EXPECT_NEAR(info(Op::scores).flop(base) / 1e9, 2.304, 5e-4);
    EXPECT_NEAR(info(Op::context).flop(base) / 1e9, 2.304, 5e-4);
    EXPECT_NEAR((info(Op::fc1).flop(base) + info(Op::fc2).flop(base)) / 1e9, 6.291, 5e-4);
}

TEST(StemShape, ContextFollowsFromTheFrames) {
    EXPECT_EQ((StemShape{80, 3000, 2, 8}).context(), 1500);
    EXPECT_EQ((StemShape{80, 3001, 1, 8}).context(), 3001);
    EXPECT_EQ((StemShape{80, 1, 2, 8}).context(), 1);
    EXPECT_EQ((StemShape{80, 2, 2, 8}).context(), 1);
    EXPECT_EQ((StemShape{80, 3, 2, 8}).context(), 2);
    EXPECT_EQ((StemShape{80, 0, 2, 8}).context(), 0);
}

TEST(StemShape, DimensionsAndFlopsOfTheStem) {
    const StemShape stem{80, 3000, 2, 8};
    EXPECT_EQ(row_count(Op::mel, stem), 3000);
    EXPECT_EQ(row_count(Op::conv1, stem), 3000);
    EXPECT_EQ(row_count(Op::conv2, stem), 1500);
    EXPECT_EQ(row_count(Op::embedding, stem), 1500);
    EXPECT_EQ(row_width(Op::mel, stem), 80);
    EXPECT_EQ(row_width(Op::conv1, stem), 512);
    EXPECT_NEAR((flop(Op::conv1, stem) + flop(Op::conv2, stem)) / 1e9, 3.10, 5e-3);  // published for base
    EXPECT_EQ(flop(Op::embedding, stem), 0);
    EXPECT_THROW((void)row_width(Op::attention_norm, stem), std::invalid_argument);
}

TEST(LayerShape, PadsToWholeBlocks) {
    EXPECT_EQ((LayerShape{1, 8}).blocks(), 1);
    EXPECT_EQ((LayerShape{64, 8}).blocks(), 1);
    EXPECT_EQ((LayerShape{65, 8}).blocks(), 2);
    EXPECT_EQ(base.blocks(), 24);
    EXPECT_EQ(base_long.blocks(), 47);
    EXPECT_EQ(base.width(), 512);
    EXPECT_EQ(base.mlp_width(), 2048);
}

}  // namespace
}  // namespace datasets
