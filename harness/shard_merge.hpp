// Puts the records of shards together: the same bits as the record of the whole run, but for what a clock
// said (times, and what is computed from them), for when and by which command it was made, and for the note
// that it is made of shards.
//
// Rows are never added up: each belongs to one case and is taken as it is. Everything that sums up rows
// (summaries by op and clip, verdict, what the data can reveal, the worth of moving an op) is computed anew
// by the code that a run uses. So the order of the parts does not matter, nor in which steps they are merged.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/run_record.hpp"

namespace harness {

// One part and its name in messages.
struct ShardRecord {
    std::string file;
    RunRecord record;
};

// Everything of a record that follows from its rows. What the data can reveal is only told of a record that
// is whole: a part has not seen all layers and probes. Throws datasets::ReadError, which names `file`, for a
// design that this program does not have.
void sum_up_shards(RunRecord& record, const std::string& file);

// Throws datasets::ReadError for what is not the record of a shard, was written by a program of another
// schema, or holds something that this program would lose or see otherwise.
ShardRecord parse_shard(const std::string& text, const std::string& file);
ShardRecord read_shard(const std::string& file);

// What must be the same in all parts of a run, as JSON; of a run that has not begun, as far as it is known.
std::string run_identity(const RunRecord& record);

// Leaves the parts that most agree on being of one run, of equally many the first, and gives the shards of
// the others: what differs. At least one part.
std::map<int, std::string> take_out_strangers(std::vector<ShardRecord>& parts);

// At least one part. Cases of shards that no part holds come as rows that did not run, with the reason that
// `why_missing` has for the shard, or that it is missing; the note of the result goes on naming the shards
// that are there, so that the missing may be added later. Creation time: the latest; command: of the lowest
// shard. Throws datasets::ReadError, which names the field and both files, where parts are not of the same
// run by the same program on machines of the same kind, or share a shard.
RunRecord merge_shards(std::vector<ShardRecord> parts, const std::map<int, std::string>& why_missing = {});

}  // namespace harness
