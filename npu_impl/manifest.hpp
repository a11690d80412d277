// Reads kernels/manifest.json, which this build carries inside (`embedded_manifest`).
//
// Schema v1: `core` (bytes of data memory and stack), `kernels` (function and core memory by name),
// `arithmetic` (declarations by name) and `designs`, which refer to both. A design is refused as a whole:
// unknown or missing fields, steps that are not exactly query..output, stores that a kernel cannot make, core
// memory that overflows.
#pragma once

#include <stdexcept>
#include <string_view>
#include <vector>

#include "npu_impl/design.hpp"

namespace npu_impl {

// One line: the design (or section) and the field, and what is wrong with it.
class ManifestError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

std::vector<Design> parse_manifest(std::string_view json);

std::string_view embedded_manifest();

}  // namespace npu_impl
