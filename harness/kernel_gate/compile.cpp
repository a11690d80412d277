#include "harness/kernel_gate/compile.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "harness/kernel_gate/embedded_headers.hpp"
#include "harness/kernel_gate/sandbox.hpp"

namespace harness::kernel_gate {
namespace {

namespace fs = std::filesystem;

constexpr double compile_limit_seconds = 60;

void write_file(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.flush()) {
        throw std::runtime_error(fmt::format("{}: cannot be written", path.string()));
    }
}

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// As kernels/CMakeLists.txt compiles our own. Undefined functions are the linker's to name, not the loader's.
std::vector<std::string> command_line(const std::string& compiler, const CompileRequest& request,
                                      const fs::path& headers, const fs::path& module) {
    std::vector<std::string> words{compiler,
                                   "-std=c++20",
                                   "-O2",
                                   "-fPIC",
                                   "-shared",
                                   "-march=" + request.level,
                                   "-mprefer-vector-width=512",
                                   "-ffp-contract=off",
                                   "-Wall",
                                   "-Wno-attributes",
                                   "-Wno-unknown-pragmas",
                                   "-Wl,-z,defs"};
    if (compiler == "g++") {
        words.insert(words.end(), {"-fno-gnu-unique", "-fstack-usage", "-Wno-psabi"});
    }
    if (request.color) {
        words.emplace_back("-fdiagnostics-color=always");
    }
    words.push_back("-I" + fs::absolute(request.kernel).parent_path().string());
    for (const std::string& folder : request.include) {
        words.push_back("-I" + folder);
    }
    for (const std::string& macro : request.define) {
        words.push_back("-D" + macro);
    }
    words.insert(words.end(), {"-isystem", headers.string(), fs::absolute(request.kernel).string(),
                               (headers / "module.cc").string(), "-o", module.string()});
    return words;
}

// What -fstack-usage wrote: lines of "place:function<tab>bytes<tab>kind". Those of module.cc are its own.
std::int64_t largest_frame(const fs::path& folder) {
    std::int64_t largest = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (!name.ends_with(".su") || name.ends_with("-module.su")) {
            continue;
        }
        std::istringstream text(read_file(entry.path()));
        for (std::string line; std::getline(text, line);) {
            const std::size_t tab = line.find('\t');
            if (tab != std::string::npos) {
                largest = std::max(largest, std::int64_t{std::strtoll(line.c_str() + tab, nullptr, 10)});
            }
        }
    }
    return largest;
}

}  // namespace

std::string signature(std::string_view role) {
    for (const EmbeddedFile& file : embedded_files()) {
        const std::size_t start = file.text.find(fmt::format("\nvoid {}(", role));
        if (file.path != "kernels.h" || start == std::string_view::npos) {
            continue;
        }
        std::string out;
        for (const char c : file.text.substr(start + 1, file.text.find(';', start) - start - 1)) {
            if (c != ' ' && c != '\n') {
                out += c;
            } else if (!out.ends_with(' ')) {
                out += ' ';
            }
        }
        return "extern \"C\" " + out;
    }
    return {};
}

CompileResult compile_kernel(const CompileRequest& request, const TemporaryFolder& folder) {
    const fs::path headers = folder.path() / "include";
    for (const EmbeddedFile& file : embedded_files()) {
        write_file(headers / file.path, file.text);
    }
    CompileResult result;
    result.module = (folder.path() / "kernel.so").string();
    const fs::path printed = folder.path() / "messages";
    const auto start = std::chrono::steady_clock::now();
    for (const char* compiler : compilers) {
        const Outcome outcome = run_program(command_line(compiler, request, headers, result.module),
                                            folder.path().string(), compile_limit_seconds);
        if (outcome.end == Outcome::End::not_found) {
            continue;
        }
        result.compiler = compiler;
        result.messages = read_file(printed);
        result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (outcome.end == Outcome::End::timed_out) {
            result.fault = fmt::format("{} was still compiling after {} s", compiler, compile_limit_seconds);
        } else if (outcome.end != Outcome::End::exited || outcome.code != 0) {
            result.fault = "does not compile";
        }
        result.frame_bytes = largest_frame(folder.path());
        return result;
    }
    throw std::runtime_error(
        fmt::format("no C++ compiler on the PATH (tried {}): install one, e.g. apt install g++",
                    fmt::join(compilers, ", ")));
}

}  // namespace harness::kernel_gate
