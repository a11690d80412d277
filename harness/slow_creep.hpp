// Times that creep up: by so little from night to night that no night shows it beside those before it, which
// creep along. The last nights of a season are held against its first.
#pragma once

#include <string>
#include <vector>

#include "harness/regression.hpp"

namespace harness {

// Runs of one environment, each side in order of time. A night is a day (UTC).
struct Season {
    // Of its first nights; of its last, those that are compared included, of which half as many count.
    std::vector<RunFigures> first;
    std::vector<RunFigures> recent;
    std::string words;  // what it is; of how many rows it says anything is added
};

// Times of the regression that are slower in the season's last nights than in its first become `crept`.
//   measured  by judge_times, with a night as one run, for runs of one night are alike, and after what the
//             night did to most rows is divided out: machines drift over weeks. Where most rows are slower,
//             they are ambiguous. Tonight must be nearer to the last nights than to the first. The figures
//             shown are medians as measured; the ratio that was judged stands beside them.
//   modelled  exactly: tonight's is more than 5% above the median of the first nights
// What is slower, faster or lost beside the baseline stays that.
void add_creep(Regression& regression, const Season& season);

}  // namespace harness
