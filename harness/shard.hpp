// One run dealt out in shards, to processes or machines that know nothing of each other: which part each of
// them does, and what its record says about it, so that shard_merge.hpp can put the whole together.
//
// The parts of a run are its cases (one layer, or the end, of one clip) and the probes that belong to the
// design alone. Cases of layers cost the same and are dealt one by one, in the recording's order; the ends,
// which are cheap, after them; the design's probes go to the last shard, which has the fewest cases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/op.hpp"
#include "harness/judge_input.hpp"

namespace harness {

// "2/5": the second of five. 1 <= index <= of.
struct Share {
    int index = 1;
    int of = 1;

    bool operator==(const Share&) const = default;
};

// The most shards that a run may have.
inline constexpr int most_shards = 1'000'000;

// Throws std::invalid_argument, one line, for what is not I/N with 1 <= I <= N.
Share parse_share(std::string_view text);

// Stands for a layer where the ops behind the last one are meant: the end of the encoder.
inline constexpr int end_layer = -1;

// One layer of one clip, or the end behind it.
struct RunCase {
    std::string clip;
    int layer = 0;

    auto operator<=>(const RunCase&) const = default;
};

struct ShardClip {
    std::string clip;
    double audio_seconds = 0;

    bool operator==(const ShardClip&) const = default;
};

// What the record of a shard, or of several, says beside what every record does: which of the whole it holds,
// and what the whole is.
struct ShardNote {
    int of = 1;               // shards of the whole
    std::vector<int> shards;  // that this record holds, ascending

    // The whole: all layers, then the end where there is one, of each clip in turn.
    std::vector<ShardClip> clips;
    std::vector<int> layers;
    bool end = false;
    std::vector<datasets::Op> ops;  // judged rows; empty: all
    std::vector<Input> inputs;
    int repetitions = 0;
    bool probes = true;
    bool design_probes = false;  // whether the probes of the design alone are part of it

    // Processes that died, or whose parts were of another run, in words; what they were at was run again, or
    // says so.
    std::vector<std::string> lost;
    int ranks_on_a_host = 1;  // at work at once, the most: they shared what was timed
};

// Every case of the whole, in the order of a run.
std::vector<RunCase> cases_of(const ShardNote& note);

// The shard (from 1) that runs each of cases_of(note).
std::vector<int> dealt(const ShardNote& note);

// The cases of the shards that the record holds, in the order of a run.
std::vector<RunCase> own_cases(const ShardNote& note);

// Whether the record holds the shard that runs the probes of the design alone.
bool owns_design_probes(const ShardNote& note);

// Whether no shard is missing.
bool complete(const ShardNote& note);

// "3", "1-4, 7"
std::string shard_list(const std::vector<int>& shards);

}  // namespace harness
