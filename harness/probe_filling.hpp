// What the expectations of probes fill blocks with.
#pragma once

#include <cstdint>
#include <tuple>
#include <utility>

#include "datasets/path.hpp"
#include "harness/bounds.hpp"

namespace harness {

using Due = std::pair<double, double>;  // value and bound

// To the shape of the block that came.
inline void resize(Bounded& into, const datasets::TensorView& got) {
    into.rows = got.rows;
    into.columns = got.columns;
    into.value.resize(static_cast<std::size_t>(got.rows * got.columns));
    into.bound.resize(into.value.size());
}

// `due(row, column)` of the block gives a Due.
template <typename Value>
void fill(Bounded& into, const datasets::TensorView& got, const Value& due) {
    resize(into, got);
    for (std::int64_t row = 0; row < got.rows; ++row) {
        for (std::int64_t column = 0; column < got.columns; ++column) {
            const auto at = static_cast<std::size_t>(row * got.columns + column);
            std::tie(into.value[at], into.bound[at]) = due(row, column);
        }
    }
}

}  // namespace harness
