#include "npu_impl/manifest.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
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
    for (const ClassDesign& design : catalogue().designs) {
        names.push_back(design.name);
        EXPECT_FALSE(design.summary.empty());
        EXPECT_EQ(design.tile, TileShape{});
    }
    EXPECT_THAT(names,
                ::testing::ElementsAre("legacy_tile64", "tile64", "tile64_batch", "gemm_array",
                                       "gemm_array_floor", "gemm_array_rerounded", "softmax_rows",
                                       "softmax_rows_floor", "attention_fused", "attention_fused_floor",
                                       "gelu_tiles", "gelu_tiles_floor", "norm_rows", "norm_rows_floor"));
    ASSERT_EQ(catalogue().combinations.size(), 2U);
    EXPECT_EQ(designs().front().name, "unfused");
    EXPECT_EQ(designs().size(), 96U);
    for (const Design& design : designs()) {
        EXPECT_FALSE(design.summary.empty());
        EXPECT_EQ(design.steps.front().ops.first, Op::attention_norm);
        EXPECT_EQ(design.steps.back().ops.last, Op::encoder);
        EXPECT_EQ(find_design(design.name), &design);
        for (const StepDesign& step : design.steps) {
            EXPECT_LE(design.core_bytes(step.kernel), design.l1_bytes);
            EXPECT_EQ(step.kernel.source == KernelSource::scalar,
                      step.kernel.name == "tile_bf16_bf16_scalar");
        }
    }
}

TEST(Compose, TakesOneDesignPerClassAndDefaultsForTheRest) {
    EXPECT_EQ(find_design("unfused")->steps.size(), 13U);
    EXPECT_FALSE(find_design("unfused")->fused());
    EXPECT_TRUE(find_design("fused")->fused());
    EXPECT_EQ(find_design("fused")->steps.size(), 11U);
    EXPECT_FALSE(find_design("fused")->emits(Op::probabilities));
    EXPECT_EQ(compose("softmax_rows").name, "unfused");
    EXPECT_EQ(compose("gemm_array").name, "unfused");
    EXPECT_EQ(compose("attention_fused").name, "fused");
    EXPECT_EQ(compose("attention_fused,gemm_array").name, "fused");
    EXPECT_EQ(compose("tile64").name, "tile64,softmax_rows");
    EXPECT_EQ(compose("softmax_rows,tile64").name, "tile64,softmax_rows");
    EXPECT_EQ(compose("norm_rows,gelu_tiles").name, "unfused");
    EXPECT_EQ(compose("gelu_tiles_floor").name, "gemm_array,softmax_rows,gelu_tiles_floor");
    EXPECT_EQ(compose("norm_rows_floor,gelu_tiles_floor,tile64").name,
              "tile64,softmax_rows,gelu_tiles_floor,norm_rows_floor");
    const Design mixed = compose("attention_fused,tile64");
    EXPECT_EQ(mixed.name, "tile64,attention_fused");
    EXPECT_EQ(mixed.steps.size(), 11U);
    EXPECT_EQ(mixed.step_of(Op::context).kernel.name, "attention_bf16_bf16");
    EXPECT_EQ(mixed.step_of(Op::context).cores, 16);
    EXPECT_EQ(mixed.step_of(Op::output).cores, 1);
    EXPECT_EQ(mixed.step_of(Op::output).tiles_per_launch, 1);
    EXPECT_EQ(mixed.cores(), 16);
    EXPECT_EQ(mixed.arithmetic_of(Op::context).tile_sum, datasets::TileSum::on_core);
    EXPECT_EQ(mixed.arithmetic_of(Op::output).tile_sum, datasets::TileSum::on_host);
    EXPECT_EQ(find_design("tile64_batch")->step_of(Op::query).tiles_per_launch, 8);
    EXPECT_EQ(find_design("tile64_batch")->step_of(Op::probabilities).tiles_per_launch, 0);
}

TEST(Manifest, ADesignsHashIsOfAllThatIsDeclaredOfItAndNothingElse) {
    const auto changed = [](const char* from, const char* to) {
        std::string text(embedded_manifest());
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, std::string_view(from).size(), to);
        return parse_manifest(text);
    };
    const auto hash = [](const Catalogue& catalogue, std::string_view design) {
        return compose(catalogue, std::array{design}).declaration_sha256;
    };
    EXPECT_EQ(hash(catalogue(), "unfused").size(), 64U);
    EXPECT_NE(hash(catalogue(), "unfused"), hash(catalogue(), "fused"));
    EXPECT_EQ(hash(catalogue(), "unfused"), hash(catalogue(), "softmax_rows"));
    const Catalogue fewer = changed("\"tiles_per_launch\": 8", "\"tiles_per_launch\": 16");
    EXPECT_NE(hash(fewer, "tile64_batch"), hash(catalogue(), "tile64_batch"));
    EXPECT_EQ(hash(fewer, "unfused"), hash(catalogue(), "unfused"));
}

