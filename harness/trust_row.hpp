// Which classes of faults a run could have revealed (data_trust.hpp), as the run record keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/gate.hpp"

namespace harness {

// What a kernel may get wrong, as far as it takes some property of the data to notice.
enum class FaultClass : std::uint8_t {
    padding_unmasked,  // padded keys take part in the softmax
    no_maximum,        // exp of the logits themselves
    exponent_range,    // exp wraps or clamps differences below -128
    no_rescale,        // the running sum keeps the maximum of its time
    narrow_sum,        // the running sum in bf16
    wrong_scale,       // logits not divided by 8
    scale_off,         // logits off by 1 in 127, as where they are divided by the root of 63
    last_key_dropped,
    bias_missing,
    heads_exchanged,
    rows_shifted,     // within a block of 64
    tiles_exchanged,  // blocks of 64 rows, or their outputs
    stale_output,     // that of the launch before
};
inline constexpr int fault_class_count = 13;

std::string_view name(FaultClass fault);

struct TrustRow {
    FaultClass fault{};
    Judgement judgement;  // passed: revealed; covered: by a probe; mistrusted: by nothing
    double effect = 0;    // the largest that it would have on this data
    double needed = 0;    // to be seen
    std::string where;    // of the largest effect
};

}  // namespace harness
