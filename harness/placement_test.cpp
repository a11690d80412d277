#include "harness/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using testing::ElementsAre;
using testing::HasSubstr;

// Properties of every placement: its ranges are in dataflow order, do not touch the sums with the residual
// stream, and its name parses to itself.
TEST(Placement, RangesAreOrderedAndLeaveResidualsToTheCpu) {
    for (const std::string& name : placement_names()) {
        const Placement placement = parse_placement(name);
        EXPECT_EQ(placement.name, name);
        Op last = Op::embedding;
        for (const OpRange& range : placement.layer) {
            EXPECT_LT(last, range.first) << name;
            EXPECT_LE(range.first, range.last) << name;
            EXPECT_TRUE(datasets::layer_ops.contains(range.last)) << name;
            last = range.last;
        }
        EXPECT_FALSE(placement.contains(Op::attention_residual)) << name;
        EXPECT_FALSE(placement.contains(Op::block)) << name;
        EXPECT_FALSE(placement.contains(Op::conv1)) << name;
        EXPECT_TRUE(placement.contains(Op::output)) << name;
    }
}

TEST(Placement, NamesAreWhatTheySay) {
    EXPECT_THAT(placement_names(), ElementsAre("attention", "attention,mlp", "all"));
    EXPECT_THAT(parse_placement("attention").layer, ElementsAre(datasets::attention_ops));
    EXPECT_THAT(parse_placement("attention,mlp").layer,
                ElementsAre(datasets::attention_ops, OpRange{Op::fc1, Op::fc2}));
    EXPECT_THAT(parse_placement("all").layer,
                ElementsAre(OpRange{Op::attention_norm, Op::output}, OpRange{Op::mlp_norm, Op::fc2}));
    EXPECT_FALSE(parse_placement("attention,mlp").end);
    EXPECT_TRUE(parse_placement("all").end);
    EXPECT_TRUE(parse_placement("all").contains(Op::encoder));
    EXPECT_FALSE(parse_placement("attention,mlp").contains(Op::mlp_norm));
}

TEST(Placement, RefusalListsTheValidNames) {
    for (const char* wrong : {"", "mlp", "mlp,attention", "ALL", "attention,"}) {
        try {
            parse_placement(wrong);
            FAIL() << wrong;
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), HasSubstr("valid: attention | attention,mlp | all"));
            EXPECT_THAT(error.what(), HasSubstr("'" + std::string(wrong) + "'"));
        }
    }
}

TEST(Placement, TellsWhichPlacementsHoldAnOp) {
    EXPECT_THAT(placements_with(Op::gelu), ElementsAre("attention,mlp", "all"));
    EXPECT_THAT(placements_with(Op::encoder), ElementsAre("all"));
    EXPECT_THAT(placements_with(Op::block), ElementsAre());
    EXPECT_THAT(placeable_ops(),
                ElementsAre(Op::attention_norm, Op::query, Op::key, Op::value, Op::scores, Op::probabilities,
                            Op::context, Op::output, Op::mlp_norm, Op::fc1, Op::gelu, Op::fc2, Op::encoder));
}

TEST(Placement, NamesTheFirstThingThatALayerLacks) {
    datasets::LayerCase layer;
    EXPECT_EQ(missing_for(parse_placement("attention"), layer), "");
    for (const char* name : {"attention,mlp", "all"}) {
        const Placement placement = parse_placement(name);
        layer = {};
        EXPECT_EQ(missing_for(placement, layer), "the weights of attention_norm");
        layer.weights.attention_norm.gain = {1};
        EXPECT_EQ(missing_for(placement, layer), "the weights of mlp_norm");
        layer.weights.mlp_norm.gain = {1};
        EXPECT_EQ(missing_for(placement, layer), "the weights of fc1");
        layer.weights.fc1.weight = {1};
        EXPECT_EQ(missing_for(placement, layer), "the weights of fc2");
        layer.weights.fc2.weight = {1};
        EXPECT_EQ(missing_for(placement, layer), "the residual stream that enters the layer");
        layer.stream = {1};
        EXPECT_EQ(missing_for(placement, layer), "");
    }
}

}  // namespace
}  // namespace harness
