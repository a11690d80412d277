// Compiled designs for the array, as their users keep them: a folder with xclbins, instruction files and
// artefacts.json, which says of each what it is and what it can do.
//
// An artefact serves launches of one program (launch_program.hpp), whose identity it carries. One without an
// identity is described and checked, but serves no launch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/xclbin.hpp"

namespace npu_impl {

struct Artefact {
    std::string name;
    std::string xclbin;  // a file of the folder
    std::string xclbin_sha256;
    std::string instructions;  // a file of the folder: 32-bit words, little-endian
    std::string instructions_sha256;
    std::string kernel;  // its name in the xclbin
    KernelArguments arguments;
    std::string program;  // identity of the launches that it serves, or empty
    std::string tile;     // as declared by who built it, like the rest: "64x64x64"
    std::string operand;
    std::string store;
    std::string rounding;
    int cores = 0;
    std::vector<std::string> limits;  // what it cannot do, a sentence each

    bool operator==(const Artefact&) const = default;
};

inline constexpr std::string_view artefact_list = "artefacts.json";

// Of a folder; in order of the list. Throws datasets::ReadError: no such folder, no list, fields that are
// missing, unknown or of the wrong kind, files outside the folder, names twice, programs twice.
std::vector<Artefact> read_artefacts(const std::string& folder);

// Throws datasets::ReadError for names and programs that are there twice.
void check_artefacts(const std::string& folder, const std::vector<Artefact>& artefacts);

// Writes the list anew. Throws std::runtime_error where that fails.
void write_artefacts(const std::string& folder, const std::vector<Artefact>& artefacts);

// An artefact's files, checked.
struct ArtefactFiles {
    std::vector<std::byte> xclbin;
    std::vector<std::uint32_t> instructions;
};

// Throws datasets::ReadError, naming the file, for a missing or changed file, an xclbin that `read_xclbin` or
// `find_kernel` refuses, and instructions that are not whole words.
ArtefactFiles load_artefact(const std::string& folder, const Artefact& artefact);

// A whole file. Throws datasets::ReadError.
std::vector<std::byte> read_file(const std::string& file);

}  // namespace npu_impl
