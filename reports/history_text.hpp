// The history in words, and as files for other programs.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "reports/history.hpp"

namespace reports {

// One line per run: number, time, commit, verdict, what ran where.
std::string history_list(const std::vector<HistoryRun>& runs);

// One environment's trends, of the same runs: per figure the value of the latest run, median, least and
// largest over all, and a spark line from the least to the largest. A run without the figure is a gap, "-"
// where it is the latest.
std::string trend_table(const HistoryRun& latest, const std::vector<Trend>& trends);

// Eight heights from the least to the largest value; a value that is not a number is a gap. At most `width`
// characters: of more values, neighbours are averaged.
std::string spark_line(const std::vector<double>& values, std::size_t width);

// Every figure of every run: one line each under a line of names, RFC 4180. Samples are separated by blanks.
void write_csv(std::ostream& out, const History& history);

// {"environments": [...], "runs": [{..., "figures": [...]}]}
void write_json(std::ostream& out, const History& history);

}  // namespace reports
