#include "npu_impl/manifest.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "kernels/exp_table.hpp"

namespace npu_impl {
namespace {

using datasets::DType;
using datasets::Op;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Manifest, HoldsTheDesignsOfThisBuild) {
    std::vector<std::string> names;
    for (const Design& design : designs()) {
        names.push_back(design.name);
        EXPECT_FALSE(design.summary.empty());
        EXPECT_EQ(design.tile, TileShape{});
        for (const StepDesign& step : design.steps) {
            EXPECT_LE(design.core_bytes(step.kernel), design.l1_bytes);
        }
    }
    EXPECT_THAT(names, ::testing::ElementsAre("unfused", "fused", "tile_batch8"));
    EXPECT_EQ(find_design("unfused")->steps.size(), 7U);
    EXPECT_FALSE(find_design("unfused")->fused());
    EXPECT_TRUE(find_design("fused")->fused());
    EXPECT_EQ(find_design("fused")->steps.size(), 5U);
    EXPECT_FALSE(find_design("fused")->emits(Op::probabilities));
    EXPECT_EQ(find_design("tile_batch8")->tiles_per_launch, 8);
    EXPECT_EQ(find_design("other"), nullptr);
}

TEST(Manifest, DeclaresTheErrorOfTheKernelsExponential) {
    const kernels::ExpError error = kernels::exp_error(kernels::Store::bf16_nearest_even);
    const double largest = std::max(-error.lowest, error.highest);
    for (const Design& design : designs()) {
        for (const Op op : {Op::probabilities, Op::context}) {
            const datasets::Arithmetic& arithmetic = design.arithmetic_of(op);
            if (arithmetic.key_tile > 0) {
                EXPECT_GE(arithmetic.exp_error, largest) << design.name;
                EXPECT_LE(arithmetic.exp_error, largest * (1 + 1e-8)) << design.name;
                EXPECT_EQ(arithmetic.exp_argument, DType::bf16);
            }
        }
    }
}

TEST(Manifest, DeclaresWhatTheKernelsStore) {
    for (const Design& design : designs()) {
        for (const Op op : {Op::query, Op::key, Op::value, Op::context}) {
            EXPECT_EQ(store_of(design.arithmetic_of(op)), kernels::Store::bf16_nearest_even);
        }
        EXPECT_EQ(store_of(design.arithmetic_of(Op::scores)), kernels::Store::f32);
        EXPECT_EQ(store_of(design.arithmetic_of(Op::output)), kernels::Store::f32);
        EXPECT_EQ(design.arithmetic_of(Op::probabilities).operand, DType::f32);
        EXPECT_EQ(design.arithmetic_of(Op::probabilities).key_tile, 64);
        EXPECT_EQ(design.arithmetic_of(Op::query).accumulation, datasets::Accumulation::chain_f32);
    }
}

// The manifest with the first `from` replaced by `to`.
std::string with(std::string_view from, std::string_view to) {
    std::string text(embedded_manifest());
    const auto place = text.find(from);
    EXPECT_NE(place, std::string::npos) << from;
    return text.replace(place, from.size(), to);
}

TEST(Manifest, RefusesWhatIsWrongAndNamesDesignAndField) {
    const auto expect = [](const std::string& text, const std::string& where, const std::string& what) {
        EXPECT_THAT([&] { parse_manifest(text); },
                    ThrowsMessage<ManifestError>(AllOf(HasSubstr(where), HasSubstr(what))));
    };
    expect("{", "manifest", "JSON");
    expect("[]", "top level", "must be an object");
    expect(with("npu-kernel-manifest", "else"), "top level", "'schema'");
    expect(with("\"schema_version\": 1", "\"schema_version\": 2"), "top level", "'schema_version'");
    expect(with("\"cores\": 16", "\"cores\": 17"), "design unfused", "'cores'");
    expect(with("\"cores\": 16", "\"cores\": \"16\""), "design unfused", "'cores'");
    expect(with("\"cores\": 16,", ""), "design unfused", "'cores' is missing");
    expect(with("\"cores\": 16", "\"colour\": 1, \"cores\": 16"), "design unfused", "'colour'");
    expect(with("{\"m\": 64", "{\"m\": 32"), "design unfused tile", "'m'");
    expect(with("\"tiles_per_launch\": 8", "\"tiles_per_launch\": 12"), "design tile_batch8",
           "'tiles_per_launch'");
    expect(with("\"first\": \"key\"", "\"first\": \"value\""), "design unfused step 2", "'first'");
    expect(with("\"first\": \"key\"", "\"first\": \"fc1\""), "design unfused step 2", "not an op");
    expect(with("\"kernel\": \"matmul_bf16_f32\"", "\"kernel\": \"none\""), "design unfused step 4",
           "'kernel'");
    expect(with("\"kernel\": \"softmax_f32_bf16\"", "\"kernel\": \"matmul_bf16_f32\""),
           "design unfused step 5", "does not compute probabilities");
    expect(with("\"query\": \"product_bf16\"", "\"query\": \"product_f32\""), "design unfused", "query");
    expect(with("\"query\": \"product_bf16\"", "\"query\": \"missing\""), "design unfused arithmetic",
           "'query'");
    expect(with("\"store\": \"bf16\"", "\"store\": \"f16\""), "design unfused arithmetic product_bf16",
           "'store'");
    expect(with("\"exp_error\": 0.0102037024", "\"exp_error\": 0"), "arithmetic softmax", "'exp_error'");
    expect(with("\"stack_bytes\": 3328", "\"stack_bytes\": 20000"), "design unfused",
           "bytes of a core's 65536");
    expect(with("\"copies\": 2", "\"copies\": 3"), "kernel matmul_bf16", "'copies'");
    expect(with("\"name\": \"fused\"", "\"name\": \"unfused\""), "design unfused", "'name' is taken");
    expect(with("\"name\": \"fused\"", "\"name\": \"\""), "design", "'name'");
    EXPECT_NO_THROW(parse_manifest(embedded_manifest()));
}

}  // namespace
}  // namespace npu_impl
