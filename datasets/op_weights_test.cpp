#include "datasets/op_weights.hpp"

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

TEST(NormOf, IsThereForTheNormsOfAPieceAndForNothingElse) {
    LayerCase layer;
    EndCase end;
    for (const OpInfo& info : op_table()) {
        const Norm* const of_layer = info.op == Op::attention_norm ? &layer.weights.attention_norm
                                     : info.op == Op::mlp_norm     ? &layer.weights.mlp_norm
                                                                   : nullptr;
        EXPECT_EQ(norm_of(LayerOrEnd{.layer = &layer}, info.op), of_layer) << info.name;
        EXPECT_EQ(norm_of(LayerOrEnd{.end = &end}, info.op), info.op == Op::encoder ? &end.norm : nullptr)
            << info.name;
        EXPECT_EQ(norm_of(LayerOrEnd{}, info.op), nullptr) << info.name;
    }
}

}  // namespace
}  // namespace datasets
