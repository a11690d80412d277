#include "npu_impl/published_timing.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <regex>
#include <sstream>
#include <utility>

namespace npu_impl {
namespace {

constexpr std::array<std::string_view, 14> csv_columns{
    "device", "clock_ghz", "cores",  "dtype_in", "dtype_out",  "m",      "k",
    "n",      "tile_mkn",  "gflops", "time_us",  "conditions", "source", "equals_parameter"};
constexpr std::string_view optional_column = csv_columns.back();

// The fields of one line; a field in double quotes may hold commas and doubled quotes.
std::vector<std::string> split(std::string_view line) {
    std::vector<std::string> out{""};
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '"') {
            const bool doubled = quoted && i + 1 < line.size() && line[i + 1] == '"';
            if (doubled) {
                out.back() += c;
                ++i;
            } else {
                quoted = !quoted;
            }
        } else if (c == ',' && !quoted) {
            out.emplace_back();
        } else if (c != '\r') {
            out.back() += c;
        }
    }
    return out;
}

// One row of a table with names.
class TableRow {
public:
    TableRow(const std::vector<std::string>& header, std::vector<std::string> values, std::string place)
        : header_(header), values_(std::move(values)), place_(std::move(place)) {
        if (values_.size() != header_.size()) {
            throw TimingError(
                fmt::format("{}: {} fields, the header has {}", place_, values_.size(), header_.size()));
        }
    }

    [[noreturn]] void fail(std::string_view field, std::string_view reason) const {
        throw TimingError(fmt::format("{}: field '{}' {}", place_, field, reason));
    }

    [[nodiscard]] std::string text(std::string_view field) const {
        const auto found = std::ranges::find(header_, field);
        return found == header_.end() ? "" : values_[static_cast<std::size_t>(found - header_.begin())];
    }

    [[nodiscard]] std::string required(std::string_view field) const {
        std::string value = text(field);
        if (value.empty()) {
            fail(field, "is missing");
        }
        return value;
    }

    [[nodiscard]] std::optional<double> number(std::string_view field) const {
        const std::string word = text(field);
        if (word.empty()) {
            return {};
        }
        double value = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (end != word.data() + word.size() || error == std::errc::invalid_argument) {
            fail(field, fmt::format("is '{}', not a number", word));
        }
        if (error == std::errc::result_out_of_range || !std::isfinite(value)) {
            fail(field, fmt::format("is '{}'; it must be finite", word));
        }
        if (value <= 0) {
            fail(field, fmt::format("is {}; it must be greater than 0", word));
        }
        return value;
    }

    [[nodiscard]] std::optional<std::int64_t> count(std::string_view field) const {
        const std::optional<double> value = number(field);
        if (!value) {
            return {};
        }
        if (*value != std::floor(*value) || *value > 1e9) {
            fail(field, fmt::format("is {}; it must be a whole number up to 1e9", text(field)));
        }
        return static_cast<std::int64_t>(*value);
    }

private:
    const std::vector<std::string>& header_;
    std::vector<std::string> values_;
    std::string place_;
};

void check_header(const std::vector<std::string>& header, const std::string& file) {
    const auto fail = [&](const std::string& column, const std::string& reason) {
        throw TimingError(fmt::format("{}:1: field '{}' {}", file, column, reason));
    };
    for (const std::string& column : header) {
        if (std::ranges::find(csv_columns, column) != csv_columns.end()) {
            continue;
        }
        for (const std::string_view known : csv_columns) {
            const bool bare = known.substr(0, known.find('_')) == column;
            if (bare && (known == "clock_ghz" || known == "time_us")) {
                fail(column, fmt::format("has no unit; valid: {}", known));
            }
        }
        fail(column, fmt::format("is unknown; valid: {}", fmt::join(csv_columns, ", ")));
    }
    for (const std::string_view known : csv_columns) {
        if (known != optional_column && std::ranges::find(header, known) == header.end()) {
            fail(std::string(known), "is missing");
        }
    }
}

