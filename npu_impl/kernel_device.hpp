// Somebody else's kernel in the place of one of ours: loaded from a compiled module, to be called on raw
// tiles, or put into an emulated device.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

// A module that cannot be loaded or has no such function. One line.
class KernelError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// The functions of kernels/aie2/kernels.h, each a role that a kernel can play.
std::span<const std::string_view> kernel_roles();

// The level of x86-64 to compile a kernel for: the highest that this CPU has. And the module of our own
// kernels for it.
std::string_view kernel_level();
std::string own_module();

// The first design in whose attention the emulated device calls this role; null where none does.
const Design* design_with(std::string_view role);

// A function in a module, and the reset of the core that it was compiled with. The code stays loaded.
class RawKernel {
public:
    // Throws KernelError.
    RawKernel(const std::string& module, const std::string& symbol);

    // Takes tiles in the core's layout (kernels/aie2/kernels.h).
    [[nodiscard]] void* function() const { return function_; }

    void reset() const { reset_(); }

    // The core's aie::rounding_mode, by number.
    [[nodiscard]] unsigned rounding() const { return rounding_(); }
    void set_rounding(unsigned mode) const { set_rounding_(mode); }

private:
    void* function_;
    void (*reset_)();
    unsigned (*rounding_)();
    void (*set_rounding_)(unsigned);
};

// An emulated device of exact arithmetic in which `role` is played by `symbol` of `module`.
class KernelDevice {
public:
    // Throws KernelError for that module, DeviceError where our own kernels cannot be loaded.
    KernelDevice(std::string_view role, const std::string& module, const std::string& symbol);
    ~KernelDevice();

    [[nodiscard]] Device& device() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace npu_impl
