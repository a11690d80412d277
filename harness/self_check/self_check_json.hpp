// The result of a self-check as JSON, every trial in full.
#pragma once

#include <string>

#include "harness/self_check/self_check.hpp"

namespace harness {

std::string to_json(const SelfCheckResult& result);

}  // namespace harness
