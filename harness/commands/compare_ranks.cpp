// `mpirun -n N harness --compare`: the shards of a comparison dealt out to the ranks of a job.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "harness/commands/compare_run.hpp"
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
    const ShardNote whole = compare->note(std::nullopt);
    RunRecord described = compare->described();
    described.shard = whole;
    return {finest_shards(whole), compare->stages(whole), run_identity(described),
            [compare](Share share, const Progress& progress) {
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

// What the ranks did, as far as it is of one run: a part that is not costs no more than itself.
RunRecord gathered(const RankedRun& ranked, const Say& say) {
    std::vector<ShardRecord> parts;
    std::map<int, std::string> why_missing = ranked.why_missing;
    std::vector<std::string> lost = ranked.lost;
    const auto leave_out = [&](int shard, const std::string& why) {
        why_missing[shard] = why;
        lost.push_back(fmt::format("part {}: {}", shard, why));
        say(Telling::loss, lost.back());
    };
    for (const auto& [shard, text] : ranked.records) {
        try {
            parts.push_back(parse_shard(text, ranked.owner.at(shard)));
        } catch (const datasets::ReadError& error) {
            leave_out(shard, error.what());
        }
    }
    if (parts.empty()) {
        throw std::runtime_error("no part can be used: " + lost.back());
    }
    for (const auto& [shard, why] : take_out_strangers(parts)) {
        leave_out(shard, why);
    }
    ShardNote& note = *parts.front().record.shard;
    note.lost = lost;
    note.ranks_on_a_host = ranked.ranks_on_a_host;
    return merge_shards(std::move(parts), why_missing);
}

}  // namespace

ExitCode run_in_team(const CompareOptions& options, const std::string& invocation) {
    const Say say = [&](Telling kind, const std::string& line) {
        if (kind == Telling::loss || !options.common.quiet) {
            fmt::print(stderr, "harness: {}\n", line);
        }
    };
    // First the worker: a process that has joined a team must not fork.
    RankWorker worker([&] { return prepared(options, invocation); });
    const auto team = join_rank_team();
    if (team->size() < launched_processes()) {
        throw UsageError(alone_in_a_job());
    }
    if (team->rank() == 0) {  // which writes them; a folder of that name need not be on other hosts
        try {
            require_writable(outputs_of(options));
        } catch (...) {
            team->give_up();
            throw;
        }
    }
    const auto ranked = run_in_ranks(*team, worker, say);
    if (!ranked) {
        return ExitCode::passed;
    }
    if (ranked->records.empty()) {
        return report_nothing(*ranked);
    }
    const ExitCode code = report_comparison(gathered(*ranked, say), options);
    return ranked->interrupted ? ExitCode::interrupted : code;
}

}  // namespace harness
