// Sizes and positions are signed (datasets/op.hpp); containers are not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace harness {

// `value` >= 0.
inline std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

}  // namespace harness
