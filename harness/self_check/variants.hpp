// Healthy variants: legitimate differences that must pass without a finding.
#pragma once

#include <string>
#include <vector>

#include "harness/self_check/candidate.hpp"

namespace harness {

struct Variant {
    std::string name;
    std::string says;  // what is different, and why that is legitimate
    npu_impl::Design design;
    datasets::Emulation emulation = datasets::Emulation::fast;
    Plant plant{};
    std::uint64_t row_seed = 1;
    bool one_task = false;       // runs on one thread
    bool cut_recording = false;  // the recorded tensors were stored as bf16
};

// `every_composition`: besides, each composition of this build's manifest that is no variant yet.
std::vector<Variant> healthy_variants(bool every_composition);

// All findings on `ground`: every op that the variant's design puts out, isolated and chained, and the end.
// The headline is left out where every op lies within its derived bound: a match is the users' criterion,
// which an honest declaration may miss.
std::vector<Finding> findings_of(const Variant& variant, const Ground& ground);

}  // namespace harness
