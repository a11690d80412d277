// The kernels of kernels/aie2, compiled for this CPU: shared libraries ("modules"), one per level of x86-64,
// loaded at run time. A user's own kernel goes through the same loader.
//
// A module computes in the data layout of the core (kernels/aie2/kernels.h); the table that it is seen
// through has the dense row-major tiles of tile_kernels.hpp. What turns one into the other is the memtile's
// DMA on the array.
#pragma once

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/tile_kernels.hpp"

namespace kernels {

// A module that cannot be loaded, or lacks a function. One line, names file and function.
class ModuleError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class KernelModule {
public:
    // `path`: a file, or a bare name, which is looked for where the program was built or installed.
    explicit KernelModule(const std::string& path);

    // Computes exactly what the array computes. `Store::bf16_toward_zero` is not among its stores, and bf16
    // is the only store of fused attention, layer norm and GELU: std::invalid_argument. Refers to the module,
    // which must outlive it.
    [[nodiscard]] KernelTable table() const;

    // Takes the function `role` from another module, where it is called `symbol`. A replaced matmul_tile
    // serves both layouts of the right operand. Throws ModuleError, and std::invalid_argument for an unknown
    // role.
    void replace(std::string_view role, const std::string& path, const std::string& symbol);

    // The functions of kernels/aie2/kernels.h.
    [[nodiscard]] static std::span<const std::string_view> roles();

private:
    struct Functions;
    class Library;

    std::shared_ptr<const Library> library_;
    std::shared_ptr<const Library> replacement_;
    std::shared_ptr<Functions> functions_;
    std::string level_;
};

// The project's own kernels for the highest level of x86-64 that this CPU has. Loaded once; throws
// ModuleError.
const KernelModule& aie2_module();

// The levels that this CPU has, highest first, and the module of each.
std::span<const std::string_view> x86_64_levels();
std::string module_file(std::string_view level);

}  // namespace kernels
