#include "harness/cpu_baseline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace harness {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view schema = "npu-cpu-baseline";

bool inside(datasets::OpRange outer, datasets::OpRange inner) {
    return outer.contains(inner.first) && outer.contains(inner.last);
}

[[noreturn]] void garbled(const std::string& file, std::string_view object, std::string_view reason) {
    throw datasets::ReadError(
        file, std::string(object),
        fmt::format("{}; make the file with harness bench-cpu --out FILE (of a whole encoder: encode --json)",
                    reason));
}

template <typename Value>
Value field(const ordered_json& object, const char* name, const std::string& file) {
    const auto found = object.find(name);
    if (found == object.end()) {
        garbled(file, name, "is missing");
    }
    try {
        return found->get<Value>();
    } catch (const ordered_json::exception&) {
        garbled(file, name, "is of another type");
    }
}

CpuOpTime parse_op(const ordered_json& entry, const std::string& file) {
    CpuOpTime out;
    const auto first = datasets::parse_op(field<std::string>(entry, "first", file));
    const auto last = datasets::parse_op(field<std::string>(entry, "last", file));
    if (!first || !last || *last < *first) {
        garbled(file, "ops", "names no range of ops");
    }
    out.ops = {*first, *last};
    out.clock = field<std::string>(entry, "clock", file) == datasets::name(datasets::Clock::host_share)
                    ? datasets::Clock::host_share
                    : datasets::Clock::host_wall;
    out.samples_seconds = field<std::vector<double>>(entry, "samples_seconds", file);
    const auto bad = [](double seconds) { return !std::isfinite(seconds) || seconds < 0; };
    if (out.samples_seconds.empty() || std::ranges::any_of(out.samples_seconds, bad)) {
        garbled(file, fmt::format("samples_seconds of {}", datasets::name(*last)),
                "must be finite numbers, none negative, at least one");
    }
    return out;
}

std::string text_of(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw datasets::ReadError(file, "", "cannot be read");
    }
    return text.str();
}

}  // namespace

Duration CpuBaseline::of(datasets::OpRange range) const {
    Duration out;
    out.clock = datasets::Clock::host_wall;
    std::size_t covered = 0;
    for (const CpuOpTime& op : ops) {
        if (!inside(range, op.ops)) {
            continue;
        }
        covered += datasets::ops_in(op.ops).size();
        out.samples_seconds.resize(op.samples_seconds.size());
        for (std::size_t i = 0; i < op.samples_seconds.size(); ++i) {
            out.samples_seconds[i] += op.samples_seconds[i];
        }
        out.clock = op.clock == datasets::Clock::host_share ? op.clock : out.clock;
    }
    if (covered != datasets::ops_in(range).size()) {
        throw std::invalid_argument(fmt::format("lacks some of {}", range_name(range)));
    }
    out.seconds = median(out.samples_seconds);
    return out;
}

std::vector<double> CpuBaseline::totals() const {
    std::vector<double> out;
    for (const CpuOpTime& op : ops) {
        out.resize(op.samples_seconds.size());
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] += op.samples_seconds[i];
        }
    }
    return out;
}

CpuBaseline measure_cpu(datasets::PreparedLayer& golden, datasets::Work work, const datasets::Source& source,
                        const StopRule& rule) {
    CpuBaseline out;
    std::vector<datasets::Part> parts;
    datasets::NullSink sink;
    const Measurement measured = measure(rule, [&] {
        parts = golden.compute(work, source, sink);
        std::vector<double> seconds;
        for (const datasets::Part& part : parts) {
            seconds.push_back(part.seconds);
        }
        return seconds;
    });
    for (std::size_t i = 0; i < parts.size(); ++i) {
        out.ops.push_back({parts[i].ops, parts[i].clock, measured.samples[i]});
    }
    out.settled = measured.settled;
    out.control = control_of(out.totals());
    return out;
}

