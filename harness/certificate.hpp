// Before anything is judged: is the golden itself right? Against the fp64 oracle on sampled rows, and against
// what the recording holds. If either link breaks, every row of the case is mistrusted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/gate.hpp"
#include "reference/golden_source.hpp"

namespace harness {

struct Certificate {
    std::map<datasets::Op, double>
        oracle_error;  // relative Frobenius error of the golden on the sampled rows
    std::map<datasets::Op, double>
        recording_error;  // of the golden against the recorded tensor, where there is one
    std::string fault;    // the first of the findings; empty: certified
    std::vector<Finding> findings;
};

// Rows that are always checked beside the seeded ones: first, last, and those around tile borders.
std::vector<std::int64_t> certified_rows(std::int64_t context, std::uint64_t seed);

// Checks every op of `ops`, a range of the layer, against the oracle fed with the golden's own upstream, on
// at least 64 rows (of each head), and whole the row statistics and tensors of these ops that the recording
// holds. A golden that begins with the stream has computed attention_norm itself: that must be the recorded
// input, whatever `ops`. What differs from a bf16 recording by its rounding is allowed (gate.hpp).
Certificate certify(const datasets::LayerCase& layer, const reference::GoldenSource& golden,
                    datasets::OpRange ops, std::uint64_t seed);

// Checks conv1, conv2 and embedding against the oracle fed with the golden's own upstream, on at least 64
// rows of each. `golden` serves mel to embedding, any rows.
Certificate certify(const datasets::StemCase& stem, const datasets::Source& golden, std::uint64_t seed);

// Checks `encoder` against the oracle on at least 64 rows, and whole against what is recorded, if anything
// is. `golden` serves block and encoder.
Certificate certify(const datasets::EndCase& end, const datasets::Source& golden, std::uint64_t seed);

}  // namespace harness
