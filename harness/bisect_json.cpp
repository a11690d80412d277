#include "harness/bisect_json.hpp"

#include "harness/run_record_json.hpp"

namespace harness {
namespace {

Json to_json(const Judgement& judgement) {
    return {{"verdict", name(judgement.verdict)},
            {"reason", judgement.reason},
            {"findings", harness::to_json(judgement.findings)}};
}

Json to_json(const Headroom& nearest) {
    const Limit& allowed = limit(nearest.quantity);
    return {{"quantity", allowed.name},
            {"value", finite(nearest.value)},
            {"allowed", allowed.limit},
            {"room", number(nearest.decibel, "dB", "measured")}};
}

Json to_json(const StepShare& step) {
    Json out{{"ops", harness::to_json(step.step)},
             {"rho", number(step.rho, "error/bound", "measured")},
             {"z_rms", number(step.z_rms, "sigma", "measured")},
             {"nearest_limit", step.nearest ? to_json(*step.nearest) : Json(nullptr)},
             {"own_error", number(step.relative_error, "ratio", "measured")},
             {"share", number(step.share, "ratio", "measured")}};
    out.update(to_json(step.judgement));
    return out;
}

Json to_json(const LayerBisection& found) {
    Json steps = Json::array();
    for (const StepShare& step : found.steps) {
        steps.push_back(to_json(step));
    }
    Json out{{"clip", found.clip},
             {"layer", found.layer},
             {"range", harness::to_json(found.range)},
             {"not_run", found.not_run.empty() ? Json(nullptr) : Json(found.not_run)},
             {"relative_error", number(found.relative_error, "ratio", "measured")},
             {"headline", found.headline ? to_json(*found.headline) : Json(nullptr)},
             {"steps", steps},
             {"first", nullptr}};
    if (found.first) {
        out["first"] = {
            {"step", *found.first},
            {"ops", harness::to_json(found.steps[*found.first].step)},
            {"relative_error_without", number(found.relative_error_without, "ratio", "measured")}};
    }
    return out;
}

}  // namespace

std::string to_json(const std::vector<LayerBisection>& found, const BisectionScope& scope) {
    Json layers = Json::array();
    for (const LayerBisection& one : found) {
        layers.push_back(to_json(one));
    }
    const Json out{{"schema", "npu-attention-bisection"},
                   {"schema_version", {1, 1}},
                   {"created_utc", scope.created_utc},
                   {"command", scope.command},
                   {"recording", {{"file", scope.recording}, {"sha256", scope.recording_sha256}}},
                   {"design", scope.design},
                   {"device", scope.device},
                   {"emulation", scope.emulation},
                   {"bisections", layers}};
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace harness
