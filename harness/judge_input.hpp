// What the steps of a run read.
#pragma once

#include <cstdint>
#include <string_view>

namespace harness {

// The golden upstream, or what the path itself emitted before.
enum class Input : std::uint8_t { isolated, chained };

std::string_view name(Input input);

}  // namespace harness
