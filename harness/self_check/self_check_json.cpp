#include "harness/self_check/self_check_json.hpp"

#include <nlohmann/json.hpp>

#include "harness/self_check/findings.hpp"

namespace harness {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const std::vector<Finding>& findings) {
    Json out = Json::array();
    for (const Finding& finding : findings) {
        out.push_back({{"check", word_of(finding.quantity)}, {"text", finding.text}});
    }
    return out;
}

Json json_of(const TrialResult& trial) {
    return {{"fault", trial.fault},
            {"seam", name(trial.seam)},
            {"own_check", word_of(trial.own)},
            {"equivalent", trial.equivalent},
            {"place", trial.place},
            {"ground", trial.ground},
            {"design", trial.design},
            {"as_due", trial.as_due()},
            {"findings", json_of(trial.findings)},
            {"error", trial.error},
            {"reproduce", "harness self-check " + trial.arguments}};
}

}  // namespace

std::string to_json(const SelfCheckResult& result) {
    Json out{{"schema", "npu-attention-self-check"}, {"schema_version", 1}, {"passed", result.passed()}};
    out["without"] = result.without ? Json(word_of(*result.without)) : Json(nullptr);
    out["trials"] = Json::array();
    for (const TrialResult& trial : result.trials) {
        out["trials"].push_back(json_of(trial));
    }
    out["variants"] = Json::array();
    for (const VariantResult& variant : result.variants) {
        out["variants"].push_back({{"variant", variant.name},
                                   {"says", variant.says},
                                   {"ground", variant.ground},
                                   {"as_due", variant.as_due()},
                                   {"findings", json_of(variant.findings)},
                                   {"error", variant.error}});
    }
    out["untried"] = Json::array();
    for (const Untried& one : result.untried) {
        out["untried"].push_back({{"fault", one.fault}, {"needs", one.needs}});
    }
    out["unproven_checks"] = Json::array();
    for (const Quantity check : result.unproven) {
        out["unproven_checks"].push_back(word_of(check));
    }
    return out.dump(2) + "\n";
}

}  // namespace harness