std::optional<GemmTiling> tiling(const TableRow& row) {
    const std::string word = row.text("tile_mkn");
    if (word.empty()) {
        return {};
    }
    static const std::regex form("([1-9][0-9]{0,5})x([1-9][0-9]{0,5})x([1-9][0-9]{0,5})");
    std::smatch found;
    if (!std::regex_match(word, found, form)) {
        row.fail("tile_mkn", fmt::format("is '{}', not MxKxN", word));
    }
    return GemmTiling{std::stoll(found[1]), std::stoll(found[2]), std::stoll(found[3])};
}

PublishedTiming parse_row(const TableRow& row, std::int64_t line) {
    PublishedTiming out;
    out.line = line;
    out.device = row.required("device");
    out.source = row.required("source");
    if (const auto clock = row.number("clock_ghz")) {
        out.clock_hz = *clock * 1e9;
    }
    out.cores = row.count("cores");
    out.dtype_in = row.text("dtype_in");
    out.dtype_out = row.text("dtype_out");
    const auto m = row.count("m");
    const auto k = row.count("k");
    const auto n = row.count("n");
    if (m && k && n) {
        out.shape = MatmulShape{*m, *k, *n};
    } else if (m || k || n) {
        row.fail(!m ? "m" : !k ? "k" : "n", "is missing beside the other two");
    }
    out.tile = tiling(row);
    out.gflops = row.number("gflops");
    if (const auto microseconds = row.number("time_us")) {
        out.seconds = *microseconds * 1e-6;
    }
    if (!out.gflops && !out.seconds) {
        row.fail("time_us", "is missing, and so is gflops");
    }
    out.conditions = row.text("conditions");
    out.equals_parameter = row.text("equals_parameter");
    return out;
}

bool says(const PublishedTiming& row, std::string_view word) {
    std::string text = row.conditions;
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return text.find(word) != std::string::npos;
}

// `spec`: an array without native bf16 products says so in the operands' type, bf16(bfp16).
std::string kernel_of(const PublishedTiming& row, const DeviceSpec& spec) {
    for (const char* kernel : {"scalar", "assembly", "broadcast", "chess"}) {
        if (says(row, kernel)) {
            return kernel;
        }
    }
    return row.dtype_in == "bf16" && spec.has_kernel("native_bf16") ? "native_bf16" : "peano";
}

Caller caller_of(const PublishedTiming& row) {
    const bool direct = says(row, "c++") || says(row, "xrt") || says(row, "kernel wall");
    return direct ? Caller::cpp : Caller::python;
}

std::int64_t stated_launches(const PublishedTiming& row) {
    static const std::regex form("([1-9][0-9]{0,8}) launches");
    std::smatch found;
    return std::regex_search(row.conditions, found, form) ? std::stoll(found[1]) : 1;
}

// Why the row is beyond the model, or nothing.
std::string beyond(const PublishedTiming& row, const DeviceSpec* spec) {
    if (spec == nullptr) {
        return fmt::format("no specification of device {}", row.device);
    }
    if (!row.shape) {
        return row.equals_parameter.empty() ? "not a product" : "is the parameter " + row.equals_parameter;
    }
    if (!row.dtype_in.starts_with("bf16")) {
        return fmt::format("operands of {}", row.dtype_in.empty() ? "an unknown type" : row.dtype_in);
    }
    if (row.dtype_out != "bf16" && row.dtype_out != "f32") {
        return fmt::format("output of {}", row.dtype_out.empty() ? "an unknown type" : row.dtype_out);
    }
    return row.cores.value_or(spec->cores()) > spec->cores() ? "more cores than the device has" : "";
}

double macs(const MatmulShape& shape) {
    return double(shape.rows) * double(shape.reduction) * double(shape.columns);
}

}  // namespace

std::optional<double> PublishedTiming::measured_seconds() const {
    if (seconds) {
        return seconds;
    }
    return shape && gflops ? std::optional(2 * macs(*shape) / (*gflops * 1e9)) : std::nullopt;
}

