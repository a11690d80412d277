#include "npu_impl/artefacts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "datasets/recording.hpp"
#include "datasets/sha256.hpp"

namespace npu_impl {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view schema = "npu-artefacts";
constexpr int schema_version = 1;
constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 30;

// The fields of one object of the list; what is left over at the end is unknown.
class Fields {
public:
    Fields(const std::string& file, std::string object, const json& value)
        : file_(file), object_(std::move(object)), value_(value) {
        if (!value_.is_object()) {
            refuse("is no object");
        }
    }

    [[noreturn]] void refuse(const std::string& reason) const {
        throw datasets::ReadError(file_, object_, reason);
    }

    template <typename Value>
    Value get(const char* name) {
        asked_.insert(name);
        const auto found = value_.find(name);
        if (found == value_.end()) {
            refuse(fmt::format("has no field {}", name));
        }
        try {
            return found->get<Value>();
        } catch (const json::exception&) {
            refuse(fmt::format("field {} is of the wrong kind", name));
        }
    }

    [[nodiscard]] std::string sha256(const char* name) {
        auto digits = get<std::string>(name);
        const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
        if (digits.size() != 64 || !std::ranges::all_of(digits, is_digit)) {
            refuse(fmt::format("field {} is no SHA-256: 64 lower-case hexadecimal digits", name));
        }
        return digits;
    }

    // A file beside the list.
    [[nodiscard]] std::string file(const char* name) {
        auto value = get<std::string>(name);
        if (value.empty() || value == "." || value == ".." || value.find('/') != std::string::npos) {
            refuse(fmt::format("field {} is '{}', not the name of a file of the folder", name, value));
        }
        return value;
    }

    [[nodiscard]] bool has(const char* name) const { return value_.contains(name); }

    void end() const {
        for (const auto& [name, ignored] : value_.items()) {
            if (!asked_.contains(name)) {
                refuse(fmt::format("has an unknown field {}", name));
            }
        }
    }

private:
    const std::string& file_;
    std::string object_;
    const json& value_;
    std::set<std::string> asked_;
};

KernelArguments parse_arguments(const std::string& file, const std::string& object, const json& value) {
    Fields fields(file, object + ": arguments", value);
    KernelArguments arguments{fields.get<int>("opcode"), fields.get<int>("instructions"),
                              fields.get<int>("instruction_words"), fields.get<std::vector<int>>("buffers")};
    fields.end();
    std::vector<int> all = arguments.buffers;
    all.insert(all.end(), {arguments.opcode, arguments.instructions, arguments.instruction_words});
    std::ranges::sort(all);
    if (all.front() < 0 || std::ranges::adjacent_find(all) != all.end()) {
        fields.refuse("are negative, or two are the same");
    }
    return arguments;
}

Artefact parse_artefact(const std::string& file, std::size_t index, const json& value) {
    Artefact artefact;
    artefact.name = Fields(file, fmt::format("artefact {}", index), value).get<std::string>("name");
    const std::string object = fmt::format("artefact '{}'", artefact.name);
    Fields fields(file, object, value);
    artefact.name = fields.get<std::string>("name");
    artefact.xclbin = fields.file("xclbin");
    artefact.xclbin_sha256 = fields.sha256("xclbin_sha256");
    artefact.instructions = fields.file("instructions");
    artefact.instructions_sha256 = fields.sha256("instructions_sha256");
    artefact.kernel = fields.get<std::string>("kernel");
    artefact.arguments = parse_arguments(file, object, fields.get<json>("arguments"));
    artefact.program = fields.has("program") ? fields.sha256("program") : "";
    artefact.tile = fields.get<std::string>("tile");
    artefact.operand = fields.get<std::string>("operand");
    artefact.store = fields.get<std::string>("store");
    artefact.rounding = fields.get<std::string>("rounding");
    artefact.cores = fields.get<int>("cores");
    artefact.limits = fields.get<std::vector<std::string>>("limits");
    fields.end();
    if (artefact.name.empty() || artefact.cores < 1) {
        fields.refuse("has no name, or no cores");
    }
    return artefact;
}

void refuse_twice(const std::string& file, const std::vector<Artefact>& artefacts) {
    std::set<std::string> names;
    std::set<std::string> programs;
    for (const Artefact& artefact : artefacts) {
        const std::string object = fmt::format("artefact '{}'", artefact.name);
        if (!names.insert(artefact.name).second) {
            throw datasets::ReadError(file, object, "is there twice");
        }
        if (!artefact.program.empty() && !programs.insert(artefact.program).second) {
            throw datasets::ReadError(file, object, "serves the program of another one: remove either");
        }
    }
}

std::string place(const std::string& folder, std::string_view file) {
    return (std::filesystem::path(folder) / file).string();
}

void require_hash(const std::string& file, std::span<const std::byte> bytes, const std::string& wanted) {
    if (const std::string found = datasets::sha256_hex(bytes); found != wanted) {
        throw datasets::ReadError(
            file, "",
            fmt::format("has SHA-256 {}..., the list says {}...: it was changed; add it anew, or restore it",
                        found.substr(0, 12), wanted.substr(0, 12)));
    }
}

}  // namespace

