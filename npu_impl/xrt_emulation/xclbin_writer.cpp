#include "npu_impl/xrt_emulation/xclbin_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <string_view>

#include "datasets/sha256.hpp"

namespace npu_impl::xrt_emulation {
namespace {

// All numbers little-endian, structures as in XRT's xclbin.h.
class Blob {
public:
    template <std::integral Number>
    void number(Number value) {
        for (std::size_t i = 0; i < sizeof value; ++i) {
            bytes.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
        }
    }
    void text(std::string_view value, std::size_t width) {
        const auto at = std::as_bytes(std::span(value));
        bytes.insert(bytes.end(), at.begin(), at.end());
        fill(width - value.size());
    }
    void fill(std::size_t count, std::byte value = {}) { bytes.insert(bytes.end(), count, value); }
    void align(std::size_t bound) { fill((bound - bytes.size() % bound) % bound); }

    // Adds a part behind the others and returns where it lies.
    std::uint32_t append(std::span<const std::byte> part) {
        align(8);
        const auto at = static_cast<std::uint32_t>(bytes.size());
        bytes.insert(bytes.end(), part.begin(), part.end());
        return at;
    }

    std::vector<std::byte> bytes;
};

constexpr std::uint64_t kernel_id = 0x901;
constexpr std::size_t axlf_bytes = 456;
constexpr std::size_t section_bytes = 40;

Blob mem_topology() {
    constexpr std::uint8_t dram = 2;
    Blob blob;
    blob.number(std::int32_t{3});
    blob.fill(4);
    // As mlir-aie has them, HOST and SRAM begin at one address.
    for (const std::string_view tag : {"HOST", "SRAM", "OTHER"}) {
        blob.number(dram);
        blob.number(std::uint8_t{1});
        blob.fill(6);
        blob.number(std::uint64_t{0x10000});
        blob.number(std::uint64_t{tag == "OTHER" ? 0x80000000U : 0x4000000U});
        blob.text(tag, 16);
    }
    return blob;
}

// Bit 0 of the properties: started by a handshake, without which XRT refuses the kernel.
Blob ip_layout(const std::string& kernel) {
    constexpr std::uint32_t ps_kernel = 7;
    Blob blob;
    blob.number(std::int32_t{1});
    blob.fill(4);
    blob.number(ps_kernel);
    blob.number(static_cast<std::uint32_t>(1 | kernel_id << 16U));
    blob.number(~std::uint64_t{0});
    blob.text(kernel + ":unit", 64);
    return blob;
}

Blob connectivity(std::span<const int> banks) {
    Blob blob;
    blob.number(static_cast<std::int32_t>(banks.size() + 1));
    const auto join = [&](std::size_t argument, int bank) {
        blob.number(static_cast<std::int32_t>(argument));
        blob.number(std::int32_t{0});
        blob.number(std::int32_t{bank});
    };
    join(1, 1);
    for (std::size_t i = 0; i < banks.size(); ++i) {
        join(3 + i, banks[i]);
    }
    return blob;
}

// Arguments as in mlir-aie's kernels.json; the addresses behind the count are not aligned to 8.
Blob metadata(const XclbinContent& content) {
    std::string xml = fmt::format(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<project>\n <platform>\n  <device>\n   <core>\n"
        "    <kernel name=\"{}\" language=\"c\" type=\"dpu\">\n"
        "     <extended-data subtype=\"1\" functional=\"0\" dpu_kernel_id=\"{:#x}\"/>\n",
        content.kernel, kernel_id);
    std::size_t index = 0;
    const auto argument = [&](const std::string& name, int qualifier, std::string_view type, int bytes,
                              std::size_t offset) {
        xml += fmt::format(
            "     <arg name=\"{}\" addressQualifier=\"{}\" id=\"{}\" size=\"{:#x}\" offset=\"{:#x}\" "
            "hostOffset=\"0x0\" hostSize=\"{:#x}\" type=\"{}\"/>\n",
            name, qualifier, index++, bytes, offset, bytes, type);
    };
    argument("opcode", 0, "uint64_t", 8, 0);
    argument("instr", 1, "char *", 8, 8);
    argument("ninstr", 0, "uint32_t", 4, 0x10);
    for (std::size_t i = 0; i < content.buffer_banks.size(); ++i) {
        argument(fmt::format("bo{}", i), 1, "void*", 8, 0x14 + 8 * i);
    }
    xml +=
        "     <instance name=\"unit\"/>\n    </kernel>\n   </core>\n  </device>\n </platform>\n</project>\n";
    Blob blob;
    blob.text(xml, xml.size());
    return blob;
}

// struct aie_partition (184 bytes) with one struct aie_pdi (96) and its one cdo_group (96). Offsets count
// from the section's first byte.
Blob aie_partition(const XclbinContent& content) {
    constexpr std::string_view name{"QoS\0", 4};
    constexpr std::string_view cdo_name{"DPU\0", 4};
    constexpr std::string_view commit{"\0", 1};
    const std::uint16_t start_column = 0;
    const std::uint32_t preload = 0xC1;
    Blob blob;
    blob.fill(184);
    const std::uint32_t name_at = blob.append(std::as_bytes(std::span(name)));
    const std::uint32_t start_at = blob.append(std::as_bytes(std::span(&start_column, 1)));
    const std::uint32_t kernels_at = blob.append(std::as_bytes(std::span(&kernel_id, 1)));
    const std::uint32_t preload_at = blob.append(std::as_bytes(std::span(&preload, 1)));
    const std::uint32_t cdo_name_at = blob.append(std::as_bytes(std::span(cdo_name)));
    const std::uint32_t commit_at = blob.append(std::as_bytes(std::span(commit)));
    const std::uint32_t image_at = blob.append(content.image);
    Blob cdo;
    cdo.number(cdo_name_at);
    cdo.number(std::uint8_t{1});
    cdo.fill(3);
    cdo.number(std::uint64_t{1});
    for (const std::uint32_t value : {std::uint32_t{1}, kernels_at, std::uint32_t{1}, preload_at}) {
        cdo.number(value);
    }
    cdo.fill(64);
    const std::uint32_t cdo_at = blob.append(cdo.bytes);
    Blob pdi;
    pdi.fill(16, std::byte{0x5A});
    for (const std::uint32_t value :
         {static_cast<std::uint32_t>(content.image.size()), image_at, std::uint32_t{1}, cdo_at}) {
        pdi.number(value);
    }
    pdi.fill(64);
    const std::uint32_t pdi_at = blob.append(pdi.bytes);
    Blob head;
    head.number(std::uint32_t{0});
    head.number(name_at);
    head.number(std::uint64_t{2048});
    head.number(std::uint64_t{0});
    head.number(std::uint64_t{0});
    head.number(static_cast<std::uint16_t>(content.columns));
    head.fill(6);
    head.number(std::uint32_t{1});
    head.number(start_at);
    head.fill(72);
    head.number(std::uint32_t{1});
    head.number(pdi_at);
    head.number(commit_at);
    head.fill(52);
    std::ranges::copy(head.bytes, blob.bytes.begin());
    return blob;
}

struct Section {
    std::uint32_t kind;
    std::string_view name;
    Blob content;
};

}  // namespace

std::vector<std::byte> write_xclbin(const XclbinContent& content) {
    std::vector<Section> sections{{6, "mem_topology", mem_topology()},
                                  {8, "ip_layout", ip_layout(content.kernel)},
                                  {7, "connectivity", connectivity(content.buffer_banks)},
                                  {2, "", metadata(content)},
                                  {32, "aie_partition", aie_partition(content)}};
    std::erase_if(sections, [&](const Section& section) {
        return std::ranges::find(content.without, section.kind) != content.without.end();
    });
    datasets::Sha256 hash;
    Blob table;
    Blob body;
    for (Section& section : sections) {
        const std::size_t size = section.content.bytes.size();
        hash.update(section.content.bytes);
        table.number(section.kind);
        table.text(section.name, 16);
        table.fill(4);
        table.number(std::uint64_t{axlf_bytes + section_bytes * sections.size() + body.bytes.size()});
        table.number(std::uint64_t{size});
        section.content.align(8);
        body.append(section.content.bytes);
    }
    Blob file;
    file.text("xclbin2", 8);
    file.number(std::int32_t{-1});
    file.fill(28 + 256, std::byte{0xFF});
    file.number(std::uint64_t{1});
    file.number(std::uint64_t{axlf_bytes + table.bytes.size() + body.bytes.size()});
    file.fill(16);
    file.number(std::uint16_t{0});
    file.number(std::uint8_t{2});
    file.number(std::uint8_t{13});
    file.fill(4 + 16 + 64);
    file.text(hash.finish().substr(0, 16), 16);
    file.fill(16);
    file.number(static_cast<std::uint32_t>(sections.size()));
    file.fill(4);
    file.append(table.bytes);
    file.append(body.bytes);
    return file.bytes;
}

}  // namespace npu_impl::xrt_emulation
