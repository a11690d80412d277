// The judge under judgement: every planted fault on grounds and designs in its reach, every healthy variant,
// and which check saw what.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/experiment.hpp"
#include "harness/self_check/faults.hpp"

namespace harness {

struct SelfCheckRequest {
    std::vector<std::shared_ptr<const Ground>> grounds;
    std::vector<npu_impl::Design> designs;
    std::vector<Fault> faults = planted_faults();
    datasets::Emulation emulation = datasets::Emulation::fast;  // of the faulty devices
    std::string only_fault{};                                   // empty: all, and the healthy variants
    std::optional<Quantity> without{};                          // the findings of this check are ignored
    bool every_composition = false;                             // as healthy variants
    bool variants = true;

    // Each fault at every place on every ground; else so on the first that shows it, at one on the others.
    bool every_place = true;

    // Longer contexts take each fault once per design, on the first of their grounds that shows it, and
    // compositions not at all as healthy variants.
    static constexpr std::int64_t every_place_up_to = 500;
};

// One fault at one place of one ground in one design.
struct TrialResult {
    std::string fault;
    Seam seam{};
    Quantity own{};
    bool equivalent = false;
    std::string place;
    std::string ground;
    std::string arguments;  // of `harness self-check`, which run the fault on this ground and design
    std::string design;
    std::vector<Finding> findings;
    std::string error{};  // why it could not run; empty: it ran

    [[nodiscard]] bool fired(Quantity check) const;
    // Visible: its own check fired. Equivalent: nothing did that spares the healthy design.
    [[nodiscard]] bool as_due() const;
};

struct VariantResult {
    std::string name;
    std::string says;
    std::string ground;
    std::vector<Finding> findings;  // false alarms
    std::string error{};

    [[nodiscard]] bool as_due() const { return findings.empty() && error.empty(); }
};

// A fault that none of the grounds and designs can show.
struct Untried {
    std::string fault;
    std::string needs;
};

struct SelfCheckResult {
    std::vector<TrialResult> trials;
    std::vector<VariantResult> variants;
    std::vector<Untried> untried;
    std::vector<Quantity> unproven;  // by these trials; empty where one fault or none was asked for
    std::optional<Quantity> without{};

    [[nodiscard]] bool passed() const;
};

// Gated checks that no trial has as its own and killed; of levels 2 and 3, that fired in none.
std::vector<Quantity> unproven_by(const std::vector<TrialResult>& trials);

// Trials run side by side; their order in the result does not depend on it. A design is left out of a trial
// where another before it computes the place by the same kernels and arithmetic. Throws
// std::invalid_argument for an unknown fault, in one line that lists the nearest.
SelfCheckResult self_check(const SelfCheckRequest& request, const Progress& progress);

// Number of times `self_check` reports progress.
int stages_of(const SelfCheckRequest& request);

}  // namespace harness
