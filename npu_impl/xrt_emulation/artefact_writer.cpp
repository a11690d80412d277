#include "npu_impl/xrt_emulation/artefact_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>

#include "datasets/sha256.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/xrt_emulation/xclbin_writer.hpp"

namespace npu_impl::xrt_emulation {
namespace {

void write_file(const std::string& file, std::span<const std::byte> bytes) {
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!stream.flush()) {
        throw std::runtime_error(file + ": cannot be written");
    }
}

// Of every kernel; a launch with fewer buffers leaves the last unset.
constexpr int buffer_arguments = 6;

// Of the whole array.
constexpr int columns = 4;
constexpr int cores = 4 * columns;

}  // namespace

void write_artefacts_for(const std::string& folder, std::span<const Launch> launches) {
    const std::filesystem::path place(folder);
    std::vector<Artefact> artefacts;
    if (std::filesystem::exists(place / artefact_list)) {
        artefacts = read_artefacts(folder);
    }
    for (const Launch& launch : launches) {
        const BoundLaunch bound = bind_program(launch);
        const std::string program = identity(bound.program);
        if (std::ranges::find(artefacts, program, &Artefact::program) != artefacts.end()) {
            continue;
        }
        const auto image = std::as_bytes(std::span(bound.program.kernel));
        const std::vector<std::byte> xclbin = write_xclbin(
            {"MLIR_AIE", std::vector<int>(buffer_arguments, 0), columns, {image.begin(), image.end()}, {}});
        const auto words = std::as_bytes(std::span(bound.program.instructions));
        Artefact artefact;
        artefact.name = fmt::format("{} {}", launch.kernel, program.substr(0, 12));
        artefact.xclbin_sha256 = datasets::sha256_hex(xclbin);
        artefact.xclbin = fmt::format("{}-{}.xclbin", launch.kernel, artefact.xclbin_sha256.substr(0, 12));
        artefact.instructions_sha256 = datasets::sha256_hex(words);
        artefact.instructions = program.substr(0, 12) + ".bin";
        artefact.kernel = "MLIR_AIE";
        artefact.arguments.buffers.resize(launch.buffers.size());
        std::iota(artefact.arguments.buffers.begin(), artefact.arguments.buffers.end(), 3);
        artefact.program = program;
        artefact.tile = "64x64x64";
        artefact.operand = "as emulated";
        artefact.store = "as emulated";
        artefact.rounding = "as emulated";
        artefact.cores = cores;
        artefact.limits = {"for an emulated NPU only"};
        write_file((place / artefact.xclbin).string(), xclbin);
        write_file((place / artefact.instructions).string(), words);
        artefacts.push_back(std::move(artefact));
    }
    write_artefacts(folder, artefacts);
}

}  // namespace npu_impl::xrt_emulation
