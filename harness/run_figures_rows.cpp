#include "harness/run_figures_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace harness {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double ms_per_second = 1e3;

double real(const Json& json, double null) {
    return json.is_null() ? null : json.get<double>();
}

std::string range_of(const Json& ops) {
    const std::string first = text_of(ops, "first");
    const std::string last = text_of(ops, "last");
    return first == last ? first : first + ".." + last;
}

std::string part_of(int layer) {
    return layer < 0 ? "end" : fmt::format("layer {}", layer);
}

Verdict verdict_of(const Json& json) {
    const std::string word = text_of(json, "verdict");
    if (const auto verdict = parse_verdict(word)) {
        return *verdict;
    }
    throw std::invalid_argument(fmt::format("verdict '{}' is unknown", word));
}

// The figures of one place in the run, collected one by one.
class Collector {
public:
    Collector(std::vector<Figure>& figures, std::string part, std::string clip)
        : figures_(figures), part_(std::move(part)), clip_(std::move(clip)) {}

    void verdict(const std::string& row, const std::string& input, Verdict verdict) {
        figures_.push_back({row, part_, clip_, input, "verdict", FigureKind::computed, nothing, {}, verdict});
    }
    void computed(const std::string& row, const std::string& input, const char* quantity, double value,
                  std::optional<Verdict> verdict = {}) {
        figures_.push_back({row, part_, clip_, input, quantity, FigureKind::computed, value, {}, verdict});
    }
    void counted(const std::string& row, const char* quantity, const Json& count) {
        figures_.push_back(
            {row, part_, clip_, "", quantity, FigureKind::counted, count.at("value").get<double>(), {}, {}});
    }
    // Of {"value", "kind", perhaps "samples"}, `scale` times as large; nothing where no clock ran.
    void clocked(const std::string& row, const char* quantity, const Json& number, double scale) {
        const std::string word = text_of(number, "kind");
        if (word == "none" || word == "emulation") {
            return;
        }
        const auto kind = parse_figure_kind(word);
        if (!kind) {
            throw std::invalid_argument(fmt::format("{} of {}: kind '{}' is unknown", quantity, row, word));
        }
        Figure figure{row, part_, clip_, "", quantity, *kind, real(number.at("value"), nothing) * scale,
                      {},  {}};
        if (number.contains("samples")) {
            for (const Json& sample : number.at("samples")) {
                figure.samples.push_back(sample.get<double>() * scale);
            }
        }
        figures_.push_back(std::move(figure));
    }

private:
    std::vector<Figure>& figures_;
    std::string part_;
    std::string clip_;
};

void add_step(Collector& out, const Json& step, const std::string& row, bool cpu_elsewhere) {
    if (!cpu_elsewhere) {
        out.clocked(row, "CPU ms", step.at("cpu"), ms_per_second);
    }
    out.clocked(row, "NPU ms", step.at("npu"), ms_per_second);
    for (const char* count : {"launches", "tiles", "bytes"}) {
        out.counted(row, count, step.at(count));
    }
}

void add_statistics(Collector& out, const Json& statistics, const std::string& row, const std::string& input,
                    Verdict verdict) {
    const auto error = [&](const char* place) {
        return real(statistics.at(place).at("error").at("value"), nothing);
    };
    out.computed(row, input, "rho", real(statistics.at("rho").at("value"), infinity), verdict);
    out.computed(row, input, "match %", real(statistics.at("match").at("value"), nothing), verdict);
    out.computed(row, input, "worst row error", error("worst_row"), verdict);
    out.computed(row, input, "worst tile error", error("worst_tile"), verdict);
}

void add_op_row(std::vector<Figure>& figures, const Json& json) {
    Collector out(figures, part_of(json.at("layer").get<int>()), text_of(json, "clip"));
    const std::string op = text_of(json, "op");
    const std::string input = text_of(json, "input");
    const Verdict verdict = verdict_of(json);
    out.verdict(op, input, verdict);
    if (json.contains("statistics")) {
        add_statistics(out, json.at("statistics"), op, input, verdict);
    }
    double room = infinity;  // to the nearest gated limit
    if (json.contains("headroom")) {
        for (const Json& one : json.at("headroom")) {
            if (one.at("gated").get<bool>()) {
                room = std::min(room, real(one.at("room").at("value"), infinity));
            }
        }
    }
    if (room < infinity) {
        out.computed(op, input, "headroom dB", room, verdict);
    }
}

// Several rows of one probe at one place, a step each, count as one: the worst.
void add_probe(std::vector<Figure>& figures, const Json& json, const std::string& part,
               const std::string& clip) {
    const std::string row = "probe " + text_of(json, "probe");
    const Verdict verdict = verdict_of(json);
    const double rho = real(json.at("rho").at("value"), infinity);
    bool is_there = false;
    for (Figure& figure : figures) {
        if (figure.row == row && figure.part == part && figure.clip == clip) {
            is_there = true;
            figure.verdict = worst_verdict({*figure.verdict, verdict});
            figure.value = figure.quantity == "rho" ? std::max(figure.value, rho) : figure.value;
        }
    }
    if (!is_there) {
        Collector out(figures, part, clip);
        out.verdict(row, "", verdict);
        out.computed(row, "", "rho", rho, verdict);
    }
}

