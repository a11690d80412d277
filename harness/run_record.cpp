#include "harness/run_record.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "harness/run_record_json.hpp"

namespace harness {
namespace {

using harness::to_json;

Json to_json(const LayerRow& layer, bool cpu_elsewhere) {
    Json steps = Json::array();
    for (const StepTime& step : layer.steps) {
        steps.push_back(to_json(step, cpu_elsewhere));
    }
    Json out{{"clip", layer.clip},
             {"layer", layer.layer},
             {"certificate", to_json(layer.certificate)},
             {"headline",
              {{"verdict", name(layer.headline.verdict)},
               {"reason", layer.headline.reason},
               {"findings", to_json(layer.headline.findings)}}},
             {"repeatability",
              {{"elements", counted(layer.repeated_elements, "elements")},
               {"differing", counted(layer.differing_elements, "elements")},
               {"verdict", name(layer.repeatability.verdict)},
               {"reason", layer.repeatability.reason},
               {"findings", to_json(layer.repeatability.findings)}}},
             {"probes", to_json(layer.probes)},
             {"data", layer.data ? to_json(*layer.data) : Json(nullptr)},
             {"steps", steps}};
    if (layer.diagnosis) {
        out["headline"]["diagnosis"] = to_json(*layer.diagnosis);
    }
    if (!layer.untimed.empty()) {
        out["untimed"] = layer.untimed;
    }
    if (!layer.reproduce.empty()) {
        out["reproduce"] = layer.reproduce;
    }
    if (layer.output) {
        out["output"] = to_json(*layer.output);
    }
    if (layer.total) {
        out["attention"] = to_json(*layer.total, cpu_elsewhere);
    }
    return out;
}

Json to_json(const std::optional<InputSummary>& summary) {
    if (!summary) {
        return nullptr;
    }
    return {{"rho", number(summary->rho, "error/bound", "measured")},
            {"match", number(summary->match_percent, "%", "measured")},
            {"worst_row", number(summary->worst_row, "ratio", "measured")},
            {"worst_tile", number(summary->worst_tile, "ratio", "measured")}};
}

Json to_json(const OpSummary& summary, bool cpu_elsewhere) {
    return {{"op", datasets::name(summary.op)},
            {"verdict", name(summary.verdict)},
            {"isolated", to_json(summary.isolated)},
            {"chained", to_json(summary.chained)},
            {"mean_time_per_layer", summary.time ? to_json(*summary.time, cpu_elsewhere) : Json(nullptr)}};
}

Json to_json(const Environment& e) {
    return {{"machine", e.machine},       {"cpu", e.cpu},           {"cores", e.cores},
            {"threads", e.threads},       {"blas", e.blas},         {"blas_core_type", e.blas_core_type},
            {"blas_threads_per_task", 1}, {"compiler", e.compiler}, {"flags", e.flags},
            {"build_type", e.build_type}, {"commit", e.commit},     {"version", e.version},
            {"system", e.system},         {"npu", to_json(e.npu)}};
}

Json to_json(const std::optional<ProbeFiles>& probes) {
    if (!probes) {
        return nullptr;
    }
    return {{"recording", {{"file", probes->recording}, {"sha256", probes->recording_sha256}}},
            {"candidate", {{"file", probes->candidate}, {"sha256", probes->candidate_sha256}}}};
}

Json to_json(const std::optional<CandidateFile>& candidate) {
    if (!candidate) {
        return nullptr;
    }
    return {{"file", candidate->file},
            {"sha256", candidate->sha256},
            {"runner", candidate->runner},
            {"input", name(candidate->input)},
            {"device", candidate->device},
            {"launches", candidate->launches ? number(double(*candidate->launches), "launches", "stated")
                                             : Json(nullptr)},
            {"not_checked", candidate->not_checked},
            {"probes", to_json(candidate->probes)}};
}

Json identities(const RunRecord& record) {
    return {{"recording",
             {{"file", record.recording_file},
              {"sha256", record.recording_sha256},
              {"source", record.recording.source},
              {"producer", record.recording.producer},
              {"model_id", record.recording.model_id},
              {"model_sha256", record.recording.model_sha256},
              {"recipe", record.recording.recipe},
              {"seed", record.recording.seed},
              {"context", record.recording.context},
              {"heads", record.recording.heads},
              {"layers", record.recording.layers},
              {"provenance", record.provenance_note}}},
            {"design", record.design},
            {"design_sha256", record.design_sha256},
            {"placement", record.placement},
            {"head", record.head},
            {"device", record.device},
            {"emulation", record.emulation},
            {"candidate", to_json(record.candidate)},
            {"cost_model", record.cost_model},
            {"row_seed", record.row_seed},
            {"accepted_misses_sha256", record.accepted_misses_sha256}};
}

}  // namespace

Verdict worst_verdict(const std::vector<Verdict>& verdicts) {
    for (const Verdict verdict : {Verdict::not_run, Verdict::unstable, Verdict::failed, Verdict::mistrusted,
                                  Verdict::accepted, Verdict::passed, Verdict::covered}) {
        if (std::ranges::find(verdicts, verdict) != verdicts.end()) {
            return verdict;
        }
    }
    return Verdict::not_run;
}

Verdict overall_verdict(const RunRecord& record) {
    std::vector<Verdict> seen;
    const auto verdict_of_probe = [](const ProbeRow& row) { return row.judgement.verdict; };
    for (const OpRow& row : record.rows) {
        seen.push_back(row.judgement.verdict);
    }
    for (const EncoderRow& row : record.encoders) {
        seen.push_back(row.judgement.verdict);
    }
    for (const LayerRow& layer : record.layers) {
        if (layer.headline.verdict != Verdict::not_run) {
            seen.push_back(layer.headline.verdict);
        }
        if (layer.differing_elements > 0) {
            seen.push_back(Verdict::unstable);
        }
        if (!layer.untimed.empty()) {
            seen.push_back(Verdict::not_run);
        }
        std::ranges::transform(layer.probes, std::back_inserter(seen), verdict_of_probe);
    }
    std::ranges::transform(record.ragged_probes, std::back_inserter(seen), verdict_of_probe);
    // What could not have been seen did not pass; what was seen or is covered says nothing more.
    for (const TrustRow& row : record.trust) {
        if (row.judgement.verdict == Verdict::mistrusted) {
            seen.push_back(Verdict::mistrusted);
        }
    }
    // A covered row says where the verdict is to be found; it is none.
    std::erase(seen, Verdict::covered);
    return worst_verdict(seen);
}

ExitCode exit_code(Verdict verdict) {
    switch (verdict) {
        case Verdict::passed:
        case Verdict::accepted:
        case Verdict::covered:
            return ExitCode::passed;
        case Verdict::failed:
        case Verdict::mistrusted:
            return ExitCode::failed;
        case Verdict::not_run:
            return ExitCode::could_not_run;
        case Verdict::unstable:
            return ExitCode::unstable;
    }
    return ExitCode::failed;
}

std::string to_json(const RunRecord& record) {
    Json rows = Json::array();
    for (const OpRow& row : record.rows) {
        rows.push_back(to_json(row));
    }
    const bool cpu_elsewhere = record.cpu_timing && record.cpu_timing->elsewhere;
    Json layers = Json::array();
    for (const LayerRow& layer : record.layers) {
        layers.push_back(to_json(layer, cpu_elsewhere));
    }
    Json clips = Json::array();
    for (const ClipRow& clip : record.clips) {
        clips.push_back(to_json(clip, cpu_elsewhere));
    }
    Json ops = Json::array();
    for (const OpSummary& summary : record.ops) {
        ops.push_back(to_json(summary, cpu_elsewhere));
    }
    Json gate = Json::array();
    for (const Limit& row : limits()) {
        gate.push_back({{"quantity", row.name},
                        {"level", row.level},
                        {"formula", row.formula},
                        {"limit", row.limit},
                        {"gated", row.gated},
                        {"provisional", row.provisional ? "synthetic" : ""}});
    }
    Json out{{"schema", "npu-attention-run"},
             {"schema_version", {run_schema_major, run_schema_minor}},
             {"created_utc", record.created_utc},
             {"command", record.command},
             {"verdict", name(record.verdict)},
             {"exit_code", record.exit_code},
             {"speedup_label", record.speedup_label},
             {"environment", to_json(record.environment)},
             {"identities", identities(record)},
             {"gate", gate},
             {"clips", clips},
             {"ops", ops},
             {"layers", layers},
             {"ragged_probes", to_json(record.ragged_probes)},
             {"data_trust", to_json(record.trust)},
             {"rows", rows},
             {"encoders", to_json(record.encoders)},
             {"baseline", record.baseline ? to_json(*record.baseline) : Json(nullptr)},
             {"time_model", record.time_model ? to_json(*record.time_model) : Json(nullptr)},
             {"cpu_timing", record.cpu_timing ? to_json(*record.cpu_timing) : Json(nullptr)}};
    if (record.shard) {
        out["shard"] = to_json(*record.shard);
    }
    // Names of files may hold bytes that are not UTF-8.
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace harness
