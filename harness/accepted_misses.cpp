#include "harness/accepted_misses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>

#include "datasets/sha256.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

using nlohmann::json;

constexpr std::string_view schema = "npu-attention-accepted-misses";

// Where in a file, for the line that refuses it.
struct Place {
    const std::string& file;
    std::string object;

    [[noreturn]] void refuse(std::string_view reason) const {
        throw datasets::ReadError(file, object, std::string(reason));
    }
};

template <typename Value>
Value field(const json& object, const char* name, const Place& in) {
    const Place place{in.file, fmt::format("{}{}{}", in.object, in.object.empty() ? "" : ".", name)};
    const auto found = object.find(name);
    if (found == object.end()) {
        place.refuse("is missing");
    }
    try {
        return found->get<Value>();
    } catch (const json::exception&) {
        place.refuse("is of another type");
    }
}

// Over `into`, which is the limit, where the entry has it.
void parse_ceiling(const json& entry, const char* name, double& into, const Place& place) {
    if (!entry.contains(name)) {
        return;
    }
    const double value = field<double>(entry, name, place);
    if (!(value > into && value <= largest_accepted_error)) {
        place.refuse(fmt::format("{} is {}: it must be more than the limit, {}, and at most {}", name, value,
                                 into, largest_accepted_error));
    }
    into = value;
}

std::string canonical_design(const std::string& list, const Place& place) {
    try {
        return npu_impl::compose(list).name;
    } catch (const std::invalid_argument& error) {
        place.refuse(error.what());
    }
}

// A field that is only nearly right would accept more than was meant.
void refuse_unknown_fields(const json& entry, const Place& place) {
    constexpr std::array<std::string_view, 8> known{
        "design", "clip",           "context",           "layers",
        "reason", "match_at_least", "worst_row_at_most", "worst_tile_at_most"};
    for (const auto& item : entry.items()) {
        if (std::ranges::find(known, item.key()) == known.end()) {
            place.refuse(fmt::format("has the unknown field {}", item.key()));
        }
    }
}

AcceptedMiss parse_miss(const json& entry, const Place& place) {
    if (!entry.is_object()) {
        place.refuse("must be an object");
    }
    refuse_unknown_fields(entry, place);
    AcceptedMiss out{canonical_design(field<std::string>(entry, "design", place), place),
                     field<std::string>(entry, "clip", place),
                     field<std::int64_t>(entry, "context", place),
                     field<std::vector<int>>(entry, "layers", place),
                     field<std::string>(entry, "reason", place),
                     field<double>(entry, "match_at_least", place)};
    const double criterion = limit(Quantity::match).limit;
    if (!(out.match_at_least >= least_accepted_match && out.match_at_least < criterion)) {
        place.refuse(fmt::format("match_at_least is {}: it must be at least {} and under the criterion, {}",
                                 out.match_at_least, least_accepted_match, criterion));
    }
    parse_ceiling(entry, "worst_row_at_most", out.worst_row_at_most, place);
    parse_ceiling(entry, "worst_tile_at_most", out.worst_tile_at_most, place);
    if (out.layers.empty()) {
        place.refuse("names no layers: it accepts nothing");
    }
    if (out.reason.empty()) {
        place.refuse("has no reason: say why the miss is accepted");
    }
    return out;
}

bool names(const AcceptedMiss& miss, int layer) {
    return std::ranges::find(miss.layers, layer) != miss.layers.end();
}

void refuse_second_entry(const std::vector<AcceptedMiss>& before, const AcceptedMiss& miss,
                         const Place& place) {
    for (const AcceptedMiss& other : before) {
        const bool same_runs =
            other.design == miss.design && other.clip == miss.clip && other.context == miss.context;
        const auto twice =
            std::ranges::find_if(miss.layers, [&](int layer) { return same_runs && names(other, layer); });
        if (twice != miss.layers.end()) {
            place.refuse(fmt::format("is the second for {}, {}, T = {}, layer {}: leave one out", miss.design,
                                     miss.clip, miss.context, *twice));
        }
    }
}

