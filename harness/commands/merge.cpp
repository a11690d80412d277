// `harness merge`: the record of a whole run from those of its shards.
#include <utility>
#include <vector>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/shard_merge.hpp"

namespace harness {

ExitCode run(const MergeOptions& options, const std::string& /*invocation*/) {
    check_files(options.parts, {options.json, options.junit});
    std::vector<ShardRecord> parts;
    for (const std::string& file : options.parts) {
        throw_if_interrupted();
        parts.push_back(read_shard(file));
    }
    RunRecord record = merge_shards(std::move(parts));
    return report_run(record, options.common, options.json, options.junit);
}

}  // namespace harness
