#include "harness/accepted_misses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <tuple>

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

// Over `into`, where the entry has it.
void parse_ceiling(const json& entry, const char* name, double& into, const Place& place) {
    if (!entry.contains(name)) {
        return;
    }
    const double value = field<double>(entry, name, place);
    if (!(value > into)) {
        place.refuse(fmt::format("{} is {}: it must be more than the limit, {}", name, value, into));
    }
    into = value;
}

AcceptedMiss parse_miss(const json& entry, const Place& place) {
    if (!entry.is_object()) {
        place.refuse("must be an object");
    }
    AcceptedMiss out{field<std::string>(entry, "design", place), field<std::string>(entry, "clip", place),
                     field<std::int64_t>(entry, "context", place), field<std::string>(entry, "reason", place),
                     field<double>(entry, "match_at_least", place)};
    try {
        npu_impl::compose(out.design);
    } catch (const std::invalid_argument& error) {
        place.refuse(error.what());
    }
    const double criterion = limit(Quantity::match).limit;
    if (!(out.match_at_least > 0 && out.match_at_least < criterion)) {
        place.refuse(fmt::format("match_at_least is {}: it must lie between 0 and the criterion, {}",
                                 out.match_at_least, criterion));
    }
    parse_ceiling(entry, "worst_row_at_most", out.worst_row_at_most, place);
    parse_ceiling(entry, "worst_tile_at_most", out.worst_tile_at_most, place);
    if (out.reason.empty()) {
        place.refuse("has no reason: say why the miss is accepted");
    }
    return out;
}

bool is_for(const AcceptedMiss& miss, const RunRecord& record, const std::string& clip) {
    return miss.design == record.design && miss.context == record.recording.context && miss.clip == clip;
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
        const auto key = [](const AcceptedMiss& one) { return std::tie(one.design, one.clip, one.context); };
        if (std::ranges::any_of(out, [&](const AcceptedMiss& other) { return key(other) == key(miss); })) {
            place.refuse(fmt::format("is the second for {}, {}, T = {}: leave one out", miss.design,
                                     miss.clip, miss.context));
        }
        out.push_back(std::move(miss));
    }
    return out;
}

std::vector<AcceptedMiss> read_accepted_misses(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw datasets::ReadError(file, "", "cannot be read");
    }
    return parse_accepted_misses(text.str(), file);
}

std::vector<std::string> accept_misses(RunRecord& record, const std::vector<AcceptedMiss>& misses) {
    std::vector<std::string> needless;
    for (const AcceptedMiss& miss : misses) {
        int judged = 0;
        int missed = 0;
        for (LayerRow& layer : record.layers) {
            if (!is_for(miss, record, layer.clip) || layer.headline.verdict == Verdict::not_run) {
                continue;
            }
            ++judged;
            missed += layer.headline.verdict == Verdict::passed ? 0 : 1;
            if (covers(miss, layer)) {
                layer.headline.verdict = Verdict::accepted;
                layer.headline.reason +=
                    fmt::format("; accepted down to {}%: {}", miss.match_at_least, miss.reason);
            }
        }
        if (judged > 0 && missed == 0) {
            needless.push_back(
                fmt::format("the miss accepted of {}, {}, T = {} did not occur: take it off the list",
                            miss.design, miss.clip, miss.context));
        }
    }
    return needless;
}

}  // namespace harness
