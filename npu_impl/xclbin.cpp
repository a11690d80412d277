#include "npu_impl/xclbin.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <pugixml.hpp>

#include "datasets/recording.hpp"

namespace npu_impl {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t header_bytes = 456;
constexpr std::size_t section_header_bytes = 40;
constexpr std::size_t length_offset = 304;
constexpr std::size_t uuid_offset = 416;
constexpr std::size_t section_count_offset = 448;
constexpr std::uint32_t most_sections = 256;
constexpr std::uint32_t most_entries = 4096;
constexpr int most_arguments = 64;

enum Section : std::uint32_t {
    embedded_metadata = 2,
    mem_topology = 6,
    connectivity = 7,
    ip_layout = 8,
    aie_partition = 32,
};

// One part of the file, whose every access is checked.
class Part {
public:
    Part(const std::string& file, std::string name, Bytes bytes)
        : file_(file), name_(std::move(name)), bytes_(bytes) {}

    [[noreturn]] void refuse(const std::string& reason) const {
        throw datasets::ReadError(file_, name_, reason);
    }

    [[nodiscard]] Bytes slice(std::uint64_t offset, std::uint64_t count, std::string_view what) const {
        if (offset > bytes_.size() || count > bytes_.size() - offset) {
            refuse(fmt::format("{} is said to be {} bytes from byte {}; there are {}", what, count, offset,
                               bytes_.size()));
        }
        return bytes_.subspan(offset, count);
    }

    template <typename Number>
    [[nodiscard]] Number number(std::uint64_t offset, std::string_view what) const {
        Number value{};
        std::memcpy(&value, slice(offset, sizeof value, what).data(), sizeof value);
        return value;
    }

    // Of a field of fixed width, up to its first zero.
    [[nodiscard]] std::string text(std::uint64_t offset, std::size_t width, std::string_view what) const {
        const Bytes field = slice(offset, width, what);
        const auto end = std::ranges::find(field, std::byte{0});
        return {reinterpret_cast<const char*>(field.data()), static_cast<std::size_t>(end - field.begin())};
    }

    // A count that leads a section, whose entries then have to fit in.
    [[nodiscard]] std::uint32_t count(std::size_t first_entry, std::size_t entry_bytes) const {
        const auto value = number<std::uint32_t>(0, "its count");
        if (value > most_entries) {
            refuse(fmt::format("says that it has {} entries", value));
        }
        (void)slice(first_entry, std::uint64_t{value} * entry_bytes, "its table");
        return value;
    }

    [[nodiscard]] Bytes bytes() const { return bytes_; }

private:
    const std::string& file_;
    std::string name_;
    Bytes bytes_;
};

class Container {
public:
    Container(const std::string& file, Bytes bytes) : file_(file), whole_(file, "", bytes) {
        if (bytes.size() < header_bytes || std::memcmp(bytes.data(), "xclbin2", 8) != 0) {
            whole_.refuse("is no xclbin: it does not begin with 'xclbin2'");
        }
        const auto length = whole_.number<std::uint64_t>(length_offset, "its length");
        if (length != bytes.size()) {
            whole_.refuse(
                fmt::format("says that it has {} bytes and has {}: it was cut, or changed after it was built",
                            length, bytes.size()));
        }
        sections_ = whole_.number<std::uint32_t>(section_count_offset, "the number of sections");
        if (sections_ < 1 || sections_ > most_sections) {
            whole_.refuse(fmt::format("says that it has {} sections", sections_));
        }
        (void)whole_.slice(header_bytes, std::uint64_t{sections_} * section_header_bytes,
                           "the table of sections");
    }

