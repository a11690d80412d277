#include "datasets/block_linears.hpp"

#include <gtest/gtest.h>

#include <set>

namespace datasets {
namespace {

// An op sums over weights exactly where it has linear weights, and no two ops share theirs.
TEST(LinearOf, IsThereForEveryProductWithWeightsAndForNothingElse) {
    BlockWeights weights;
    const BlockWeights& constant = weights;
    std::set<const Linear*> seen;
    for (const OpInfo& info : op_table()) {
        const bool of_layer = layer_ops.contains(info.op);
        const bool of_activations = info.form == Form::square || info.op == Op::context;
        const bool has_weights = of_layer && !of_activations && info.reduction(LayerShape{64, 2}) > 0;
        const Linear* found = linear_of(constant, info.op);
        EXPECT_EQ(found != nullptr, has_weights) << info.name;
        EXPECT_EQ(linear_of(weights, info.op), found) << info.name;
        if (found != nullptr) {
            EXPECT_TRUE(seen.insert(found).second) << info.name;
        }
    }
    EXPECT_EQ(seen.size(), 6U);
    EXPECT_EQ(linear_of(constant, Op::value), &weights.attention.value);
    EXPECT_EQ(linear_of(constant, Op::fc2), &weights.fc2);
}

}  // namespace
}  // namespace datasets
