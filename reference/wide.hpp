// fp64 reference rows by BLAS, for a judge that needs every element: what `oracle_rows` computes, two orders
// of magnitude faster. It is certified against plain loops.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datasets/path.hpp"

namespace reference {

// How a product's sum is cut into k tiles, and what is wanted of them, element by element.
struct KTiles {
    enum class Of : std::uint8_t {
        products,      // |sum of a tile's own terms|, all tiles
        partial_sums,  // |sum so far|, the bias included, behind every tile but the last
    };
    std::int64_t width = 0;  // terms per tile; 0: nothing is wanted
    Of of{};
    std::span<double> sum{};  // over the tiles, dense
};

// The ops that an NPU path may take over: of a layer all but the residual sums, of the end its norm.
class WideReference {
public:
    // Weights come from `layer` or `end`, activations from `operands`, whose rows must stay as they are once
    // they have been asked for; both must outlive this.
    WideReference(const datasets::LayerCase& layer, const datasets::Source& operands);
    WideReference(const datasets::EndCase& end, const datasets::Source& operands);
    ~WideReference();
    WideReference(WideReference&&) noexcept;
    WideReference& operator=(WideReference&&) noexcept;

    // Value in fp64, of the op's direct inputs:
    //   query, key, value, output, fc1, fc2   = input weight^T + bias
    //   scores, probabilities, context        as `oracle_rows` defines them
    //   attention_norm, mlp_norm, encoder     = n gain + bias, n = (x - mean) / sqrt(biased variance + 1e-5)
    //   gelu                                  = x erfc(-x / sqrt 2) / 2
    // and what its error scales with: for products the sum of |a||b| plus |bias|, for norms
    // |n gain| + |bias|, for gelu |value|. Values err, relative to the magnitude, by about 1e-15 x the length
    // of the sum (norms: by 1e-15 x mean |x| / deviation); magnitudes are fp32 (within 1e-4). An empty
    // magnitude is not wanted, nor are `tiles` of no width. Thread-safe: whole operands (weights, keys,
    // values) are pulled and converted once, at their first use. Throws std::invalid_argument for another op,
    // rows that are not there, weights that are missing, and tiles of what is no product.
    void rows(datasets::Op op, datasets::Rows rows, std::span<double> value, std::span<float> magnitude,
              KTiles tiles = {}) const;

    // Gain and bias of attention_norm, mlp_norm or encoder. Throws as `rows` does.
    [[nodiscard]] const datasets::Norm& norm(datasets::Op op) const;

    // Euclidean norm of every key of one head, [time]. Thread-safe.
    [[nodiscard]] std::vector<double> key_norms(int head) const;
    // All values of one head, [time, 64]. Valid as long as this object. Thread-safe.
    [[nodiscard]] const double* value_matrix(int head) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace reference
