// A path over a device, with what a fault puts around its parts.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "harness/experiment.hpp"
#include "harness/self_check/faults.hpp"
#include "npu_impl/npu_path.hpp"

namespace harness {

class Candidate {
public:
    // Everything must outlive this.
    Candidate(const Plant& plant, const Ground& ground, const npu_impl::Design& design,
              datasets::Emulation emulation);

    [[nodiscard]] datasets::Path& path() { return decorated_path_ ? *decorated_path_ : *npu_; }

private:
    std::unique_ptr<npu_impl::Device> device_;
    std::unique_ptr<npu_impl::Device> decorated_device_;
    std::unique_ptr<npu_impl::NpuPath> npu_;
    std::unique_ptr<datasets::Path> decorated_path_;
};

// The steps of `design` that make `place`.
datasets::OpRange steps_of(const npu_impl::Design& design, datasets::OpRange place);

// Whether `design` puts out what is judged at `place`, and `ground` holds what that takes.
bool within_reach(const npu_impl::Design& design, const Ground& ground, datasets::OpRange place);

// Judges `place` of `ground` as computed by `path`, by run_case or, for the end, run_end.
struct PlaceTrial {
    datasets::OpRange place{};
    std::vector<Input> inputs{Input::isolated};
    std::set<datasets::Op> judged{};  // empty: all
    std::uint64_t row_seed = 1;
};
CaseResult run_trial(const datasets::LayerCase& layer, const Ground& ground, const npu_impl::Design& design,
                     datasets::Path& path, const PlaceTrial& trial);

}  // namespace harness
