// The serialiser of judged rows: figures, limits, place, hypothesis, error maps.
#include "harness/run_record.hpp"
#include "harness/run_record_json.hpp"

namespace harness {
namespace {

using harness::to_json;

Json to_json(const Element& element) {
    return {{"head", element.head},
            {"row", element.row},
            {"column", element.column},
            {"got", finite(element.got)},
            {"expected", finite(element.expected)},
            {"bound", finite(element.bound)}};
}

Json to_json(const ZStatistics& z) {
    const auto measured = [](double value, std::string_view unit) { return number(value, unit, "measured"); };
    return {
        {"rms", measured(z.rms, "sigma")},
        {"mean", measured(z.mean, "sigma")},
        {"undeclared_gain", measured(z.gain, "ratio")},
        {"largest",
         {{"head", z.largest_head},
          {"row", z.largest_row},
          {"column", z.largest_column},
          {"z", measured(z.largest, "sigma")}}},
        {"worst_row",
         {{"head", z.worst_row_head}, {"row", z.worst_row_index}, {"rms", measured(z.worst_row, "sigma")}}},
        {"worst_tile",
         {{"head", z.worst_tile_head},
          {"tile_row", z.worst_tile_row},
          {"tile_column", z.worst_tile_column},
          {"rms", measured(z.worst_tile, "sigma")}}},
        {"relative_error",
         {{"measured", measured(z.measured_error, "ratio")},
          {"predicted", number(z.predicted_error, "ratio", "modelled")}}},
        {"predicted_match", number(z.predicted_match_percent, "%", "modelled")}};
}

Json to_json(const std::vector<HeadErrorMap>& maps) {
    Json out = Json::array();
    for (const HeadErrorMap& map : maps) {
        out.push_back({{"head", map.head}, {"rho", finite(map.rho)}, {"tiles", map.tiles}});
    }
    return out;
}

}  // namespace

Json to_json(const OpStatistics& s) {
    const auto measured = [](double value, std::string_view unit) { return number(value, unit, "measured"); };
    Json out{
        {"elements", counted(s.elements, "elements")},
        {"blocks", counted(s.blocks_seen, "blocks")},
        {"blocks_expected", counted(s.blocks_expected, "blocks")},
        {"nonfinite", counted(s.nonfinite, "elements")},
        {"unwritten", counted(s.poisoned, "elements")},
        {"outside_bound", counted(s.outside, "elements")},
        {"rho", measured(s.rho, "error/bound")},
        {"misrounded", counted(s.misrounded, "elements")},
        {"misrounded_below", counted(s.misrounded_below, "elements")},
        {"misrounded_shrunk", counted(s.misrounded_shrunk, "elements")},
        {"match", measured(s.match_percent, "%")},
        {"centred_energy", measured(s.centred_energy, "ratio")},
        {"relative_error", measured(s.relative_error, "ratio")},
        {"cosine", measured(s.cosine, "ratio")},
        {"max_abs_error", measured(s.max_abs_error, "value")},
        {"worst_row",
         {{"head", s.worst_row_head}, {"row", s.worst_row_index}, {"error", measured(s.worst_row, "ratio")}}},
        {"worst_tile",
         {{"head", s.worst_tile_head},
          {"tile_row", s.worst_tile_row},
          {"tile_column", s.worst_tile_column},
          {"error", measured(s.worst_tile, "ratio")}}}};
    out["unrepresentable"] = counted(s.unrepresentable, "elements");
    if (s.row_sum) {
        out["row_sum"] = {{"head", s.row_sum_head},
                          {"row", s.row_sum_row},
                          {"outside_bound", counted(s.row_sums_outside, "rows")},
                          {"error", measured(*s.row_sum, "error/bound")}};
    }
    if (s.z) {
        out["z"] = to_json(*s.z);
    }
    if (s.damage) {
        out["damage"] = {{"first", to_json(s.damage->first)}, {"worst", to_json(s.damage->worst)},
                         {"row_begin", s.damage->row_begin},  {"row_end", s.damage->row_end},
                         {"blocks", s.damage->blocks},        {"heads", s.damage->heads}};
    }
    return out;
}

Json to_json(const OpRow& row) {
    Json out{{"clip", row.clip},
             {"layer", row.layer},
             {"op", datasets::name(row.op)},
             {"input", name(row.input)},
             {"verdict", name(row.judgement.verdict)},
             {"reason", row.judgement.reason},
             {"findings", to_json(row.judgement.findings)}};
    if (row.statistics) {
        out["statistics"] = to_json(*row.statistics);
    }
    for (const Headroom& headroom : row.headroom) {
        const Limit& allowed = limit(headroom.quantity);
        out["headroom"].push_back({{"limit", allowed.name},
                                   {"value", number(headroom.value, "figure of the limit", "measured")},
                                   {"allowed", allowed.limit},
                                   {"gated", allowed.gated},
                                   {"room", number(headroom.decibel, "dB", "measured")}});
    }
    if (row.site) {
        out["site"] = to_json(*row.site);
    }
    if (row.diagnosis) {
        out["diagnosis"] = to_json(*row.diagnosis);
    }
    if (!row.error_maps.empty()) {
        out["error_maps"] = to_json(row.error_maps);
    }
    if (!row.reproduce.empty()) {
        out["reproduce"] = row.reproduce;
    }
    return out;
}

}  // namespace harness
