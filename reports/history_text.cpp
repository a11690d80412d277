#include "reports/history_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "reports/clean_text.hpp"
#include "reports/commit_name.hpp"

namespace reports {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t spark_width = 30;

std::string key_text(const harness::EnvironmentKey& key) {
    return one_line(fmt::format("{}, {} threads; design {} on {} ({}), T = {}, recording {:.12}", key.cpu,
                                key.threads, key.design, key.device, key.emulation, key.context,
                                key.recording));
}

double middle(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string trend_row(const Trend& trend) {
    std::vector<double> drawn;
    std::vector<double> values;
    for (const TrendPoint& point : trend.points) {
        drawn.push_back(point.value);
        if (!std::isnan(point.value)) {
            values.push_back(point.value);
        }
    }
    const std::string latest =
        std::isnan(drawn.back()) ? std::string("-") : fmt::format("{:.6g}", drawn.back());
    const auto [least, most] = std::ranges::minmax(values);
    return fmt::format("{:<27.27} {:<9} {:>10} {:>10.6g} {:>10.6g} {:>10.6g}  {}\n", trend.quantity,
                       trend.kind, latest, middle(values), least, most, spark_line(drawn, spark_width));
}

// As one field of RFC 4180.
std::string field(std::string_view text) {
    if (text.find_first_of(",\"\n\r") == std::string_view::npos) {
        return std::string(text);
    }
    std::string out = "\"";
    for (const char c : text) {
        out += c == '"' ? "\"\"" : std::string(1, c);
    }
    return out + "\"";
}

std::string number(double value) {
    return std::isnan(value) ? "" : fmt::format("{}", value);
}

nlohmann::ordered_json json_number(double value) {
    using Json = nlohmann::ordered_json;
    return std::isfinite(value) ? Json(value) : std::isnan(value) ? Json(nullptr) : Json("infinity");
}

nlohmann::ordered_json json_figure(const harness::Figure& figure) {
    nlohmann::ordered_json out{{"row", figure.row},
                               {"part", figure.part},
                               {"clip", figure.clip},
                               {"input", figure.input},
                               {"quantity", figure.quantity},
                               {"kind", harness::name(figure.kind)},
                               {"value", json_number(figure.value)}};
    if (!figure.samples.empty()) {
        out["samples"] = figure.samples;
    }
    if (figure.verdict) {
        out["verdict"] = harness::name(*figure.verdict);
    }
    return out;
}

}  // namespace

std::string history_list(const std::vector<HistoryRun>& runs) {
    std::string out = fmt::format("{:>6} {:<20} {:<18} {:<10} {:>4} {:>7} {:>4}  {}\n", "run", "created",
                                  "commit", "verdict", "exit", "figures", "env", "layers");
    std::map<std::int64_t, const harness::EnvironmentKey*> environments;
    for (const HistoryRun& one : runs) {
        out += fmt::format("{:>6} {:<20} {:<18.18} {:<10} {:>4} {:>7} {:>4}  {}\n", one.number,
                           one_line(one.run.created_utc), one_line(short_commit(one.run.commit)),
                           harness::name(one.run.verdict), one.run.exit_code, one.figures, one.environment,
                           one_line(one.run.scope));
        environments[one.environment] = &one.run.key;
    }
    for (const auto& [number, key] : environments) {
        out += fmt::format("env {}: {}\n", number, key_text(*key));
        if (const auto& last = runs.back(); number != last.environment) {
            out += fmt::format("  against env {}: {}\n", last.environment,
                               one_line(harness::key_difference(*key, last.run.key)));
        }
    }
    return out;
}

std::string spark_line(const std::vector<double>& values, std::size_t width) {
    constexpr std::array heights{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const std::size_t cells = std::min(width, values.size());
    std::vector<double> drawn(cells, nothing);
    for (std::size_t cell = 0; cell < cells; ++cell) {
        double sum = 0;
        int count = 0;
        for (std::size_t i = cell * values.size() / cells; i < (cell + 1) * values.size() / cells; ++i) {
            if (std::isfinite(values[i])) {
                sum += values[i];
                ++count;
            }
        }
        drawn[cell] = count > 0 ? sum / count : nothing;
    }
    double least = std::numeric_limits<double>::infinity();
    double most = -least;
    for (const double value : drawn) {
        least = std::fmin(least, value);
        most = std::fmax(most, value);
    }
    std::string out;
    for (const double value : drawn) {
        const double height = most > least ? (value - least) / (most - least) * (heights.size() - 1) : 0;
        out += std::isnan(value) ? " " : heights[static_cast<std::size_t>(std::lround(height))];
    }
    return out;
}

std::string trend_table(const HistoryRun& latest, const std::vector<Trend>& trends) {
    std::string out = fmt::format("env {}: {}\n", latest.environment, key_text(latest.run.key));
    if (trends.empty()) {
        return out + fmt::format("layers {}; no run has a value\n", one_line(latest.run.scope));
    }
    const std::vector<TrendPoint>& runs = trends.front().points;
    out += fmt::format("layers {}; {} runs from {:.10} to {:.10}\n", one_line(latest.run.scope), runs.size(),
                       one_line(runs.front().created_utc), one_line(runs.back().created_utc));
    out += fmt::format("{:<27} {:<9} {:>10} {:>10} {:>10} {:>10}  {}\n", "quantity", "kind", "latest",
                       "median", "least", "largest", "first to last");
    for (const Trend& trend : trends) {
        out += trend_row(trend);
    }
    return out + "times and counts: mean over layers and clips; accuracy: the worst of them\n";
}

void write_csv(std::ostream& out, const History& history) {
    std::string heading = "run,created,commit,scope,run_verdict";
    for (const harness::KeyField& key : harness::key_fields()) {
        heading += fmt::format(",{}", key.name);
    }
    out << heading << ",row,part,clip,input,quantity,kind,value,samples,verdict\r\n";
    std::int64_t described = -1;
    std::string run_fields;
    history.for_each_figure([&](const HistoryRun& one, const harness::Figure& figure) {
        if (one.number != described) {
            described = one.number;
            run_fields = fmt::format("{},{},{},{},{}", one.number, one.run.created_utc, field(one.run.commit),
                                     field(one.run.scope), harness::name(one.run.verdict));
            for (const harness::KeyField& key : harness::key_fields()) {
                run_fields += fmt::format(",{}", field(one.run.key.*key.value));
            }
        }
        std::string samples;
        for (const double sample : figure.samples) {
            samples += fmt::format("{}{}", samples.empty() ? "" : " ", number(sample));
        }
        out << fmt::format("{},{},{},{},{},{},{},{},{},{}\r\n", run_fields, field(figure.row),
                           field(figure.part), field(figure.clip), figure.input, field(figure.quantity),
                           harness::name(figure.kind), number(figure.value), samples,
                           figure.verdict ? harness::name(*figure.verdict) : std::string_view());
    });
}

void write_json(std::ostream& out, const History& history) {
    using Json = nlohmann::ordered_json;
    const auto text = [](const Json& json) {
        return json.dump(1, ' ', false, Json::error_handler_t::replace);
    };
    const std::vector<HistoryRun> runs = history.runs();
    std::map<std::int64_t, Json> environments;
    for (const HistoryRun& one : runs) {
        Json& key = environments[one.environment];
        key["environment"] = one.environment;
        for (const harness::KeyField& each : harness::key_fields()) {
            key[std::string(each.name)] = one.run.key.*each.value;
        }
    }
    Json listed = Json::array();
    for (auto& [number, key] : environments) {
        listed.push_back(std::move(key));
    }
    out << "{\"schema\": \"npu-attention-history\",\n\"environments\": " << text(listed) << ",\n\"runs\": [";
    const char* between = "\n";
    for (const HistoryRun& one : runs) {
        Json figures = Json::array();
        for (const harness::Figure& figure : history.with_figures(one).figures) {
            figures.push_back(json_figure(figure));
        }
        out << std::exchange(between, ",\n")
            << text({{"run", one.number},
                     {"environment", one.environment},
                     {"sha256", one.run.sha256},
                     {"created_utc", one.run.created_utc},
                     {"commit", one.run.commit},
                     {"command", one.run.command},
                     {"system", one.run.system},
                     {"scope", one.run.scope},
                     {"verdict", harness::name(one.run.verdict)},
                     {"exit_code", one.run.exit_code},
                     {"figures", std::move(figures)}});
    }
    out << "\n]}\n";
}

}  // namespace reports