// Whether every op of the attention was judged in this layer, isolated or chained, and none is bad.
bool is_sound(const RunRecord& record, const LayerRow& layer) {
    std::set<datasets::Op> judged;
    for (const OpRow& row : record.rows) {
        if (row.clip == layer.clip && row.layer == layer.layer) {
            if (!is_good(row.judgement.verdict)) {
                return false;
            }
            judged.insert(row.op);
        }
    }
    return std::ranges::all_of(datasets::ops_in(datasets::attention_ops),
                               [&](const datasets::OpInfo& info) { return judged.contains(info.op); });
}

// Whether the match is missed, and that by no more than is accepted. Where it holds, a wrong row or tile is a
// fault, whatever the entry says.
bool covers(const AcceptedMiss& miss, const LayerRow& layer) {
    const auto is_headline = [](const Finding& one) {
        return one.quantity == Quantity::match || one.quantity == Quantity::worst_row ||
               one.quantity == Quantity::worst_tile;
    };
    const std::vector<Finding>& findings = layer.headline.findings;
    return layer.headline.verdict == Verdict::failed && std::ranges::all_of(findings, is_headline) &&
           std::ranges::find(findings, Quantity::match, &Finding::quantity) != findings.end() &&
           layer.output && layer.output->match_percent >= miss.match_at_least &&
           layer.output->worst_row <= miss.worst_row_at_most &&
           layer.output->worst_tile <= miss.worst_tile_at_most;
}

}  // namespace

std::vector<AcceptedMiss> parse_accepted_misses(const std::string& text, const std::string& file) {
    const json top = json::parse(text, nullptr, false);
    if (!top.is_object() || top.value("schema", json()) != schema) {
        Place{file, "schema"}.refuse(fmt::format("must be {}", schema));
    }
    if (field<int>(top, "schema_version", {file, ""}) != 1) {
        Place{file, "schema_version"}.refuse("must be 1");
    }
    const json misses = field<json>(top, "misses", {file, ""});
    if (!misses.is_array()) {
        Place{file, "misses"}.refuse("must be an array");
    }
    std::vector<AcceptedMiss> out;
    for (const json& entry : misses) {
        const Place place{file, fmt::format("misses[{}]", out.size())};
        AcceptedMiss miss = parse_miss(entry, place);
        refuse_second_entry(out, miss, place);
        out.push_back(std::move(miss));
    }
    return out;
}

AcceptedMisses read_accepted_misses(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw datasets::ReadError(file, "", "cannot be read");
    }
    return {parse_accepted_misses(text.str(), file),
            datasets::sha256_hex(std::as_bytes(std::span(text.view())))};
}

std::vector<std::string> accept_misses(RunRecord& record, const std::vector<AcceptedMiss>& misses) {
    std::vector<std::string> needless;
    if (misses.empty()) {
        return needless;
    }
    const std::string design = npu_impl::compose(record.design).name;
    for (LayerRow& layer : record.layers) {
        const auto miss = std::ranges::find_if(misses, [&](const AcceptedMiss& one) {
            return one.design == design && one.context == record.recording.context &&
                   one.clip == layer.clip && names(one, layer.layer);
        });
        if (miss == misses.end()) {
            continue;
        }
        if (layer.headline.verdict == Verdict::passed) {
            needless.push_back(fmt::format(
                "the miss accepted of {}, {}, T = {}, layer {} did not occur: take it off the list", design,
                layer.clip, miss->context, layer.layer));
        } else if (covers(*miss, layer) && is_sound(record, layer)) {
            layer.headline.verdict = Verdict::accepted;
            layer.headline.reason +=
                fmt::format("; accepted down to {}%: {}", miss->match_at_least, miss->reason);
        }
    }
    return needless;
}

}  // namespace harness
