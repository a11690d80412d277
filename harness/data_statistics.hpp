// What the activations of a layer look like to its attention: how peaked, how wide, how different from row to
// row. From this follows which faults they can show at all (data_trust.hpp).
#pragma once

#include <string>
#include <vector>

#include "datasets/layer_case.hpp"
#include "reference/golden_source.hpp"

namespace harness {

// Of one head. "Sampled": over four blocks of 64 rows, the first and the last among them; else over all rows.
// s are the scaled logits, p the probabilities, m and lse the row's largest s and log sum exp s.
struct HeadStatistics {
    int head = 0;
    double effective_keys = 0;          // exp of the mean entropy of p, sampled
    double median_top_probability = 0;  // of exp(m - lse)
    double lowest_logit = 0;            // sampled
    double highest_logit = 0;
    double lowest_row_max = 0;
    double negative_rows = 0;  // share of rows with m < 0

    // Largest effects of a fault on some row, as shares of its probability.
    double padding_share = 0;   // n / (n + exp lse) for n padded keys of logit 0
    double last_key_share = 0;  // p of the last key, sampled
    double rescaled_share =
        0;  // mass of earlier key tiles times e^growth - 1 of the maximum, at most 1; sampled
    double scale_share = 0;  // standard deviation of 7 s over the keys, weighted by p; sampled
    double scale_slope = 0;  // |sum p (s - sum p s) v| / sum p |v|, the largest of any channel: what context
                             // changes by, relative to its terms, with log scale; one of 8 sampled rows

    double widest_row = 0;  // m - smallest s of a row, sampled
    // Differences of rows of context, over the norm of the mean |v|.
    double neighbours = 0;  // the smallest, over the sampled blocks, of the largest between adjacent rows
    double blocks = 0;      // the smallest between sampled blocks, each the largest over its rows
    double next_head = 0;   // between a row and the same of the next head, the largest; sampled
};

struct LayerStatistics {
    std::string clip;
    int layer = 0;
    std::vector<HeadStatistics> heads;
    int outlier_channels = 0;    // of the input, with a root mean square beyond 6 times the median
    double largest_channel = 0;  // root mean square of the largest, over the median
    double mirrored_rows = 0;    // the largest difference of input rows i and T - 1 - i, over a row's norm
    double smallest_bias = 0;    // over query, value and output: the largest |bias| / |result|, sampled
};

// `golden` is that of `layer`. Costs about a tenth of the golden.
LayerStatistics statistics_of(const datasets::LayerCase& layer, const reference::GoldenSource& golden);

}  // namespace harness
