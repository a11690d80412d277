#include "npu_impl/device_spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <variant>

#include "datasets/sha256.hpp"

namespace npu_impl {
namespace {

using nlohmann::json;

enum class Quantity : std::uint8_t {
    frequency,
    bytes,
    bandwidth,
    time,
    cycles,
    count,
    stream_rate,
    mac_rate
};

struct Unit {
    Quantity quantity;
    std::string_view name;
    double factor;  // to the unit of the member
};

constexpr std::array units{
    Unit{Quantity::frequency, "Hz", 1},
    Unit{Quantity::frequency, "MHz", 1e6},
    Unit{Quantity::frequency, "GHz", 1e9},
    Unit{Quantity::bytes, "B", 1},
    Unit{Quantity::bytes, "KiB", 1024},
    Unit{Quantity::bytes, "MiB", 1024 * 1024},
    Unit{Quantity::bandwidth, "B/s", 1},
    Unit{Quantity::bandwidth, "MB/s", 1e6},
    Unit{Quantity::bandwidth, "GB/s", 1e9},
    Unit{Quantity::time, "ns", 1e-9},
    Unit{Quantity::time, "us", 1e-6},
    Unit{Quantity::time, "ms", 1e-3},
    Unit{Quantity::time, "s", 1},
    Unit{Quantity::cycles, "cycles", 1},
    Unit{Quantity::count, "1", 1},
    Unit{Quantity::stream_rate, "B/cycle", 1},
    Unit{Quantity::mac_rate, "MAC/cycle", 1},
};

using Member = std::variant<double DeviceSpec::*, std::int64_t DeviceSpec::*>;

struct Field {
    std::string_view name;
    Quantity quantity;
    Member member;
    bool may_be_zero = false;  // costs may; rates and sizes may not
};

const std::array fields{
    Field{"clock", Quantity::frequency, &DeviceSpec::clock_hz},
    Field{"columns", Quantity::count, &DeviceSpec::columns},
    Field{"core_rows", Quantity::count, &DeviceSpec::core_rows},
    Field{"gemm_down", Quantity::count, &DeviceSpec::gemm_down},
    Field{"gemm_across", Quantity::count, &DeviceSpec::gemm_across},
    Field{"l1", Quantity::bytes, &DeviceSpec::l1_bytes},
    Field{"stack", Quantity::bytes, &DeviceSpec::stack_bytes, true},
    Field{"memtile", Quantity::bytes, &DeviceSpec::memtile_bytes},
    Field{"core_descriptors", Quantity::count, &DeviceSpec::core_descriptors},
    Field{"core_descriptor_words", Quantity::count, &DeviceSpec::core_descriptor_words},
    Field{"memtile_descriptors", Quantity::count, &DeviceSpec::memtile_descriptors},
    Field{"shim_descriptors", Quantity::count, &DeviceSpec::shim_descriptors},
    Field{"dma_wrap", Quantity::count, &DeviceSpec::dma_wrap},
    Field{"alignment", Quantity::bytes, &DeviceSpec::alignment_bytes},
    Field{"stream", Quantity::stream_rate, &DeviceSpec::stream_bytes_per_cycle},
    Field{"peak_rate", Quantity::mac_rate, &DeviceSpec::peak_mac_per_cycle},
    Field{"dram_read", Quantity::bandwidth, &DeviceSpec::dram_read_bytes_per_second},
    Field{"dram_write", Quantity::bandwidth, &DeviceSpec::dram_write_bytes_per_second},
    Field{"dram_total", Quantity::bandwidth, &DeviceSpec::dram_total_bytes_per_second},
    Field{"call", Quantity::time, &DeviceSpec::call_seconds, true},
    Field{"python_call", Quantity::time, &DeviceSpec::python_call_seconds, true},
    Field{"run_list_run", Quantity::time, &DeviceSpec::run_list_run_seconds, true},
    Field{"run_list_length", Quantity::count, &DeviceSpec::run_list_length},
    Field{"context_switch", Quantity::time, &DeviceSpec::context_switch_seconds, true},
    Field{"buffer_sync", Quantity::time, &DeviceSpec::buffer_sync_seconds, true},
    Field{"task", Quantity::time, &DeviceSpec::task_seconds, true},
    Field{"first_task_start", Quantity::cycles, &DeviceSpec::first_task_start_cycles, true},
    Field{"task_start", Quantity::cycles, &DeviceSpec::task_start_cycles, true},
};

std::ptrdiff_t line_at(std::string_view text, std::size_t position) {
    return 1 + std::ranges::count(text.substr(0, std::min(position, text.size())), '\n');
}

// The text of one file, for errors that name a line.
class Place {
public:
    Place(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {}

    // `key`: the line of its `occurrence`, or that of the whole file's end where it is missing.
    [[noreturn]] void fail(std::string_view key, std::string_view reason, std::size_t occurrence = 0) const {
        std::size_t position = 0;
        const std::string quoted = fmt::format("\"{}\"", key);
        for (std::size_t i = 0; i <= occurrence && position != std::string_view::npos; ++i) {
            position = text_.find(quoted, i == 0 ? 0 : position + 1);
        }
        const std::size_t last = text_.find_last_not_of(" \n\r\t");
        fail_at(position == std::string_view::npos ? last : position, key, reason);
    }

    // Where the parser stopped: the field is the last that was named before.
    [[noreturn]] void fail_before(std::size_t position, std::string_view reason) const {
        const std::string_view before = text_.substr(0, position);
        std::size_t latest = std::string_view::npos;
        std::string_view name = "the file";
        for (const Field& field : fields) {
            const std::size_t found = before.rfind(fmt::format("\"{}\"", field.name));
            if (found != std::string_view::npos && (latest == std::string_view::npos || found > latest)) {
                latest = found;
                name = field.name;
            }
        }
        fail_at(position, name, reason);
    }

    [[nodiscard]] std::string_view text() const { return text_; }

private:
    [[noreturn]] void fail_at(std::size_t position, std::string_view key, std::string_view reason) const {
        throw DeviceSpecError(
            fmt::format("{}:{}: field '{}' {}", file_, line_at(text_, position), key, reason));
    }

    std::string_view text_;
    std::string file_;
};

json parse_json(const Place& place) {
    try {
        return json::parse(place.text());
    } catch (const json::parse_error& error) {
        place.fail_before(error.byte == 0 ? 0 : error.byte - 1, "is not followed by valid JSON");
    } catch (const json::out_of_range& error) {  // a number beyond fp64, which the message quotes last
        const std::string_view words = error.what();
        const std::size_t end = words.rfind('\'');
        const std::size_t begin = words.rfind('\'', end - 1) + 1;
        place.fail_before(place.text().find(words.substr(begin, end - begin)), "must be finite");
    }
}

const json& member_of(const json& object, const char* key, const Place& place) {
    const auto found = object.find(key);
    if (found == object.end()) {
        place.fail(key, "is missing");
    }
    return *found;
}

std::string text_of(const json& object, const char* key, const Place& place) {
    const json& value = member_of(object, key, place);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
        place.fail(key, "must be a non-empty string");
    }
    return value.get<std::string>();
}

void refuse_unknown(const json& object, std::initializer_list<std::string_view> known, const Place& place) {
    for (const auto& item : object.items()) {
        if (std::ranges::find(known, item.key()) == known.end()) {
            place.fail(item.key(), fmt::format("is unknown; valid: {}", fmt::join(known, ", ")));
        }
    }
}

// A number with unit and source, in the unit of its member.
double number_of(const json& entry, std::string_view key, Quantity quantity, bool may_be_zero,
                 const Place& place, std::size_t occurrence = 0) {
    const auto fail = [&](const std::string& reason) { place.fail(key, reason, occurrence); };
    if (!entry.is_object() || !entry.contains("value") || !entry["value"].is_number()) {
        fail("must be an object of value (a number), unit and source");
    }
    std::string valid;
    for (const Unit& unit : units) {
        valid += unit.quantity == quantity ? (valid.empty() ? "" : ", ") + std::string(unit.name) : "";
    }
    if (!entry.contains("unit") || !entry["unit"].is_string()) {
        fail("has no unit; valid: " + valid);
    }
    const auto unit = std::ranges::find_if(units, [&](const Unit& known) {
        return known.quantity == quantity && known.name == entry["unit"].get_ref<const std::string&>();
    });
    if (unit == units.end()) {
        fail(fmt::format("has unit '{}'; valid: {}", entry["unit"].get_ref<const std::string&>(), valid));
    }
    if (!entry.contains("source") || !entry["source"].is_string() ||
        entry["source"].get_ref<const std::string&>().empty()) {
        fail("has no source");
    }
    for (const auto& item : entry.items()) {
        if (item.key() != "value" && item.key() != "unit" && item.key() != "source") {
            fail(fmt::format("has '{}'; valid: value, unit, source", item.key()));
        }
    }
    const double value = entry["value"].get<double>() * unit->factor;
    if (!std::isfinite(value)) {
        fail("must be finite");
    }
    if (value < 0 || (value == 0 && !may_be_zero)) {
        fail(fmt::format("is {}; it must {}", entry["value"].dump(),
                         may_be_zero ? "not be negative" : "be greater than 0"));
    }
    return value;
}

// `entry`: a number that was found good.
void set_source(DeviceSpec& spec, const std::string& field, const json& entry) {
    std::erase_if(spec.sources, [&](const SourcedNumber& old) { return old.field == field; });
    spec.sources.push_back({field, entry["value"].get<double>(), entry["unit"].get<std::string>(),
                            entry["source"].get<std::string>()});
}

void set_field(DeviceSpec& spec, const Field& field, const json& entry, const Place& place) {
    const double value = number_of(entry, field.name, field.quantity, field.may_be_zero, place);
    if (const auto* real = std::get_if<double DeviceSpec::*>(&field.member)) {
        spec.*(*real) = value;
    } else {
        if (value != std::floor(value) || value > 1e15) {
            place.fail(field.name, fmt::format("is {}; it must be a whole number", entry["value"].dump()));
        }
        spec.*std::get<std::int64_t DeviceSpec::*>(field.member) = static_cast<std::int64_t>(value);
    }
    set_source(spec, std::string(field.name), entry);
}

void parse_fields(DeviceSpec& spec, const json& top, bool has_base, const Place& place) {
    const json& entries = member_of(top, "fields", place);
    if (!entries.is_object()) {
        place.fail("fields", "must be an object");
    }
    for (const auto& item : entries.items()) {
        if (std::ranges::find(fields, item.key(), &Field::name) == fields.end()) {
            std::vector<std::string_view> names;
            std::ranges::transform(fields, std::back_inserter(names), &Field::name);
            place.fail(item.key(), fmt::format("is unknown; valid: {}", fmt::join(names, ", ")));
        }
    }
    for (const Field& field : fields) {
        if (const auto found = entries.find(std::string(field.name)); found != entries.end()) {
            set_field(spec, field, *found, place);
        } else if (!has_base) {
            place.fail(field.name, "is missing");
        }
    }
}

void parse_kernels(DeviceSpec& spec, const json& top, bool has_base, const Place& place) {
    if (has_base && !top.contains("kernels")) {
        return;
    }
    const json& entries = member_of(top, "kernels", place);
    if (!entries.is_array() || (entries.empty() && !has_base)) {
        place.fail("kernels", "must be a non-empty array");
    }
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const json& entry = entries[i];
        if (!entry.is_object() || !entry.contains("kernel") || !entry["kernel"].is_string() ||
            !entry.contains("rate") || entry.size() != 2U + (entry.contains("block") ? 1U : 0U)) {
            place.fail("kernel", "must stand in an object of kernel (a name), rate and perhaps block", i);
        }
        const auto name = entry["kernel"].get<std::string>();
        const double rate = number_of(entry["rate"], "rate", Quantity::mac_rate, false, place, i);
        if (rate > spec.peak_mac_per_cycle) {
            place.fail("rate",
                       fmt::format("of {} is {}, above peak_rate {}", name, rate, spec.peak_mac_per_cycle),
                       i);
        }
        std::erase_if(spec.kernels, [&](const KernelRate& old) { return old.kernel == name; });
        KernelRate kernel{name, rate, 0};
        if (entry.contains("block")) {
            kernel.block_cycles = number_of(entry["block"], "block", Quantity::cycles, true, place);
        }
        spec.kernels.push_back(kernel);
        set_source(spec, "rate of " + name, entry["rate"]);
    }
}

std::string valid_names() {
    std::string out;
    for (const DeviceSpec& spec : device_specs()) {
        out += (out.empty() ? "" : ", ") + spec.name;
    }
    return out;
}

// Limits that numbers must keep among each other.
void check_geometry(const DeviceSpec& spec, const Place& place) {
    if (spec.gemm_down * spec.gemm_across != spec.cores()) {
        place.fail("gemm_down", fmt::format("x gemm_across is {}, not the {} cores",
                                            spec.gemm_down * spec.gemm_across, spec.cores()));
    }
    if (spec.stack_bytes >= spec.l1_bytes) {
        place.fail("stack", fmt::format("takes {} of {} bytes of l1", spec.stack_bytes, spec.l1_bytes));
    }
}

}  // namespace

