// The golden end of the encoder as a `Source`: what its norm reads, and what it makes of that.
#pragma once

#include <span>
#include <vector>

#include "datasets/path.hpp"

namespace reference {

class GoldenEndSource final : public datasets::Source {
public:
    // Runs the golden end once over `block` [time, width], which is kept. Throws std::invalid_argument for
    // another size.
    GoldenEndSource(const datasets::EndCase& end, std::vector<float> block);

    // Serves block and encoder, any rows, head -1. Thread-safe. Throws std::invalid_argument for other ops or
    // rows, or where `out` has another size.
    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

private:
    datasets::LayerShape shape_;
    std::vector<float> block_;
    std::vector<float> encoder_;
};

}  // namespace reference
