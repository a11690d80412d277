// What a probe found: level 3 of the gate (probes.hpp), as the run record keeps it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "datasets/path.hpp"
#include "harness/comparison.hpp"
#include "harness/gate.hpp"

namespace harness {

// Operands whose result is known in closed form.
enum class Probe : std::uint8_t {
    ones,         // V = 1 with every logit far below 0, where padding that takes part would win
    zero_keys,    // K = 0: context is the mean of V
    raised_keys,  // every other row's largest logit beyond +100, the others' far below
    deep_keys,    // weights from 1 down to e^-65, each with a channel of its own
    one_hot,      // probabilities one-hot by construction, values that carry their own index
    integers,     // small integers: every sum of products is exact
};
inline constexpr int probe_count = 6;

std::string_view name(Probe probe);

// What a passed probe proves, in a few words.
std::string_view proves(Probe probe);

// The limit that decides.
Quantity quantity(Probe probe);

struct ProbeRow {
    Probe probe{};
    datasets::LayerShape shape;
    int head = -1;  // -1: all
    Judgement judgement;
    std::int64_t elements = 0;   // that came
    std::int64_t judged = 0;     // of them against an expectation, the others must only be finite
    std::int64_t nonfinite = 0;  // of all that came
    double rho = 0;              // largest |deviation| / bound; infinite where an exact result differs
    double row_sum_rho = 0;      // the same of 1 - the sum of a row of probabilities
    datasets::Op op{};           // of the worst element; where none deviates, the last that was computed
    Element worst;
    std::optional<datasets::Site> site;  // that made it; only of a failed probe
    std::string reproduce;               // a command that runs it; empty unless failed
};

}  // namespace harness
