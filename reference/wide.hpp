// fp64 reference rows by BLAS, for a judge that needs every element: what `oracle_rows` computes, two orders
// of magnitude faster. It is certified against the oracle.
#pragma once

#include <memory>
#include <span>

#include "datasets/path.hpp"

namespace reference {

class WideReference {
public:
    // Weights come from `layer`, activations from `operands`; both must outlive this.
    WideReference(const datasets::LayerCase& layer, const datasets::Source& operands);
    ~WideReference();
    WideReference(WideReference&&) noexcept;
    WideReference& operator=(WideReference&&) noexcept;

    // Value and magnitude as `oracle_rows` defines them, value in fp64 (relative to the magnitude within
    // about 1e-15 x the length of the sum), magnitude by fp32 products (within 1e-4 of it). An empty
    // magnitude is not wanted. Thread-safe: whole operands (weights, keys, values) are pulled and converted
    // once, at their first use.
    void rows(datasets::Op op, datasets::Rows rows, std::span<double> value,
              std::span<float> magnitude) const;

    // Whole operands of one head, [time, 64]: key and value in fp64, and the absolute values of the latter in
    // fp32. Valid as long as this object. Thread-safe.
    [[nodiscard]] const double* key_matrix(int head) const;
    [[nodiscard]] const double* value_matrix(int head) const;
    [[nodiscard]] const float* value_magnitudes(int head) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace reference
