#include "harness/calibration_json.hpp"

#include <algorithm>

#include "harness/run_record_json.hpp"

namespace harness {
namespace {

std::string_view name(CalibrationPart part) {
    return part == CalibrationPart::fitted ? "fitted" : "held_out";
}

Json to_json(const HealthyEnvelope& envelope) {
    if (envelope.figures == 0) {
        return nullptr;
    }
    return {{"value", finite(envelope.worst.value)},
            {"room", number(envelope.worst.decibel, "dB", "measured")},
            {"figures", envelope.figures},
            {"beyond_limit", envelope.beyond},
            {"recording", envelope.at.recording},
            {"design", envelope.at.design},
            {"place", envelope.at.place}};
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json to_json(const CalibratedLimit& one) {
    const Limit& now = limit(one.quantity);
    return {{"quantity", now.name},
            {"level", now.level},
            {"basis", harness::name(now.basis)},
            {"now", {{"formula", now.formula}, {"limit", now.limit}, {"gated", now.gated}}},
            {"envelope", to_json(one.fitted)},
            {"held_out", to_json(one.held_out)},
            {"mark", harness::name(one.mark())},
            {"proposed_limit", or_null(one.proposal())},
            {"verified", or_null(one.verified())}};
}

}  // namespace

std::string CalibrationScope::provisional() const {
    if (!std::ranges::all_of(recordings, &CalibratedRecording::from_checkpoint)) {
        return "synthetic";
    }
    const bool held_out = std::ranges::find(recordings, CalibrationPart::held_out,
                                            &CalibratedRecording::part) != recordings.end();
    return held_out ? "" : "no held-out recordings";
}

std::string to_json(const Calibration& calibration, const CalibrationScope& scope) {
    Json recordings = Json::array();
    for (const CalibratedRecording& one : scope.recordings) {
        recordings.push_back({{"file", one.file},
                              {"sha256", one.sha256},
                              {"model_id", one.model_id},
                              {"context", one.context},
                              {"part", name(one.part)},
                              {"from_checkpoint", one.from_checkpoint}});
    }
    Json limits = Json::array();
    for (const CalibratedLimit& one : calibration.limits()) {
        limits.push_back(to_json(one));
    }
    Json mistrusted = Json::array();
    for (const MistrustedCase& one : calibration.mistrusted()) {
        mistrusted.push_back({{"recording", one.at.recording},
                              {"design", one.at.design},
                              {"place", one.at.place},
                              {"reason", one.reason}});
    }
    const Json out{{"schema", "npu-attention-calibration"},
                   {"schema_version", {1, 0}},
                   {"created_utc", scope.created_utc},
                   {"command", scope.command},
                   {"commit", scope.commit},
                   {"device", scope.device},
                   {"emulation", scope.emulation},
                   {"provisional", scope.provisional()},
                   {"sound", calibration.sound()},
                   {"least_room", number(least_room_decibel, "dB", "defined")},
                   {"recordings", recordings},
                   {"designs", scope.designs},
                   {"limits", limits},
                   {"mistrusted", mistrusted}};
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace harness