void check_artefacts(const std::string& folder, const std::vector<Artefact>& artefacts) {
    refuse_twice(place(folder, artefact_list), artefacts);
}

std::vector<std::byte> read_file(const std::string& file) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    std::ifstream stream(file, std::ios::binary);
    if (error || !stream) {
        throw datasets::ReadError(
            file, "",
            fmt::format("cannot be read: {}", error ? error.message() : std::string(std::strerror(errno))));
    }
    if (size > most_bytes) {
        throw datasets::ReadError(file, "", fmt::format("has {} bytes, too many for an artefact", size));
    }
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!stream) {
        throw datasets::ReadError(file, "", "ends before its size");
    }
    return bytes;
}

std::vector<Artefact> read_artefacts(const std::string& folder) {
    const std::string file = place(folder, artefact_list);
    if (!std::filesystem::exists(file)) {
        throw datasets::ReadError(file, "",
                                  "is not there; `harness artefact add` puts compiled designs in a folder");
    }
    const std::vector<std::byte> bytes = read_file(file);
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    const json list = json::parse(text, text + bytes.size(), nullptr, false);
    if (list.is_discarded()) {
        throw datasets::ReadError(file, "", "is no JSON");
    }
    Fields fields(file, "", list);
    if (fields.get<std::string>("schema") != schema || fields.get<int>("schema_version") != schema_version) {
        fields.refuse(fmt::format("is not of schema {} {}", schema, schema_version));
    }
    std::vector<Artefact> artefacts;
    for (const json& value : fields.get<std::vector<json>>("artefacts")) {
        artefacts.push_back(parse_artefact(file, artefacts.size(), value));
    }
    fields.end();
    refuse_twice(file, artefacts);
    return artefacts;
}

void write_artefacts(const std::string& folder, const std::vector<Artefact>& artefacts) {
    ordered_json list = ordered_json::array();
    for (const Artefact& artefact : artefacts) {
        ordered_json value{{"name", artefact.name},
                           {"xclbin", artefact.xclbin},
                           {"xclbin_sha256", artefact.xclbin_sha256},
                           {"instructions", artefact.instructions},
                           {"instructions_sha256", artefact.instructions_sha256},
                           {"kernel", artefact.kernel},
                           {"arguments",
                            {{"opcode", artefact.arguments.opcode},
                             {"instructions", artefact.arguments.instructions},
                             {"instruction_words", artefact.arguments.instruction_words},
                             {"buffers", artefact.arguments.buffers}}}};
        if (!artefact.program.empty()) {
            value["program"] = artefact.program;
        }
        value["tile"] = artefact.tile;
        value["operand"] = artefact.operand;
        value["store"] = artefact.store;
        value["rounding"] = artefact.rounding;
        value["cores"] = artefact.cores;
        value["limits"] = artefact.limits;
        list.push_back(std::move(value));
    }
    const ordered_json whole{
        {"schema", schema}, {"schema_version", schema_version}, {"artefacts", std::move(list)}};
    // Whole or not at all: a reader never sees half a list.
    const std::string file = place(folder, artefact_list);
    const std::string unfinished = file + ".new";
    {
        std::ofstream stream(unfinished, std::ios::trunc);
        stream << whole.dump(2) << '\n';
        if (!stream.flush()) {
            throw std::runtime_error(fmt::format("{}: cannot be written", unfinished));
        }
    }
    std::filesystem::rename(unfinished, file);
}

ArtefactFiles load_artefact(const std::string& folder, const Artefact& artefact) {
    ArtefactFiles files;
    const std::string xclbin = place(folder, artefact.xclbin);
    files.xclbin = read_file(xclbin);
    require_hash(xclbin, files.xclbin, artefact.xclbin_sha256);
    find_kernel(read_xclbin(xclbin, files.xclbin), xclbin, artefact.kernel, artefact.arguments);
    const std::string instructions = place(folder, artefact.instructions);
    const std::vector<std::byte> bytes = read_file(instructions);
    require_hash(instructions, bytes, artefact.instructions_sha256);
    if (bytes.empty() || bytes.size() % sizeof(std::uint32_t) != 0) {
        throw datasets::ReadError(
            instructions, "",
            fmt::format("has {} bytes: instructions are one or more words of 4 bytes", bytes.size()));
    }
    files.instructions.resize(bytes.size() / sizeof(std::uint32_t));
    std::memcpy(files.instructions.data(), bytes.data(), bytes.size());
    return files;
}

}  // namespace npu_impl