DeviceSpec parse_device_spec(std::string_view text, const std::string& file) {
    const Place place(text, file);
    const json top = parse_json(place);
    if (!top.is_object()) {
        place.fail("schema", "is missing: the file must hold an object");
    }
    refuse_unknown(
        top, {"schema", "schema_version", "name", "product", "aliases", "base", "fields", "kernels"}, place);
    if (text_of(top, "schema", place) != "npu-device-spec") {
        place.fail("schema", "must be 'npu-device-spec'");
    }
    if (member_of(top, "schema_version", place) != 1) {
        place.fail("schema_version", "must be 1");
    }
    DeviceSpec spec;
    const bool has_base = top.contains("base");
    if (has_base) {
        const DeviceSpec* base = find_device_spec(text_of(top, "base", place));
        if (base == nullptr) {
            place.fail("base", "is no built-in device; valid: " + valid_names());
        }
        spec = *base;
        spec.aliases.clear();
    }
    spec.name = text_of(top, "name", place);
    spec.product = text_of(top, "product", place);
    if (top.contains("aliases")) {
        for (const json& alias : top["aliases"]) {
            spec.aliases.push_back(alias.is_string() ? alias.get<std::string>() : alias.dump());
        }
    }
    parse_fields(spec, top, has_base, place);
    parse_kernels(spec, top, has_base, place);
    check_geometry(spec, place);
    return spec;
}

DeviceSpec device_spec(const std::string& name_or_file) {
    if (const DeviceSpec* known = find_device_spec(name_or_file)) {
        return *known;
    }
    std::ifstream in(name_or_file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        throw DeviceSpecError(
            fmt::format("device spec '{}': no built-in device and no readable file; valid: {}", name_or_file,
                        valid_names()));
    }
    DeviceSpec spec = parse_device_spec(text.str(), name_or_file);
    datasets::Sha256 hash;
    hash.update(text.str());
    spec.file_sha256 = hash.finish();
    return spec;
}

}  // namespace npu_impl
