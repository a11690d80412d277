#include "harness/run_figures_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <iterator>
#include <set>
#include <stdexcept>
#include <tuple>

#include "datasets/recording.hpp"
#include "datasets/sha256.hpp"
#include "harness/run_figures_rows.hpp"
#include "harness/run_record_read.hpp"

namespace harness {
namespace {

// What a later minor version may hold.
std::string text_if_there(const Json& json, const char* key) {
    return json.contains(key) && json.at(key).is_string() ? text_of(json, key) : "";
}

// As written: what is no whole number must not become one.
std::string whole_number_of(const Json& json, const char* key) {
    const Json& number = json.at(key);
    if (!number.is_number_integer()) {
        throw std::invalid_argument(fmt::format("{} {} is no whole number", key, number.dump()));
    }
    return number.dump();
}

// "0-2,5 end": the layers that have rows.
std::string scope_of(const Json& json) {
    std::set<int> layers;
    for (const Json& layer : json.at("layers")) {
        layers.insert(layer.at("layer").get<int>());
    }
    std::string out;
    for (auto first = layers.lower_bound(0); first != layers.end();) {
        auto last = first;
        for (auto next = std::next(last); next != layers.end() && *next == *last + 1; ++next) {
            last = next;
        }
        out += out.empty() ? "" : ",";
        out += first == last ? fmt::to_string(*first) : fmt::format("{}-{}", *first, *last);
        first = std::next(last);
    }
    if (layers.contains(-1)) {
        out += out.empty() ? "end" : " end";
    }
    return out.empty() && !json.at("encoders").empty() ? "whole encoder" : out;
}

EnvironmentKey key_of(const Json& json) {
    const Json& environment = json.at("environment");
    const Json& identities = json.at("identities");
    const Json& recording = identities.at("recording");
    EnvironmentKey key;
    key.machine = text_if_there(environment, "machine");
    key.cpu = text_of(environment, "cpu");
    key.cores = whole_number_of(environment, "cores");
    key.threads = whole_number_of(environment, "threads");
    key.blas = text_of(environment, "blas");
    key.blas_kernels = text_of(environment, "blas_core_type");
    key.compiler = text_of(environment, "compiler");
    key.flags = text_of(environment, "flags");
    key.build_type = text_of(environment, "build_type");
    // Of a run on the device xrt; the emulated one has none.
    if (environment.contains("npu") && environment["npu"].is_object()) {
        const Json& npu = environment["npu"];
        key.npu = text_of(npu, "name");
        key.xrt = text_if_there(npu, "xrt");
        key.firmware = text_if_there(npu, "firmware");
        key.power_mode = text_of(npu, "power_mode");
    }
    key.device = text_of(identities, "device");
    key.device_model = text_of(identities, "cost_model");
    key.emulation = text_of(identities, "emulation");
    key.design = text_of(identities, "design");
    key.design_sha256 = text_if_there(identities, "design_sha256");
    key.placement = identities.contains("placement") ? text_of(identities, "placement") : "attention";
    key.head = identities.contains("head") ? whole_number_of(identities, "head") : "-1";
    key.context = whole_number_of(recording, "context");
    key.recording = text_of(recording, "sha256");
    if (key.recording.empty()) {
        key.recording = "model " + text_of(recording, "model_sha256");
        for (const Json& encoder : json.at("encoders")) {
            key.recording += ", audio " + text_of(encoder, "audio_sha256");
        }
    }
    return key;
}

// ISO 8601 in UTC: histories are ordered by it as text.
void check_time(const std::string& time) {
    constexpr std::string_view form = "0000-00-00T00:00:00Z";
    const bool has_form =
        time.size() == form.size() && std::ranges::equal(time, form, [](char c, char wanted) {
            return wanted == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == wanted;
        });
    const auto number = [&](std::size_t at) { return unsigned(std::stoi(time.substr(at, 2))); };
    const auto is_time = [&] {
        using namespace std::chrono;
        const year_month_day day{year(std::stoi(time)), month(number(5)), std::chrono::day(number(8))};
        return day.ok() && number(11) < 24 && number(14) < 60 && number(17) <= 60;
    };
    if (!has_form || !is_time()) {
        throw std::invalid_argument(fmt::format("created_utc '{}' is no time such as {}", time, form));
    }
}

// Two figures of one name could not be told apart later.
void refuse_repeated(const std::vector<Figure>& figures) {
    std::set<std::tuple<std::string, std::string, std::string, std::string, std::string>> seen;
    for (const Figure& f : figures) {
        if (!seen.emplace(f.row, f.part, f.clip, f.input, f.quantity).second) {
            throw std::invalid_argument(
                fmt::format("{} of {} {} {} {} is there twice", f.quantity, f.row, f.part, f.clip, f.input));
        }
    }
}

}  // namespace

RunFigures parse_run_figures(const std::string& text, const std::string& file) {
    const RunRecord record = parse_run_record(text, file);  // refuses what is no run record of this schema
    RunFigures out;
    out.file = file;
    out.created_utc = record.created_utc;
    out.command = record.command;
    out.verdict = record.verdict;
    out.exit_code = record.exit_code;
    try {
        check_time(out.created_utc);
        const Json json = Json::parse(text);
        datasets::Sha256 hash;
        hash.update(json.dump());
        out.sha256 = hash.finish();
        out.commit = text_of(json.at("environment"), "commit");
        out.system = text_of(json.at("environment"), "system");
        out.scope = scope_of(json);
        out.key = key_of(json);
        out.figures = figures_of(json);
        if (json.contains("shard") && json["shard"].at("shards").size() < json["shard"].at("of")) {
            out.missing = fmt::format("holds only {} of {} shards", json["shard"]["shards"].size(),
                                      json["shard"]["of"].get<std::size_t>());
        }
        refuse_repeated(out.figures);
    } catch (const Json::exception& error) {
        const std::string_view words = error.what();  // "[json.exception.out_of_range.403] key 'x' not found"
        throw datasets::ReadError(file, "figures", std::string(words.substr(words.find("] ") + 2)));
    } catch (const std::invalid_argument& error) {
        throw datasets::ReadError(file, "figures", error.what());
    }
    return out;
}

RunFigures read_run_figures(const std::string& file) {
    return parse_run_figures(read_run_text(file), file);
}

}  // namespace harness