TEST(Compose, RefusesInOneLine) {
    const auto expect = [](std::string_view list, const std::string& what) {
        EXPECT_EQ(find_design(list), nullptr);
        EXPECT_THAT([&] { compose(list); }, ThrowsMessage<std::invalid_argument>(
                                                AllOf(HasSubstr(what), ::testing::Not(HasSubstr("\n")))));
    };
    expect("magic", "'magic'; valid: unfused, fused, legacy_tile64, tile64,");
    expect("", "unknown design ''");
    expect("tile64,", "unknown design ''");
    expect("tile64,gemm_array", "tile64 and gemm_array are both of the class gemm");
    expect("unfused,tile64", "both of the class gemm");
    expect("tile64,tile64", "both of the class gemm");
    expect("norm_rows,norm_rows_floor", "norm_rows and norm_rows_floor are both of the class norm");
    expect("attention_fused,softmax_rows", "attention_fused leaves nothing for softmax_rows");
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
    using kernels::Store;
    const auto stores = [](std::string_view name, Op op) {
        return tile_output(find_design(name)->arithmetic_of(op)).store;
    };
    for (const Op op : {Op::query, Op::key, Op::value, Op::context}) {
        EXPECT_EQ(stores("unfused", op), Store::bf16_nearest_even);
        EXPECT_EQ(stores("fused", op), Store::bf16_nearest_even);
        EXPECT_EQ(stores("gemm_array_floor", op), Store::bf16_floor);
        EXPECT_EQ(stores("gemm_array_rerounded", op), Store::bf16_floor);
        EXPECT_EQ(stores("tile64", op), Store::f32);
        EXPECT_EQ(stores("legacy_tile64", op), Store::bf16_floor);
        EXPECT_EQ(find_design("legacy_tile64")->arithmetic_of(op).store, DType::f32);
    }
    for (const Design& design : designs()) {
        for (const datasets::OpInfo& op : datasets::ops_in(datasets::attention_ops)) {
            const datasets::Arithmetic& arithmetic = design.arithmetic_of(op.op);
            const bool legacy = design.name.starts_with("legacy") &&
                                design.step_of(op.op).kernel.source == KernelSource::scalar;
            EXPECT_EQ(arithmetic.accumulation,
                      legacy ? datasets::Accumulation::chain_f32 : datasets::Accumulation::vmac_f32);
            EXPECT_EQ(arithmetic.operand_rounding,
                      legacy ? datasets::Rounding::toward_zero : datasets::Rounding::nearest_even);
            EXPECT_EQ(arithmetic.tile_sum == datasets::TileSum::on_core, arithmetic.k_tile == 0);
        }
        EXPECT_EQ(design.arithmetic_of(Op::scores).store, DType::f32);
        EXPECT_EQ(design.arithmetic_of(Op::output).store, DType::f32);
        EXPECT_EQ(design.arithmetic_of(Op::probabilities).operand, DType::f32);
        EXPECT_EQ(design.arithmetic_of(Op::probabilities).key_tile, 64);
        for (const Op op : {Op::fc1, Op::fc2}) {
            EXPECT_EQ(design.arithmetic_of(op).store, DType::f32) << design.name;
            EXPECT_EQ(design.arithmetic_of(op).operand, DType::bf16) << design.name;
        }
        const bool gelu_floor = design.name.find("gelu_tiles_floor") != std::string::npos;
        const bool norm_floor = design.name.find("norm_rows_floor") != std::string::npos;
        EXPECT_EQ(stores(design.name, Op::gelu), gelu_floor ? Store::bf16_floor : Store::bf16_nearest_even);
        EXPECT_NEAR(design.arithmetic_of(Op::gelu).function_error, std::exp2(-11.4), 1e-9);
        EXPECT_EQ(design.arithmetic_of(Op::gelu).function_floor, 0x1p-8);
        for (const Op op : {Op::attention_norm, Op::mlp_norm, Op::encoder}) {
            EXPECT_EQ(stores(design.name, op), norm_floor ? Store::bf16_floor : Store::bf16_nearest_even);
            EXPECT_EQ(design.arithmetic_of(op).operand, DType::f32);
            EXPECT_EQ(weight_rounding(design.arithmetic_of(op)), datasets::Rounding::nearest_even);
            EXPECT_EQ(design.arithmetic_of(op).accumulation, datasets::Accumulation::vmac_f32);
        }
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
    expect(with("\"schema_version\": 3", "\"schema_version\": 2"), "top level", "'schema_version'");
    expect(with("\"cores\": 16", "\"cores\": 17"), "design gemm_array", "'cores'");
    expect(with("\"cores\": 16", "\"cores\": \"16\""), "design gemm_array", "'cores'");
    expect(with("\"cores\": 16,", ""), "design gemm_array", "'cores' is missing");
    expect(with("\"cores\": 16", "\"colour\": 1, \"cores\": 16"), "design gemm_array", "'colour'");
    expect(with("{\"m\": 64", "{\"m\": 32"), "design legacy_tile64 tile", "'m'");
    expect(with("\"tiles_per_launch\": 8", "\"tiles_per_launch\": 12"), "design tile64_batch",
           "'tiles_per_launch'");
    expect(with("\"class\": \"softmax\"", "\"class\": \"pool\""), "design softmax_rows", "'class'");
    expect(with("\"class\": \"softmax\"", "\"class\": \"gemm\""), "design softmax_rows ops",
           "'probabilities' is not a known field");
    expect(with("\"key\": {\"kernel\"", "\"gelu\": {\"kernel\""), "design legacy_tile64 ops", "'gelu'");
    expect(with("{\"kernel\": \"matmul_bf16_f32\"", "{\"kernel\": \"none\""), "design tile64_batch scores",
           "'kernel'");
    expect(with("{\"kernel\": \"softmax_f32_bf16\"", "{\"kernel\": \"matmul_bf16_f32\""),
           "design softmax_rows probabilities", "does not compute probabilities");
    expect(with("\"arithmetic\": \"product_bf16\"", "\"arithmetic\": \"product_f32\""),
           "design tile64_batch query", "operand or store");
    expect(with("\"arithmetic\": \"product_bf16\"", "\"arithmetic\": \"missing\""),
           "design tile64_batch query", "'missing'");
    expect(with("\"arithmetic\": \"product_bf16\"", "\"arithmetic\": \"product_bf16_rerounded\""),
           "design tile64_batch query", "tile_sum");
    expect(with("\"arithmetic\": \"tile_bf16_floor\"", "\"arithmetic\": \"tile_f32\""),
           "design legacy_tile64 query", "accumulation");
    expect(with("\"tile_sum\": \"rounded\"", "\"tile_sum\": \"on_disk\""), "product_bf16_rerounded",
           "'tile_sum'");
    expect(with("\"tile_rounding\": \"floor\"", "\"tile_rounding\": \"toward_zero\""),
           "design gemm_array_rerounded query", "tile_sum");
    expect(with("\"k_tile\": 64", "\"k_tile\": 32"), "product_bf16_rerounded", "'k_tile'");
    expect(with("\"source\": \"scalar\"", "\"source\": \"cuda\""), "kernel tile_bf16_bf16_scalar",
           "'source'");
    expect(with("\"store\": \"bf16\"", "\"store\": \"f16\""), "arithmetic product_bf16", "'store'");
    expect(with("\"exp_error\": 0.0102037024", "\"exp_error\": 0"), "arithmetic softmax", "'exp_error'");
    expect(with("\"stack_bytes\": 3328", "\"stack_bytes\": 27000"), "design", "bytes of a core's 65536");
    expect(with("\"copies\": 2", "\"copies\": 3"), "kernel matmul_bf16", "'copies'");
    expect(with("\"name\": \"tile64\"", "\"name\": \"legacy_tile64\""), "design legacy_tile64",
           "'name' is taken");
    expect(with("\"name\": \"fused\"", "\"name\": \"tile64\""), "combination tile64", "'name' is taken");
    expect(with("\"name\": \"tile64\"", "\"name\": \"\""), "design number 2", "'name'");
    expect(with("\"name\": \"tile64\"", "\"name\": \"a,b\""), "design a,b", "comma");
    expect(with("[\"gemm_array\", \"softmax_rows\"", "[\"gemm_array\", \"tile64\""), "combination unfused",
           "both of the class gemm");
    expect(with("\"gemm\": \"gemm_array\"", "\"gemm\": \"none\""), "defaults", "unknown design 'none'");
    expect(with("\"weight_rounding\": \"nearest_even\",", ""), "arithmetic layer_norm",
           "'weight_rounding' is missing");
    expect(with("\"function_error\": 0.000370048", "\"function_error\": 0"), "arithmetic gelu",
           "'function_error'");
    expect(with("\"arithmetic\": \"gelu\"", "\"arithmetic\": \"product_bf16\""), "design gelu_tiles",
           "'function_error'");
    expect(with("\"exp_error\": 0.0102037024", "\"exp_error\": 0.0102037024, \"function_error\": 0.1"),
           "arithmetic softmax", "'function_error' is not a known field");
    expect(with("{\"kernel\": \"gelu_f32_bf16\"", "{\"kernel\": \"layer_norm_f32_bf16\""),
           "design gelu_tiles gelu", "does not compute gelu");
    expect(with("\"bytes\": 5120", "\"bytes\": 51200"), "design norm_rows attention_norm",
           "bytes of a core's");
    expect(with("\"norm\": \"norm_rows\"", "\"norm\": \"gelu_tiles\""), "defaults", "both of the class gelu");
    EXPECT_NO_THROW(parse_manifest(embedded_manifest()));
}

}  // namespace
}  // namespace npu_impl
