// The words of run.json that its serialisers share: numbers with unit and kind, durations, ranges of ops.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "harness/baseline.hpp"
#include "harness/data_statistics.hpp"
#include "harness/diagnosis.hpp"
#include "harness/environment.hpp"
#include "harness/launch_times.hpp"
#include "harness/probe_row.hpp"
#include "harness/run_record_time.hpp"
#include "harness/shard.hpp"
#include "harness/trust_row.hpp"

namespace harness {

struct ClipRow;
struct StepTime;
struct OpRow;
struct OpStatistics;

using Json = nlohmann::ordered_json;

// JSON has no NaN and no infinity: both become null, and the verdict beside them says why.
Json finite(double value);

Json number(double value, std::string_view unit, std::string_view kind);
Json counted(std::int64_t value, std::string_view unit);

// Every limit that failed: {"quantity": as in the record's table of limits, "text": ...}.
Json to_json(const std::vector<Finding>& findings);

// measured | emulation | modelled | none
std::string_view kind_of(datasets::Clock clock);

Json to_json(const Duration& duration);
Json to_json(datasets::OpRange range);
Json to_json(const Diagnosis& diagnosis);
Json to_json(const datasets::Site& site);
Json to_json(const RealTime& time);
Json to_json(const Certificate& certificate);
Json to_json(const std::vector<EncoderRow>& rows);
Json to_json(const PublishedBaseline& baseline);
Json to_json(const OpStatistics& statistics);
Json to_json(const OpRow& row);
Json to_json(const std::vector<ProbeRow>& rows);
Json to_json(const LayerStatistics& statistics);
Json to_json(const std::vector<TrustRow>& rows);
// `cpu_elsewhere`: the CPU was timed on another machine than the NPU.
Json to_json(const StepTime& step, bool cpu_elsewhere);
Json to_json(const ClipRow& clip, bool cpu_elsewhere);
Json to_json(const TimeModelNotes& notes);
Json to_json(const CpuTiming& timing);
Json to_json(const LaunchTimes& times);
Json to_json(const std::optional<NpuEnvironment>& npu);
Json to_json(const ShardNote& note);

}  // namespace harness
