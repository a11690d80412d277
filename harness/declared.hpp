// What a path declares, as a value that can be changed: the arithmetic of each op, and what is one step.
#pragma once

#include <array>
#include <vector>

#include "datasets/path.hpp"

namespace npu_impl {
struct Design;
}  // namespace npu_impl

namespace harness {

struct Declared {
    std::array<datasets::Arithmetic, datasets::op_count> arithmetic{};
    std::vector<datasets::OpRange> steps;

    [[nodiscard]] const datasets::Arithmetic& of(datasets::Op op) const {
        return arithmetic[static_cast<std::size_t>(op)];
    }
    [[nodiscard]] datasets::Arithmetic& of(datasets::Op op) {
        return arithmetic[static_cast<std::size_t>(op)];
    }
    // The step that computes `op`. Throws std::invalid_argument where none does.
    [[nodiscard]] datasets::OpRange step_of(datasets::Op op) const;
    [[nodiscard]] bool has(datasets::Op op) const;
    // Whether the op ends or lies within a step of several.
    [[nodiscard]] bool fused(datasets::Op op) const;
};

Declared declared_by(const datasets::Path& path);

// Of every step of a design, whether a path over it emits it or not.
Declared declared_by(const npu_impl::Design& design);

}  // namespace harness
