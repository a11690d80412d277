// Bisections as JSON, for programs that follow an error over nights.
#pragma once

#include <string>
#include <vector>

#include "harness/bisect.hpp"

namespace harness {

struct BisectionScope {
    std::string command;
    std::string created_utc;
    std::string recording;
    std::string recording_sha256;
    std::string design;
    std::string device;
    std::string emulation;
};

// Schema "npu-attention-bisection".
std::string to_json(const std::vector<LayerBisection>& found, const BisectionScope& scope);

}  // namespace harness
