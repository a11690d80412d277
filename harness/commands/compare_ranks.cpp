// `mpirun -n N harness --compare`: the shards of a comparison dealt out to the ranks of a job.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <utility>

#include "harness/commands/compare_run.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/rank_run.hpp"
#include "harness/shard_merge.hpp"

namespace harness {
namespace {

// One shard for each case, and one for the probes of the design.
int finest_shards(const ShardNote& whole) {
    return std::max(1, int(cases_of(whole).size()) + (whole.design_probes ? 1 : 0));
}

PreparedJob prepared(const CompareOptions& options, const std::string& invocation) {
    const auto compare = std::make_shared<CompareRun>(options, invocation);
    return {finest_shards(compare->note(std::nullopt)), [compare](Share share, const Progress& progress) {
                const ShardNote note = compare->note(share);
                RunRecord record = compare->run(note, progress);
                record.shard = note;
                return to_json(record);
            }};
}

// Of a run of which nothing came: why no worker could begin, if that is so.
ExitCode report_nothing(const RankedRun& ranked) {
    if (ranked.interrupted) {
        throw Interrupted();
    }
    if (ranked.refusals.empty()) {
        throw std::runtime_error("no rank could run anything: " + ranked.lost.back());
    }
    const std::string& text = ranked.refusals.front().text;
    int code = 0;
    std::from_chars(text.data(), text.data() + text.size(), code);
    const std::string reason = text.substr(text.find('\n') + 1);
    if (code == int(ExitCode::usage)) {
        throw UsageError(reason);
    }
    throw std::runtime_error(reason);
}

RunRecord gathered(const RankedRun& ranked) {
    std::vector<ShardRecord> parts;
    for (const auto& [shard, text] : ranked.records) {
        parts.push_back(parse_shard(text, ranked.owner.at(shard)));
    }
    parts.front().record.shard->lost = ranked.lost;
    return merge_shards(std::move(parts), ranked.why_missing);
}

}  // namespace

ExitCode run_in_team(const CompareOptions& options, const std::string& invocation) {
    // First the worker: a process that has joined a team must not fork.
    RankWorker worker([&] { return prepared(options, invocation); });
    const auto team = join_rank_team();
    const auto ranked = run_in_ranks(*team, worker, [&](const std::string& line) {
        if (!options.common.quiet) {
            fmt::print(stderr, "harness: {}\n", line);
        }
    });
    if (!ranked) {
        return ExitCode::passed;
    }
    if (ranked->records.empty()) {
        return report_nothing(*ranked);
    }
    const RunRecord record = gathered(*ranked);
    write_modelled_timelines(options, record);
    const ExitCode code = report_run(record, options.common, options.json, options.junit);
    write_page(record, options.html);
    return ranked->interrupted ? ExitCode::interrupted : code;
}

}  // namespace harness