void add_layer(std::vector<Figure>& figures, const Json& json, bool cpu_elsewhere) {
    const std::string part = part_of(json.at("layer").get<int>());
    const std::string clip = text_of(json, "clip");
    Collector out(figures, part, clip);
    const Verdict headline = verdict_of(json.at("headline"));
    out.verdict("headline", "", headline);
    if (json.contains("output")) {
        out.computed("headline", "", "match %", real(json.at("output").at("match").at("value"), nothing),
                     headline);
    }
    const Json& repeated = json.at("repeatability");
    out.computed("repeatability", "", "differing elements",
                 repeated.at("differing").at("value").get<double>());
    if (repeated.contains("verdict")) {
        out.verdict("repeatability", "", verdict_of(repeated));
    }
    if (json.contains("probes")) {
        for (const Json& probe : json.at("probes")) {
            add_probe(figures, probe, part, clip);
        }
    }
    for (const Json& step : json.at("steps")) {
        add_step(out, step, range_of(step.at("ops")), cpu_elsewhere);
    }
    if (json.contains("attention")) {
        add_step(out, json.at("attention"), "attention", cpu_elsewhere);
    }
}

void add_drift(std::vector<Figure>& figures, const Json& point, const std::string& clip) {
    Collector out(figures, text_of(point, "after"), clip);
    for (const char* input : {"isolated", "chained"}) {
        const Json& deviation = point.at(input);
        out.computed("drift", input, "match %", real(deviation.at("match").at("value"), nothing));
        out.computed("drift", input, "worst row error",
                     real(deviation.at("worst_row").at("error").at("value"), nothing));
    }
}

void add_encoder(std::vector<Figure>& figures, const Json& json) {
    const std::string clip = text_of(json, "clip");
    Collector whole(figures, "", clip);
    whole.clocked("mel", "CPU ms", json.at("mel"), ms_per_second);
    whole.clocked("whole encoder", "CPU ms", json.at("encoder_warm"), ms_per_second);
    for (const Json& stage : json.at("stages")) {
        Collector out(figures, text_of(stage, "stage"), clip);
        out.clocked(range_of(stage.at("ops")), "CPU ms", stage.at("cpu"), ms_per_second);
    }
    const Json& candidate = json.at("candidate");
    const std::string computed = text_of(candidate, "placement");
    for (const Json& placement : json.at("placements")) {
        const std::string placed = text_of(placement, "placement");
        whole.clocked("mel and encoder, NPU: " + placed, "RTF", placement.at("audio").at("rtf"), 1);
        if (placed == computed) {
            for (const Json& step : placement.at("npu_steps")) {
                Collector out(figures, text_of(step, "stage"), clip);
                out.clocked(range_of(step.at("ops")), "NPU ms", step.at("npu"), ms_per_second);
            }
        }
    }
    whole.counted("whole encoder", "launches", candidate.at("launches"));
    whole.verdict("whole encoder", "", verdict_of(candidate));
    for (const Json& point : candidate.at("drift")) {
        add_drift(figures, point, clip);
    }
}

void add_clip(std::vector<Figure>& figures, const Json& json, bool cpu_elsewhere) {
    Collector out(figures, "", text_of(json, "clip"));
    const std::string scope = text_of(json, "scope");
    if (!cpu_elsewhere) {
        out.clocked(scope, "CPU RTF", json.at("cpu").at("rtf"), 1);
    }
    out.clocked(scope, "NPU RTF", json.at("npu").at("rtf"), 1);
}

// Whether the CPU's times were measured on another machine (--cpu-baseline), whose key is not the run's.
bool cpu_elsewhere(const Json& json) {
    return json.contains("cpu_timing") && json["cpu_timing"].is_object() &&
           json["cpu_timing"].value("elsewhere", false);
}

// What has no other figure: the run as a whole, and each class of faults that its data must reveal.
void add_whole(std::vector<Figure>& figures, const Json& json) {
    Collector out(figures, "", "");
    out.verdict("whole run", "", verdict_of(json));
    if (json.contains("data_trust")) {
        for (const Json& row : json["data_trust"]) {
            out.verdict("data trust, " + text_of(row, "fault_class"), "", verdict_of(row));
        }
    }
}

}  // namespace

std::string text_of(const Json& json, const char* key) {
    return json.at(key).get<std::string>();
}

std::vector<Figure> figures_of(const Json& json) {
    std::vector<Figure> out;
    const bool elsewhere = cpu_elsewhere(json);
    add_whole(out, json);
    for (const Json& row : json.at("rows")) {
        add_op_row(out, row);
    }
    for (const Json& layer : json.at("layers")) {
        add_layer(out, layer, elsewhere);
    }
    if (json.contains("ragged_probes")) {
        for (const Json& probe : json.at("ragged_probes")) {
            add_probe(out, probe, fmt::format("T = {}", probe.at("context").get<std::int64_t>()), "");
        }
    }
    for (const Json& clip : json.at("clips")) {
        add_clip(out, clip, elsewhere);
    }
    for (const Json& encoder : json.at("encoders")) {
        add_encoder(out, encoder);
    }
    return out;
}

}  // namespace harness
