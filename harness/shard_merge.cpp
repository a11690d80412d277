#include "harness/shard_merge.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "harness/examination.hpp"
#include "harness/lost_case.hpp"
#include "harness/run_record_read.hpp"
#include "harness/run_record_whole.hpp"
#include "harness/summary.hpp"
#include "harness/time_notes.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

void require_same_run(const std::vector<ShardRecord>& parts) {
    const std::string first = run_identity(parts.front().record);
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string other = run_identity(parts[i].record);
        if (other != first) {
            throw datasets::ReadError(
                parts[i].file, "",
                fmt::format("{}; merge the shards of one run only",
                            first_difference(first, other, parts.front().file, parts[i].file)));
        }
    }
}

// "a+b": those of a record that several machines made.
void add_machines(std::set<std::string>& machines, const std::string& of_record) {
    std::istringstream words(of_record);
    for (std::string one; std::getline(words, one, '+');) {
        machines.insert(one);
    }
}

// The shards of all parts, ascending.
std::vector<int> joined_shards(const std::vector<ShardRecord>& parts) {
    std::map<int, std::string> owner;
    for (const ShardRecord& part : parts) {
        for (const int shard : part.record.shard->shards) {
            const auto [there, added] = owner.try_emplace(shard, part.file);
            if (!added) {
                throw datasets::ReadError(
                    part.file, "shard.shards",
                    fmt::format("shard {} of {} is in {} as well: leave out one of them", shard,
                                part.record.shard->of, there->second));
            }
        }
    }
    std::vector<int> shards;
    std::ranges::transform(owner, std::back_inserter(shards), [](const auto& entry) { return entry.first; });
    return shards;
}

// What the parts hold of their own cases. Rows of other cases stand for shards that were missing before.
std::map<RunCase, CaseResult> results_of(std::vector<ShardRecord>& parts) {
    std::map<RunCase, CaseResult> results;
    for (ShardRecord& part : parts) {
        const std::vector<RunCase> list = own_cases(*part.record.shard);
        const std::set<RunCase> own(list.begin(), list.end());
        for (LayerRow& layer : part.record.layers) {
            const RunCase one{layer.clip, layer.layer};
            if (own.contains(one)) {
                results[one].layer = std::move(layer);
            }
        }
        for (OpRow& row : part.record.rows) {
            const auto found = results.find({row.clip, row.layer});
            if (found != results.end() && own.contains(found->first)) {
                found->second.rows.push_back(std::move(row));
            }
        }
    }
    return results;
}

// As far as it decides which rows a case has.
Selection selection_of(const RunRecord& record) {
    Selection selection;
    selection.placement = parse_placement(record.placement);
    selection.ops = {record.shard->ops.begin(), record.shard->ops.end()};
    selection.head = record.head;
    selection.inputs = record.shard->inputs;
    return selection;
}

std::string reason_for(int shard, const ShardNote& note, const std::map<int, std::string>& why_missing) {
    const auto found = why_missing.find(shard);
    return found != why_missing.end()
               ? found->second
               : fmt::format("shard {} of {} is missing: run it and merge its run.json too", shard, note.of);
}

void take_cases(RunRecord& merged, std::map<RunCase, CaseResult> results,
                const std::map<int, std::string>& why_missing) {
    const ShardNote& note = *merged.shard;
    const std::vector<RunCase> cases = cases_of(note);
    const std::vector<int> shards = dealt(note);
    const Selection selection = selection_of(merged);
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto found = results.find(cases[i]);
        CaseResult result = found != results.end() ? std::move(found->second)
                                                   : lost_case(cases[i].clip, cases[i].layer, selection,
                                                               reason_for(shards[i], note, why_missing));
        std::ranges::move(result.rows, std::back_inserter(merged.rows));
        merged.layers.push_back(std::move(result.layer));
    }
}

void require_all_layers(const ShardRecord& part) {
    std::set<RunCase> there;
    for (const LayerRow& layer : part.record.layers) {
        there.insert({layer.clip, layer.layer});
    }
    for (const RunCase& one : own_cases(*part.record.shard)) {
        if (!there.contains(one)) {
            throw datasets::ReadError(part.file, "layers",
                                      fmt::format("lacks layer {} of clip {}, which is its own: run it again",
                                                  one.layer, one.clip));
        }
    }
}

}  // namespace

