// From a user's kernel file to a module that can be loaded: finds a compiler, runs it, keeps its words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/temporary_folder.hpp"

namespace harness::kernel_gate {

struct CompileRequest {
    std::filesystem::path kernel;
    std::vector<std::string> include;  // further folders
    std::vector<std::string> define;   // NAME or NAME=VALUE
    std::string level;                 // of x86-64, for -march
    bool color = false;                // of the compiler's messages
};

struct CompileResult {
    std::string fault;   // empty: `module` can be loaded
    std::string module;  // a file below the folder
    std::string compiler;
    std::string messages;  // what the compiler printed
    double seconds = 0;
    std::int64_t frame_bytes = 0;  // of the largest stack frame in the kernel's file; 0: unknown
};

// The compilers that are tried, in this order.
inline constexpr const char* compilers[] = {"g++", "clang++", "c++"};

// Compiles against the embedded headers, which are written into `folder`. Throws std::runtime_error where
// there is no compiler, and Interrupted.
CompileResult compile_kernel(const CompileRequest& request, const TemporaryFolder& folder);

// The C declaration of a role, as its contract (kernels/aie2/kernels.h) has it.
std::string signature(std::string_view role);

}  // namespace harness::kernel_gate
