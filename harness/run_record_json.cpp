#include "harness/run_record_json.hpp"

#include <cmath>

namespace harness {
namespace {

using harness::to_json;

Json to_json(const Deviation& d) {
    return {{"match", number(d.match_percent, "%", "measured")},
            {"centred_energy", number(d.centred_energy, "ratio", "measured")},
            {"relative_error", number(d.relative_error, "ratio", "measured")},
            {"worst_row", {{"row", d.worst_row_index}, {"error", number(d.worst_row, "ratio", "measured")}}},
            {"nonfinite", counted(d.nonfinite, "elements")}};
}

Json to_json(const DriftPoint& point) {
    return {{"after", name(point.stage)},
            {"isolated", to_json(point.isolated)},
            {"chained", to_json(point.chained)}};
}

Json to_json(const PlacementTime& placement) {
    Json steps = Json::array();
    for (const NpuStageTime& step : placement.steps) {
        steps.push_back({{"stage", name(step.stage)},
                         {"ops", to_json(step.ops)},
                         {"npu", to_json(step.npu)},
                         {"launches", number(double(step.launches), "launches", "planned")}});
    }
    Json pieces = Json::array();
    for (const PieceTime& piece : placement.pieces) {
        pieces.push_back({{"stage", name(piece.stage)},
                          {"cpu", to_json(piece.cpu)},
                          {"npu", to_json(piece.npu)},
                          {"total", to_json(piece.total)}});
    }
    return {{"placement", placement.placement},
            {"mel", to_json(placement.mel)},
            {"cpu", to_json(placement.cpu)},
            {"npu", to_json(placement.npu)},
            {"launches", number(double(placement.launches), "launches", "planned")},
            {"window", to_json(placement.window)},
            {"audio", to_json(placement.audio)},
            {"pieces", pieces},
            {"npu_steps", steps}};
}

Json to_json(const EncoderRow& row) {
    Json stages = Json::array();
    for (const StageTime& time : row.stages) {
        stages.push_back(
            {{"stage", name(time.stage)}, {"ops", to_json(time.ops)}, {"cpu", to_json(time.cpu)}});
    }
    Json ops = Json::array();
    for (const OpTime& time : row.ops) {
        ops.push_back({{"ops", to_json(time.ops)},
                       {"cpu", to_json(time.cpu)},
                       {"npu", time.npu ? to_json(*time.npu) : Json(nullptr)},
                       {"launches", number(double(time.launches), "launches", "planned")}});
    }
    Json placements = Json::array();
    for (const PlacementTime& placement : row.placements) {
        placements.push_back(to_json(placement));
    }
    Json drift = Json::array();
    for (const DriftPoint& point : row.drift) {
        drift.push_back(to_json(point));
    }
    Json certificates = Json::object();
    for (const auto& [stage, certificate] : row.certificates) {
        certificates[name(stage)] = to_json(certificate);
    }
    Json out{{"clip", row.clip},
             {"audio_sha256", row.audio_sha256},
             {"audio_origin", row.audio_origin},
             {"scope", "mel and encoder"},
             {"audio", number(row.audio_seconds, "s", "recorded")},
             {"window", number(row.window_seconds, "s", "defined")},
             {"context", row.context},
             {"heads", row.heads},
             {"layers", row.layers},
             {"mel", to_json(row.mel)},
             {"mel_and_encoder_cold", row.cold ? to_json(*row.cold) : Json(nullptr)},
             {"encoder_warm", to_json(row.warm)},
             {"between_steps", to_json(row.between)},
             {"stages", stages},
             {"ops", ops},
             {"placements", placements},
             {"certificates", certificates},
             {"candidate",
              {{"placement", row.placement},
               {"verdict", name(row.judgement.verdict)},
               {"reason", row.judgement.reason},
               {"findings", to_json(row.judgement.findings)},
               {"launches", counted(row.launches, "launches")},
               {"launches_planned", number(double(row.launches_planned), "launches", "planned")},
               {"drift", drift}}}};
    if (!row.reproduce.empty()) {
        out["reproduce"] = row.reproduce;
    }
    return out;
}

}  // namespace

// JSON has no NaN and no infinity: both become null, and the verdict beside them says why.
Json finite(double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json number(double value, std::string_view unit, std::string_view kind) {
    return {{"value", finite(value)}, {"unit", unit}, {"kind", kind}};
}

Json counted(std::int64_t value, std::string_view unit) {
    return {{"value", value}, {"unit", unit}, {"kind", "counted"}};
}

Json to_json(const std::vector<Finding>& findings) {
    Json out = Json::array();
    for (const Finding& finding : findings) {
        out.push_back({{"quantity", limit(finding.quantity).name}, {"text", finding.text}});
    }
    return out;
}

std::string_view kind_of(datasets::Clock clock) {
    switch (clock) {
        case datasets::Clock::modelled:
            return "modelled";
        case datasets::Clock::none:
            return "none";
        case datasets::Clock::emulation_wall:
            return "emulation";
        default:
            return "measured";
    }
}

Json to_json(const Duration& duration) {
    Json out = number(duration.seconds, "s", kind_of(duration.clock));
    out["clock"] = datasets::name(duration.clock);
    if (!duration.samples_seconds.empty()) {
        out["statistic"] = duration.statistic;
        out["samples"] = duration.samples_seconds;
    }
    return out;
}

Json to_json(datasets::OpRange range) {
    return {{"first", datasets::name(range.first)}, {"last", datasets::name(range.last)}};
}

Json to_json(const Diagnosis& diagnosis) {
    return {{"pattern", name(diagnosis.pattern)},
            {"explained", number(diagnosis.explained, "ratio", "measured")},
            {"evidence", diagnosis.evidence},
            {"tile_row", diagnosis.tile_row},
            {"tile_column", diagnosis.tile_column}};
}

Json to_json(const datasets::Site& site) {
    return {{"tile", site.tile}, {"launch", site.launch}, {"core", site.core}, {"ran", site.ran}};
}

Json to_json(const RealTime& time) {
    const std::string_view kind = kind_of(time.processing.clock);
    return {{"processing", to_json(time.processing)},
            {"rtf", number(time.rtf, "processing/audio", kind)},
            {"rtfx", number(time.rtfx, "audio/processing", kind)}};
}

Json to_json(const Certificate& certificate) {
    Json oracle = Json::object();
    for (const auto& [op, error] : certificate.oracle_error) {
        oracle[std::string(datasets::name(op))] = number(error, "ratio", "measured");
    }
    Json recorded = Json::object();
    for (const auto& [op, error] : certificate.recording_error) {
        recorded[std::string(datasets::name(op))] = number(error, "ratio", "measured");
    }
    return {{"golden_against_oracle", oracle},
            {"golden_against_recording", recorded},
            {"certified", certificate.fault.empty()},
            {"fault", certificate.fault},
            {"findings", to_json(certificate.findings)}};
}

Json to_json(const std::vector<EncoderRow>& rows) {
    Json out = Json::array();
    for (const EncoderRow& row : rows) {
        out.push_back(to_json(row));
    }
    return out;
}

Json to_json(const PublishedBaseline& baseline) {
    Json lines = Json::array();
    for (const BaselineLine& line : baseline.lines) {
        lines.push_back({{"what", line.what},
                         {"published", number(line.published_seconds, "s", "published")},
                         {"here", line.here ? to_json(*line.here) : Json(nullptr)}});
    }
    return {{"title", baseline.title}, {"lines", lines}, {"corrections", baseline.corrections}};
}

}  // namespace harness
