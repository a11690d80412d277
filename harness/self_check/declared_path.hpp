// A path over norms and MLP in plain loops, for testing the judge apart from any device: it computes what it
// declares, or, with a flaw, what a broken kernel would.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "datasets/path.hpp"

namespace harness {

// What a kernel may get wrong.
enum class Flaw : std::uint8_t {
    none,
    tanh_gelu,           // GELU in its tanh form, at most 4.7e-4 off
    missing_bias,        // of a product or a norm
    transposed_weight,   // [in, out] taken for [out, in]
    last_step_dropped,   // the last 8 of the K products
    no_epsilon,          // 1e-5 missing in a norm
    unbiased_variance,   // N - 1 instead of N
    truncating_store,    // toward zero where nearest even is declared
    truncating_operand,  // the same for the rows that it reads
    zero_tile,           // one 64x64 tile of zeros
    stale_tile,          // one 64x64 tile of the block before
};

struct Planted {
    Flaw flaw = Flaw::none;
    datasets::Op op = datasets::Op::fc1;  // where
};

// Steps: attention_norm; mlp_norm, fc1, gelu, fc2; encoder. Operands and results are bf16 by nearest even,
// but for the fp32 rows of norms and GELU, and fp32 results of fc1 and fc2. Products are fp32 chains from the
// bias; norms add as AIE2's adder does, in 16 lanes; GELU errs by all that it declares, one way or the other.
class DeclaredPath final : public datasets::Path {
public:
    explicit DeclaredPath(Planted planted = {}) : planted_(planted) {}

    [[nodiscard]] std::string_view name() const override { return "declared"; }
    [[nodiscard]] std::span<const datasets::OpRange> steps() const override;
    [[nodiscard]] bool emits(datasets::Op) const override { return true; }
    [[nodiscard]] datasets::Arithmetic arithmetic(datasets::Op op) const override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::LayerCase& layer) override;
    std::unique_ptr<datasets::PreparedLayer> prepare(const datasets::EndCase& end) override;

private:
    Planted planted_;
};

}  // namespace harness