    [[nodiscard]] std::optional<Part> find(Section kind, const std::string& name) const {
        for (std::uint32_t i = 0; i < sections_; ++i) {
            const std::uint64_t at = header_bytes + std::uint64_t{i} * section_header_bytes;
            if (whole_.number<std::uint32_t>(at, "a section's kind") == kind) {
                const auto offset = whole_.number<std::uint64_t>(at + 24, "a section's offset");
                const auto size = whole_.number<std::uint64_t>(at + 32, "a section's size");
                return Part(file_, name, whole_.slice(offset, size, "section " + name));
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] Part section(Section kind, const std::string& name, std::string_view absent) const {
        std::optional<Part> found = find(kind, name);
        if (!found) {
            whole_.refuse(fmt::format("has no section {}: {}", name, absent));
        }
        return *found;
    }

    [[nodiscard]] std::string uuid() const {
        std::string digits;
        for (const std::byte byte : whole_.slice(uuid_offset, 16, "its uuid")) {
            digits += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
        }
        return digits;
    }

    // Of sections that the file lists but whose place is outside it.
    void check_places() const {
        for (std::uint32_t i = 0; i < sections_; ++i) {
            const std::uint64_t at = header_bytes + std::uint64_t{i} * section_header_bytes;
            (void)whole_.slice(whole_.number<std::uint64_t>(at + 24, "a section's offset"),
                               whole_.number<std::uint64_t>(at + 32, "a section's size"),
                               fmt::format("section {} of {}", i, sections_));
        }
    }

private:
    const std::string& file_;
    Part whole_;
    std::uint32_t sections_ = 0;
};

std::vector<std::string> read_banks(const Part& part) {
    std::vector<std::string> banks;
    const std::uint32_t count = part.count(8, 40);
    for (std::uint32_t i = 0; i < count; ++i) {
        banks.push_back(part.text(8 + std::uint64_t{i} * 40 + 24, 16, "a bank's name"));
    }
    return banks;
}

// "kernel:instance" of every compute unit.
std::vector<std::string> read_units(const Part& part) {
    std::vector<std::string> units;
    const std::uint32_t count = part.count(8, 80);
    for (std::uint32_t i = 0; i < count; ++i) {
        units.push_back(part.text(8 + std::uint64_t{i} * 80 + 16, 64, "a unit's name"));
    }
    return units;
}

// Unsigned, decimal or hexadecimal, as the XML has both.
std::int64_t attribute(const Part& part, const pugi::xml_node& node, const char* name) {
    const std::string_view text = node.attribute(name).value();
    const bool hexadecimal = text.starts_with("0x");
    const std::string_view digits = text.substr(hexadecimal ? 2 : 0);
    std::uint16_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
    if (error != std::errc() || end != digits.data() + digits.size()) {
        part.refuse(fmt::format("an argument's {} is '{}'", name, text));
    }
    return value;
}

XclbinKernel read_kernel(const Part& part, const pugi::xml_node& node) {
    XclbinKernel kernel{node.attribute("name").value(), {}};
    std::map<std::int64_t, XclbinArgument> arguments;
    for (const pugi::xml_node& argument : node.children("arg")) {
        const std::int64_t qualifier = attribute(part, argument, "addressQualifier");
        arguments[attribute(part, argument, "id")] = {argument.attribute("name").value(), qualifier == 1,
                                                      attribute(part, argument, "size"),
                                                      attribute(part, argument, "offset")};
    }
    for (auto& [index, argument] : arguments) {
        if (index != std::ssize(kernel.arguments) || index >= most_arguments) {
            part.refuse(fmt::format("kernel '{}' has an argument {} and none {}", kernel.name, index,
                                    kernel.arguments.size()));
        }
        kernel.arguments.push_back(std::move(argument));
    }
    return kernel;
}

std::vector<XclbinKernel> read_kernels(const Part& part, std::span<const std::string> units) {
    pugi::xml_document document;
    const Bytes bytes = part.bytes();
    const pugi::xml_parse_result parsed = document.load_buffer(bytes.data(), bytes.size());
    if (!parsed) {
        part.refuse(fmt::format("is no XML: {} at byte {}", parsed.description(), parsed.offset));
    }
    std::vector<XclbinKernel> kernels;
    const pugi::xml_node core = document.child("project").child("platform").child("device").child("core");
    for (const pugi::xml_node& node : core.children("kernel")) {
        kernels.push_back(read_kernel(part, node));
        const std::string prefix = kernels.back().name + ":";
        if (std::ranges::none_of(units, [&](const auto& unit) { return unit.starts_with(prefix); })) {
            part.refuse(fmt::format("kernel '{}' has no unit in section IP_LAYOUT", kernels.back().name));
        }
    }
    if (kernels.empty()) {
        part.refuse("names no kernel");
    }
    return kernels;
}

// Entries (argument, unit, bank). All units of an NPU's kernel are joined alike.
void read_connectivity(const Part& part, std::span<const std::string> units, Xclbin& xclbin) {
    const std::uint32_t count = part.count(4, 12);
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint64_t at = 4 + std::uint64_t{i} * 12;
        const auto argument = part.number<std::uint32_t>(at, "an argument");
        const auto unit = part.number<std::uint32_t>(at + 4, "a unit");
        const auto bank = part.number<std::uint32_t>(at + 8, "a bank");
        if (unit >= units.size() || bank >= xclbin.banks.size()) {
            part.refuse(fmt::format("entry {} joins unit {} of {} to bank {} of {}", i, unit, units.size(),
                                    bank, xclbin.banks.size()));
        }
        for (XclbinKernel& kernel : xclbin.kernels) {
            if (!units[unit].starts_with(kernel.name + ":")) {
                continue;
            }
            if (argument >= kernel.arguments.size()) {
                part.refuse(fmt::format("entry {} joins argument {} of kernel '{}', which has {}", i,
                                        argument, kernel.name, kernel.arguments.size()));
            }
            kernel.arguments[argument].banks.push_back(static_cast<int>(bank));
        }
    }
}

// struct aie_partition of xclbin.h: 184 bytes, offsets count from the section's first byte.
void read_partition(const Part& part, Xclbin& xclbin) {
    xclbin.columns = part.number<std::uint16_t>(32, "the number of columns");
    const auto images = part.number<std::uint32_t>(120, "the number of images");
    const auto table = part.number<std::uint32_t>(124, "the table of images");
    if (xclbin.columns < 1 || images < 1 || images > most_entries) {
        part.refuse(fmt::format("has {} images for {} columns", images, xclbin.columns));
    }
    for (std::uint32_t i = 0; i < images; ++i) {
        const std::uint64_t at = table + std::uint64_t{i} * 96;
        const auto size = part.number<std::uint32_t>(at + 16, "an image's size");
        const auto offset = part.number<std::uint32_t>(at + 20, "an image's offset");
        xclbin.images.push_back(part.slice(offset, size, fmt::format("image {}", i)));
    }
}

void require(bool held, const std::string& file, const XclbinKernel& kernel, int index,
             std::string_view wanted) {
    if (!held) {
        throw datasets::ReadError(
            file, fmt::format("kernel '{}'", kernel.name),
            fmt::format("argument {} is not {}; name the arguments as the kernel has them", index, wanted));
    }
}

}  // namespace

Xclbin read_xclbin(const std::string& file, std::span<const std::byte> bytes) {
    const Container container(file, bytes);
    container.check_places();
    constexpr std::string_view needed = "XRT needs it";
    Xclbin xclbin;
    xclbin.uuid = container.uuid();
    xclbin.banks = read_banks(container.section(mem_topology, "MEM_TOPOLOGY", needed));
    const std::vector<std::string> units = read_units(container.section(ip_layout, "IP_LAYOUT", needed));
    xclbin.kernels = read_kernels(container.section(embedded_metadata, "EMBEDDED_METADATA", needed), units);
    read_connectivity(container.section(connectivity, "CONNECTIVITY", needed), units, xclbin);
    read_partition(container.section(aie_partition, "AIE_PARTITION",
                                     "it is for another architecture than an NPU's array"),
                   xclbin);
    return xclbin;
}

const XclbinKernel& find_kernel(const Xclbin& xclbin, const std::string& file, std::string_view kernel,
                                const KernelArguments& arguments) {
    const auto found = std::ranges::find(xclbin.kernels, kernel, &XclbinKernel::name);
    if (found == xclbin.kernels.end()) {
        std::vector<std::string> names;
        for (const XclbinKernel& known : xclbin.kernels) {
            names.push_back(known.name);
        }
        throw datasets::ReadError(file, fmt::format("kernel '{}'", kernel),
                                  fmt::format("is not in it; it has: {}", fmt::join(names, ", ")));
    }
    const auto is = [&](int index, bool buffer, std::int64_t bytes) {
        if (index < 0 || index >= std::ssize(found->arguments)) {
            return false;
        }
        const XclbinArgument& argument = found->arguments[static_cast<std::size_t>(index)];
        return argument.buffer == buffer && argument.bytes == bytes && (!buffer || !argument.banks.empty());
    };
    require(is(arguments.opcode, false, 8), file, *found, arguments.opcode, "a 64-bit opcode");
    require(is(arguments.instructions, true, 8), file, *found, arguments.instructions,
            "a buffer of instructions, joined to a bank");
    require(is(arguments.instruction_words, false, 4), file, *found, arguments.instruction_words,
            "a 32-bit number of instruction words");
    std::optional<std::vector<int>> banks;
    for (const int index : arguments.buffers) {
        require(is(index, true, 8), file, *found, index, "a buffer, joined to a bank");
        const std::vector<int>& own = found->arguments[static_cast<std::size_t>(index)].banks;
        require(banks.value_or(own) == own, file, *found, index, "in the same bank as the buffers before it");
        banks = own;
    }
    return *found;
}

}  // namespace npu_impl