std::string run_identity(const RunRecord& record) {
    RunRecord common = record;
    common.command.clear();
    common.environment.machine.clear();  // equal ones may share the work
    common.created_utc.clear();
    common.rows.clear();
    common.layers.clear();
    common.ragged_probes.clear();
    common.trust.clear();
    common.ops.clear();
    common.clips.clear();
    if (common.cpu_timing && !common.cpu_timing->elsewhere) {
        common.cpu_timing.reset();
    }
    common.verdict = Verdict::not_run;
    common.exit_code = 0;
    if (common.shard) {
        common.shard->shards.clear();
        common.shard->lost.clear();
        common.shard->ranks_on_a_host = 1;
    }
    if (common.time_model) {
        common.time_model->whole.clear();
        common.time_model->amdahl.clear();
    }
    return to_json(common);
}

std::map<int, std::string> take_out_strangers(std::vector<ShardRecord>& parts) {
    std::vector<std::string> identities;
    std::map<std::string, int> counts;
    for (const ShardRecord& part : parts) {
        identities.push_back(run_identity(part.record));
        ++counts[identities.back()];
    }
    const auto most =
        std::ranges::max_element(identities, {}, [&](const std::string& one) { return counts.at(one); });
    const std::string kept = *most;
    const std::string kept_file = parts[std::size_t(most - identities.begin())].file;
    std::map<int, std::string> out;
    std::vector<ShardRecord> of_one_run;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (identities[i] == kept) {
            of_one_run.push_back(std::move(parts[i]));
            continue;
        }
        const std::string difference = first_difference(kept, identities[i], kept_file, parts[i].file);
        for (const int shard : parts[i].record.shard->shards) {
            out[shard] = fmt::format("is of another run: {}", difference);
        }
    }
    parts = std::move(of_one_run);
    return out;
}

void sum_up_shards(RunRecord& record, const std::string& file) {
    const npu_impl::Design* design = npu_impl::find_design(record.design);
    if (design == nullptr) {
        throw datasets::ReadError(file, "identities.design",
                                  fmt::format("is {}, which this program does not have: merge with the "
                                              "program that ran the shards",
                                              record.design));
    }
    record.trust.clear();
    if (complete(*record.shard)) {
        examine_data(record, design->arithmetic_of(softmax_op(design->emits(datasets::Op::probabilities))));
    }
    if (record.time_model) {
        record.time_model->whole.clear();
        record.time_model->amdahl.clear();
        add_amdahl(*record.time_model, record.layers);
    }
    sum_up(record);
}

ShardRecord parse_shard(const std::string& text, const std::string& file) {
    ShardRecord part{file, parse_whole_record(text, file)};
    RunRecord& record = part.record;
    if (!record.shard) {
        throw datasets::ReadError(file, "shard", "is not there: a run without --shard has nothing to merge");
    }
    for (const ShardClip& clip : record.shard->clips) {
        record.recording.clips.push_back({clip.clip, clip.audio_seconds});
    }
    require_all_layers(part);
    sum_up_shards(record, file);
    const std::string again = to_json(record);
    if (const std::string lost = first_difference(text, again, "the file", "this program"); !lost.empty()) {
        throw datasets::ReadError(
            file, "", fmt::format("{}; merge with the program that ran the shards, unchanged", lost));
    }
    return part;
}

ShardRecord read_shard(const std::string& file) {
    return parse_shard(read_run_text(file), file);
}

RunRecord merge_shards(std::vector<ShardRecord> parts, const std::map<int, std::string>& why_missing) {
    std::ranges::sort(parts, {}, [](const ShardRecord& part) { return part.record.shard->shards; });
    require_same_run(parts);
    RunRecord merged = parts.front().record;
    merged.rows.clear();
    merged.layers.clear();
    merged.ragged_probes.clear();
    merged.shard->shards = joined_shards(parts);
    std::set<std::string> lost;
    std::set<std::string> machines;
    for (const ShardRecord& part : parts) {
        add_machines(machines, part.record.environment.machine);
        merged.created_utc = std::max(merged.created_utc, part.record.created_utc);
        lost.insert(part.record.shard->lost.begin(), part.record.shard->lost.end());
        merged.shard->ranks_on_a_host =
            std::max(merged.shard->ranks_on_a_host, part.record.shard->ranks_on_a_host);
        if (owns_design_probes(*part.record.shard)) {
            merged.ragged_probes = part.record.ragged_probes;
        }
    }
    merged.environment.machine = fmt::format("{}", fmt::join(machines, "+"));
    merged.shard->lost = {lost.begin(), lost.end()};
    if (merged.shard->design_probes && !owns_design_probes(*merged.shard)) {
        merged.ragged_probes = lost_design_probes(reason_for(merged.shard->of, *merged.shard, why_missing));
    }
    const std::string file = parts.front().file;
    take_cases(merged, results_of(parts), why_missing);
    sum_up_shards(merged, file);
    return merged;
}

}  // namespace harness
