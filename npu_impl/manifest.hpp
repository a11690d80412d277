// Reads kernels/manifest.json, which this build carries inside (`embedded_manifest`).
//
// Schema v3: `core` (bytes of data memory and stack), `kernels` (function, source and core memory by name),
// `arithmetic` (declarations by name), `designs`, which refer to both for each op of their class,
// `combinations` of designs and `defaults`. A manifest is refused as a whole: unknown or missing fields, ops
// that are not exactly those of the class, stores and sums that a kernel cannot make, core memory that
// overflows, combinations that do not compose. The arithmetic of a norm declares `weight_rounding` (gain and
// bias to bf16; its other operand is fp32), that of a GELU `function_error` and `function_floor`.
#pragma once

#include <stdexcept>
#include <string_view>

#include "npu_impl/design.hpp"

namespace npu_impl {

// One line: the design (or section) and the field, and what is wrong with it.
class ManifestError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

Catalogue parse_manifest(std::string_view json);

std::string_view embedded_manifest();

}  // namespace npu_impl