std::string to_json(const CpuBaseline& baseline) {
    ordered_json ops = ordered_json::array();
    for (const CpuOpTime& op : baseline.ops) {
        ops.push_back({{"first", datasets::name(op.ops.first)},
                       {"last", datasets::name(op.ops.last)},
                       {"clock", datasets::name(op.clock)},
                       {"kind", "measured"},
                       {"median_seconds", median(op.samples_seconds)},
                       {"mad_seconds", median_deviation(op.samples_seconds)},
                       {"samples_seconds", op.samples_seconds}});
    }
    const ordered_json out{{"schema", schema},
                           {"schema_version", 1},
                           {"created_utc", baseline.created_utc},
                           {"cpu", baseline.cpu},
                           {"threads", baseline.threads},
                           {"task_placement", "by the system"},
                           {"blas", baseline.blas},
                           {"system", baseline.system},
                           {"context", baseline.context},
                           {"heads", baseline.heads},
                           {"settled", baseline.settled},
                           {"odd_over_even", baseline.control.odd_over_even},
                           {"second_over_first", baseline.control.second_over_first},
                           {"ops", ops}};
    return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

CpuBaseline parse_cpu_baseline(const std::string& text, const std::string& file) {
    const ordered_json top = ordered_json::parse(text, nullptr, false);
    if (!top.is_object() || top.value("schema", ordered_json()) != schema) {
        garbled(file, "schema", "is no baseline of a CPU");
    }
    if (field<int>(top, "schema_version", file) != 1) {
        garbled(file, "schema_version", "must be 1");
    }
    CpuBaseline out;
    out.created_utc = field<std::string>(top, "created_utc", file);
    out.cpu = field<std::string>(top, "cpu", file);
    out.threads = field<int>(top, "threads", file);
    out.blas = field<std::string>(top, "blas", file);
    out.system = field<std::string>(top, "system", file);
    out.context = field<std::int64_t>(top, "context", file);
    out.heads = field<int>(top, "heads", file);
    out.settled = field<bool>(top, "settled", file);
    const ordered_json ops = field<ordered_json>(top, "ops", file);
    if (!ops.is_array() || ops.empty()) {
        garbled(file, "ops", "must be a non-empty array");
    }
    for (const ordered_json& entry : ops) {
        if (!entry.is_object()) {
            garbled(file, "ops", "must hold objects");
        }
        out.ops.push_back(parse_op(entry, file));
        if (out.ops.back().samples_seconds.size() != out.ops.front().samples_seconds.size()) {
            garbled(file, "samples_seconds", "must be as many for every op");
        }
    }
    out.control = control_of(out.totals());
    return out;
}

CpuBaseline read_cpu_baseline(const std::string& file) {
    return parse_cpu_baseline(text_of(file), file);
}

EncoderCpu parse_encoder_cpu(const std::string& text, const std::string& file) {
    const ordered_json top = ordered_json::parse(text, nullptr, false);
    if (!top.is_object() || top.value("schema", ordered_json()) != "npu-attention-run") {
        garbled(file, "schema", "is no run record");
    }
    const auto encoders = field<ordered_json>(top, "encoders", file);
    if (!encoders.is_array() || encoders.empty() || !encoders.front().is_object()) {
        garbled(file, "encoders", "holds none");
    }
    const ordered_json& encoder = encoders.front();
    const auto environment = field<ordered_json>(top, "environment", file);
    EncoderCpu out;
    out.file = file;
    out.cpu = field<std::string>(environment, "cpu", file);
    out.threads = field<int>(environment, "threads", file);
    out.context = field<std::int64_t>(encoder, "context", file);
    out.heads = field<int>(encoder, "heads", file);
    out.layers = field<int>(encoder, "layers", file);
    for (const ordered_json& entry : field<ordered_json>(encoder, "placements", file)) {
        const auto placement = field<std::string>(entry, "placement", file);
        double seconds = 0;
        for (const char* part : {"mel", "cpu"}) {
            const auto value = field<double>(field<ordered_json>(entry, part, file), "value", file);
            if (!std::isfinite(value) || value < 0) {
                garbled(file, fmt::format("{} of placement {}", part, placement),
                        "must be finite, not negative");
            }
            seconds += value;
        }
        out.seconds[placement] = seconds;
    }
    return out;
}

EncoderCpu read_encoder_cpu(const std::string& file) {
    return parse_encoder_cpu(text_of(file), file);
}

void use_cpu_baseline(RunRecord& record, const CpuBaseline& baseline, const std::string& file) {
    if (baseline.context != record.recording.context || baseline.heads != record.recording.heads) {
        garbled(file, "context",
                fmt::format("is of T = {} and {} heads, this run of T = {} and {}", baseline.context,
                            baseline.heads, record.recording.context, record.recording.heads));
    }
    const auto replace = [&](StepTime& step) {
        try {
            step.cpu = baseline.of(step.ops);
        } catch (const std::invalid_argument& error) {
            garbled(file, "ops", error.what());
        }
        step.speedup = step.npu.seconds > 0 ? step.cpu.seconds / step.npu.seconds : 0;
    };
    for (LayerRow& layer : record.layers) {
        std::ranges::for_each(layer.steps, replace);
        if (layer.total) {
            replace(*layer.total);
            layer.total->cpu.clock = datasets::Clock::host_wall;
        }
    }
    const std::vector<double> totals = baseline.totals();
    const int samples = static_cast<int>(totals.size());
    record.cpu_timing =
        CpuTiming{1, samples, samples, median_half_width(totals) / median(totals), baseline.control, true};
    record.speedup_label = fmt::format("projected: {} tasks of {} ({}) against an NPU, {}", baseline.threads,
                                       baseline.cpu, file, record.cost_model);
}

}  // namespace harness
