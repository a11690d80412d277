// Whether data can show a fault at all. A gate run on data that cannot says `mistrusted` for that class,
// never `passed`, unless a probe that passed shows it instead.
//
// Each class has an effect, computed from the golden's own figures of every head (data_statistics.hpp), and
// what it must exceed. One head of one layer is enough, since a design runs the same kernel for all. With u
// the unit roundoff of the store, u_d that of the exp's argument and E the error of exp, weights that decide
// about a row (|d| <= 1, one growth of the maximum) err by tw = (1 + E)^2 (1 + u_d) - 1, and a result by
//     2 tw / (1 - tw) + u =: b        (bounds.hpp, fused), relative to sum p |v|
// so an effect that changes a row by more than b lies outside the bound wherever |sum p v| is not much
// smaller than sum p |v|.
//   padding_unmasked  n / (n + sum e^s) > b: what n keys of logit 0 take
//   no_maximum        some m > 88 (e^88 is the largest that fp32 and the table hold) or m < -87 (all vanish)
//   exponent_range    some m - s > 128, where the table's exponent wraps
//   no_rescale        mass of the tiles before x (e^growth - 1) > b
//   narrow_sum        exp entropy > 2^9: a term of less than 2^-9 of a bf16 sum is lost
//   wrong_scale       weighted deviation of 7 s > b: the derivative of log p by log scale
//   scale_off         (8 / root 63 - 1) |sum p (s - sum p s) v| / sum p |v| > b, of a channel
//   last_key_dropped  p of the last key > b
//   bias_missing      |bias| / |result| > 2 u for query, value and output
//   heads_exchanged, rows_shifted, tiles_exchanged    differences of context over |v| > b
//   stale_output      difference of input rows that change places between A and B > b
// Where a size rules a class out (T a multiple of 64 has no padding, one tile no rescale), only a probe shows
// it.
#pragma once

#include <span>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "harness/data_statistics.hpp"
#include "harness/probe_row.hpp"
#include "harness/trust_row.hpp"

namespace harness {

// The probes of a run.
struct ProbesRun {
    std::span<const ProbeRow> layers;
    std::span<const ProbeRow> ragged;
};

// Of all layers that ran. `softmax`: the declared arithmetic of the op that takes the exp. A probe stands in
// only where each of its rows passed.
std::vector<TrustRow> judge_trust(std::span<const LayerStatistics> layers,
                                  const datasets::Arithmetic& softmax, const ProbesRun& probes);

}  // namespace harness