std::vector<PublishedTiming> parse_timings(std::string_view text, const std::string& file) {
    std::istringstream in{std::string(text)};
    std::string line;
    if (!std::getline(in, line)) {
        throw TimingError(fmt::format("{}:1: field 'device' is missing: the file is empty", file));
    }
    const std::vector<std::string> header = split(line);
    check_header(header, file);
    std::vector<PublishedTiming> rows;
    for (std::int64_t number = 2; std::getline(in, line); ++number) {
        if (!line.empty() && line != "\r") {
            rows.push_back(
                parse_row(TableRow(header, split(line), fmt::format("{}:{}", file, number)), number));
        }
    }
    if (rows.empty()) {
        throw TimingError(fmt::format("{}:2: field 'device' is missing: the table has no rows", file));
    }
    return rows;
}

std::vector<PublishedTiming> read_timings(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw TimingError(fmt::format("{}: cannot be read", file));
    }
    return parse_timings(text.str(), file);
}

const std::vector<PublishedTiming>& published_timings() {
    static const std::vector<PublishedTiming> rows =
        parse_timings(embedded_published_timings(), "npu_impl/published_timings.csv");
    return rows;
}

DeviceSpec scaled(DeviceSpec spec, const ModelScales& scales) {
    spec.dram_read_bytes_per_second *= scales.dram;
    spec.dram_write_bytes_per_second *= scales.dram;
    spec.dram_total_bytes_per_second *= scales.dram;
    spec.call_seconds *= scales.launch;
    spec.python_call_seconds *= scales.launch;
    spec.run_list_run_seconds *= scales.launch;
    spec.task_seconds *= scales.task;
    for (KernelRate& rate : spec.kernels) {
        rate.mac_per_cycle *= scales.kernel;
        rate.block_cycles /= scales.kernel;
    }
    return spec;
}

TimingPrediction predict(const PublishedTiming& row, const ModelScales& scales) {
    TimingPrediction out;
    const DeviceSpec* known = find_device_spec(row.device);
    if (out.read_as = beyond(row, known); !out.read_as.empty()) {
        return out;
    }
    CostModel model;
    model.spec = scaled(*known, scales);
    model.spec.clock_hz = row.clock_hz.value_or(model.spec.clock_hz);
    model.kernel = kernel_of(row, model.spec);
    model.caller = caller_of(row);
    GemmJob job;
    job.shape = *row.shape;
    job.tile = row.tile.value_or(GemmTiling{64, 64, 32});
    job.cores = row.cores.value_or(model.spec.cores());
    job.out_bytes = row.dtype_out == "f32" ? 4 : 2;
    job.kernel = model.kernel;
    if (!model.spec.has_kernel(job.kernel)) {
        out.read_as = fmt::format("no rate of a {} kernel on {}", job.kernel, model.spec.name);
        return out;
    }
    out.read_as = fmt::format("{} kernel, {}x{}x{} tiles{}", job.kernel, job.tile.m, job.tile.k, job.tile.n,
                              row.tile ? "" : " (not stated)");
    if (says(row, "in-core")) {
        out.seconds = macs(job.shape) / (double(job.cores) * model.spec.rate_of(job.kernel).mac_per_cycle) /
                      model.spec.clock_hz;
        out.read_as += ", in the core alone";
        return out;
    }
    const std::int64_t stated = stated_launches(row);
    if (stated > 1) {
        job.blocks_per_launch = 1;
        job.accumulates_on_core = false;
        out.read_as += fmt::format(", {} launches", stated);
    }
    try {
        const ArrayWork work = gemm_work(job, model.spec);
        if (stated > 1 && work.launch_count() != stated) {
            out.read_as = fmt::format("{} launches of these tiles would be {}", stated, work.launch_count());
            return out;
        }
        out.cost = model.cost(work);
    } catch (const std::invalid_argument& error) {
        out.read_as = error.what();
        return out;
    }
    out.read_as += model.caller == Caller::python ? ", called from Python" : ", called from C++";
    out.seconds = out.cost.total();
    out.counts = row.equals_parameter.empty();
    return out;
}

}  // namespace npu_impl
