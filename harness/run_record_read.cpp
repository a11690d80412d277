#include "harness/run_record_read.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "harness/run_record_place.hpp"
#include "harness/run_record_read_parts.hpp"

namespace harness {
namespace {

Damage damage_of(const Place& place) {
    Damage out{element_of(place["first"]), element_of(place["worst"]), place["row_begin"].integer(),
               place["row_end"].integer(), place["blocks"].integer(),  {}};
    for (const Place& head : place["heads"].elements()) {
        out.heads.push_back(head.small());
    }
    return out;
}

OpStatistics statistics_of(const Place& place) {
    OpStatistics out;
    out.elements = place["elements"].counted();
    out.blocks_seen = place["blocks"].counted();
    out.blocks_expected = place["blocks_expected"].counted();
    out.nonfinite = place["nonfinite"].counted();
    out.poisoned = place["unwritten"].counted();
    out.outside = place["outside_bound"].counted();
    out.rho = place["rho"].measured(Place::infinity);
    if (place.has("misrounded")) {
        out.misrounded = place["misrounded"].counted();
        out.misrounded_below = place["misrounded_below"].counted();
        out.misrounded_shrunk = place["misrounded_shrunk"].counted();
    }
    if (place.has("unrepresentable")) {
        out.unrepresentable = place["unrepresentable"].counted();
    }
    if (place.has("row_sum")) {
        const Place sum = place["row_sum"];
        out.row_sum = sum["error"].measured();
        out.row_sums_outside = sum["outside_bound"].counted();
        out.row_sum_head = sum["head"].small();
        out.row_sum_row = sum["row"].integer();
    }
    out.match_percent = place["match"].measured();
    out.centred_energy = place["centred_energy"].measured();
    out.relative_error = place["relative_error"].measured();
    out.cosine = place["cosine"].measured();
    out.max_abs_error = place["max_abs_error"].measured();
    const Place row = place["worst_row"];
    out.worst_row = row["error"].measured();
    out.worst_row_head = row["head"].small();
    out.worst_row_index = row["row"].integer();
    const Place tile = place["worst_tile"];
    out.worst_tile = tile["error"].measured();
    out.worst_tile_head = tile["head"].small();
    out.worst_tile_row = tile["tile_row"].integer();
    out.worst_tile_column = tile["tile_column"].integer();
    if (place.has("damage")) {
        out.damage = damage_of(place["damage"]);
    }
    return out;
}

Diagnosis diagnosis_of(const Place& place) {
    const Place word = place["pattern"];
    const auto pattern = parse_pattern(word.text());
    if (!pattern) {
        word.refuse(fmt::format("is '{}', which this program does not know", word.text()));
    }
    return {*pattern, place["explained"].measured(), place["evidence"].text(), place["tile_row"].integer(),
            place["tile_column"].integer()};
}

// Absent before minor version 4, and of rows that did not fail or came late.
std::vector<HeadErrorMap> error_maps_of(const Place& row) {
    std::vector<HeadErrorMap> out;
    if (!row.has("error_maps")) {
        return out;
    }
    for (const Place& place : row["error_maps"].elements()) {
        HeadErrorMap& map = out.emplace_back();
        map.head = place["head"].small();
        map.rho = place["rho"].real(Place::infinity);
        for (const Place& line : place["tiles"].elements()) {
            map.tiles.push_back(line.text());
        }
    }
    return out;
}

OpRow row_of(const Place& place) {
    OpRow out;
    out.clip = place["clip"].text();
    out.layer = place["layer"].small();
    out.op = op_of(place["op"]);
    out.input = place["input"].one_of(std::array{Input::isolated, Input::chained});
    out.judgement = judgement_of(place);
    if (place.has("statistics")) {
        out.statistics = statistics_of(place["statistics"]);
    }
    out.site = site_of(place);
    if (place.has("diagnosis")) {
        out.diagnosis = diagnosis_of(place["diagnosis"]);
    }
    out.error_maps = error_maps_of(place);
    if (place.has("reproduce")) {
        out.reproduce = place["reproduce"].text();
    }
    return out;
}

LayerRow layer_of(const Place& place) {
    LayerRow out;
    out.clip = place["clip"].text();
    out.layer = place["layer"].small();
    out.certificate.fault = place["certificate"]["fault"].text();
    out.headline = judgement_of(place["headline"]);
    if (place["headline"].has("diagnosis")) {
        out.diagnosis = diagnosis_of(place["headline"]["diagnosis"]);
    }
    out.repeated_elements = place["repeatability"]["elements"].counted();
    out.differing_elements = place["repeatability"]["differing"].counted();
    if (place.has("output")) {
        out.output = statistics_of(place["output"]);
    }
    if (place.has("reproduce")) {
        out.reproduce = place["reproduce"].text();
    }
    if (place.has("untimed")) {
        out.untimed = place["untimed"].text();
    }
    return out;
}

// Absent before minor version 4.
std::string text_if_there(const Place& place, const char* key) {
    return place.has(key) ? place[key].text() : "";
}

CandidateFile candidate_of(const Place& place) {
    CandidateFile out;
    out.file = place["file"].text();
    out.runner = place["runner"].text();
    out.input = place["input"].one_of(std::array{Input::isolated, Input::chained});
    out.device = place["device"].text();
    if (!place["launches"].is_null()) {
        out.launches = static_cast<std::int64_t>(place["launches"].measured());
    }
    for (const Place& line : place["not_checked"].elements()) {
        out.not_checked.push_back(line.text());
    }
    if (place.has("sha256")) {  // from minor version 9
        out.sha256 = place["sha256"].text();
        if (const Place probes = place["probes"]; !probes.is_null()) {
            const Place recording = probes["recording"];
            const Place made = probes["candidate"];
            out.probes = {recording["file"].text(), recording["sha256"].text(), made["file"].text(),
                          made["sha256"].text()};
        }
    }
    return out;
}

void read_identities(RunRecord& record, const Place& place) {
    const Place recording = place["recording"];
    record.recording_file = recording["file"].text();
    record.recording_sha256 = recording["sha256"].text();
    record.recording.source = recording["source"].text();
    record.recording.producer = recording["producer"].text();
    record.recording.model_id = recording["model_id"].text();
    record.recording.model_sha256 = recording["model_sha256"].text();
    record.recording.recipe = recording["recipe"].text();
    record.recording.seed = recording["seed"].natural();
    record.recording.context = recording["context"].integer();
    record.recording.heads = recording["heads"].small();
    record.recording.layers = recording["layers"].small();
    record.provenance_note = recording["provenance"].text();
    record.design = place["design"].text();
    record.design_sha256 = text_if_there(place, "design_sha256");
    // Absent from minor version 0, whose runs had this.
    record.placement = place.has("placement") ? place["placement"].text() : "attention";
    record.head = place.has("head") ? place["head"].small() : -1;
    record.device = place["device"].text();
    record.emulation = place["emulation"].text();
    record.cost_model = place["cost_model"].text();
    record.row_seed = place["row_seed"].natural();
    record.accepted_misses_sha256 = text_if_there(place, "accepted_misses_sha256");  // from minor version 5
    if (place.has("candidate") && !place["candidate"].is_null()) {
        record.candidate = candidate_of(place["candidate"]);
    }
}

// Absent before minor version 3, and null where the device was one of this program.
std::optional<NpuEnvironment> npu_of(const Place& environment) {
    if (!environment.has("npu") || environment["npu"].is_null()) {
        return std::nullopt;
    }
    const Place npu = environment["npu"];
    NpuEnvironment out;
    out.name = npu["name"].text();
    out.hardware = npu["hardware"].boolean();
    out.power_mode = npu["power_mode"].text();
    out.xrt = text_if_there(npu, "xrt");
    out.firmware = text_if_there(npu, "firmware");
    out.most_launches_at_once = npu["launches_at_once"].small();
    return out;
}

void check_schema(const Place& root) {
    if (!root.has("schema") || root["schema"].text() != "npu-attention-run") {
        root.refuse("is no run record of this program: its schema is not npu-attention-run");
    }
    const auto version = root["schema_version"].elements();
    if (version.size() != 2) {
        root["schema_version"].refuse("is not two numbers");
    }
    if (version[0].integer() != run_schema_major) {
        root["schema_version"].refuse(
            fmt::format("is {}.{}, and this program reads {}.x: run the comparison again",
                        version[0].integer(), version[1].integer(), run_schema_major));
    }
}

}  // namespace

Json json_of_run(const std::string& text, const std::string& file) {
    constexpr int deepest = 64;  // far beyond what a run record holds; the library would recurse for more
    bool is_too_deep = false;
    const auto is_kept = [&](int depth, Json::parse_event_t, const Json&) {
        is_too_deep = is_too_deep || depth > deepest;
        return !is_too_deep;
    };
    Json json = Json::parse(text, is_kept, false);
    if (is_too_deep) {
        Place(json, file, "").refuse(fmt::format("is nested more than {} deep", deepest));
    }
    if (json.is_discarded() || !json.is_object()) {
        Place(json, file, "").refuse("is not JSON, or cut short");
    }
    return json;
}

RunRecord run_record_of(const Place& root) {
    check_schema(root);
    RunRecord record;
    record.command = root["command"].text();
    record.created_utc = root["created_utc"].text();
    record.speedup_label = root["speedup_label"].text();
    record.exit_code = root["exit_code"].small();
    record.environment.npu = npu_of(root["environment"]);
    read_identities(record, root["identities"]);
    for (const Place& row : root["rows"].elements()) {
        record.rows.push_back(row_of(row));
    }
    for (const Place& layer : root["layers"].elements()) {
        record.layers.push_back(layer_of(layer));
    }
    record.verdict = verdict_of(root["verdict"]);
    return record;
}

RunRecord parse_run_record(const std::string& text, const std::string& file) {
    const Json json = json_of_run(text, file);
    return run_record_of(Place(json, file, ""));
}

std::string read_run_text(const std::string& file) {
    errno = 0;
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw datasets::ReadError(
            file, "run record",
            fmt::format("cannot be read: {}", errno != 0 ? std::strerror(errno) : "it is empty or no file"));
    }
    return text.str();
}

RunRecord read_run_record(const std::string& file) {
    return parse_run_record(read_run_text(file), file);
}

}  // namespace harness
