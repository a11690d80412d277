#include "npu_impl/kernel_device.hpp"

#include <dlfcn.h>

#include <algorithm>

#include "kernels/kernel_module.hpp"
#include "npu_impl/emulated_device.hpp"

namespace npu_impl {
namespace {

using datasets::Arithmetic;
using datasets::DType;
using datasets::Op;
using datasets::Rounding;
using datasets::TileSum;

bool stores_bf16(DType type, Rounding rounding, Rounding wanted) {
    return type == DType::bf16 && rounding == wanted;
}

// `role` without the rounding that it ends in; nothing where it is not one of the three.
std::string_view stem(std::string_view role, Rounding rounding) {
    const std::string_view ending = rounding == Rounding::floor ? "_floor" : "_even";
    return role.ends_with(ending) ? role.substr(0, role.size() - ending.size()) : std::string_view();
}

// Whether the step that ends with `op` calls a role that stores bf16 by `rounding`.
bool calls_store(const StepDesign& step, const Arithmetic& arithmetic, std::string_view stem,
                 Rounding rounding) {
    const bool stores = stores_bf16(arithmetic.store, arithmetic.store_rounding, rounding);
    if (step.kernel.function == KernelFunction::softmax) {
        return stem == "softmax_finish" && stores;
    }
    if (step.kernel.function == KernelFunction::attention) {
        return stem == "attention_finish" && stores;
    }
    if (arithmetic.tile_sum == TileSum::rounded) {
        const bool product = stem == "matmul_tile_bf16" || stem == "matmul_tile_nk_bf16";
        return product && stores_bf16(arithmetic.tile_store, arithmetic.tile_rounding, rounding);
    }
    return stem == "store_tile" && stores;
}

// Whether it calls a role that stores no bf16.
bool calls_plain(const StepDesign& step, const Arithmetic& arithmetic, std::string_view role) {
    if (step.kernel.function == KernelFunction::softmax) {
        return role == "softmax_update";
    }
    if (step.kernel.function == KernelFunction::attention) {
        return role == "attention_update";
    }
    const bool in_accumulator = arithmetic.tile_sum == TileSum::on_core;
    if (role == "scale_tile") {
        return in_accumulator && step.ops.last == Op::scores && arithmetic.store == DType::f32;
    }
    if (role == "start_tile") {
        return in_accumulator && step.ops.last == Op::query;
    }
    return in_accumulator && (role == "matmul_tile" || role == "matmul_tile_nk" || role == "zero_tile");
}

bool calls(const Design& design, std::string_view role) {
    return std::ranges::any_of(design.steps, [&](const StepDesign& step) {
        if (step.kernel.source != KernelSource::aie2 || !datasets::attention_ops.contains(step.ops.last)) {
            return false;
        }
        const Arithmetic& arithmetic = design.arithmetic_of(step.ops.last);
        for (const Rounding rounding : {Rounding::nearest_even, Rounding::floor}) {
            const std::string_view name = stem(role, rounding);
            if (!name.empty()) {
                return calls_store(step, arithmetic, name, rounding);
            }
        }
        return calls_plain(step, arithmetic, role);
    });
}

}  // namespace

std::span<const std::string_view> kernel_roles() {
    return kernels::KernelModule::roles();
}

std::string_view kernel_level() {
    return kernels::x86_64_levels().front();
}

std::string own_module() {
    return kernels::module_file(kernel_level());
}

const Design* design_with(std::string_view role) {
    const auto all = designs();
    const auto found = std::ranges::find_if(all, [&](const Design& design) { return calls(design, role); });
    return found == all.end() ? nullptr : &*found;
}

RawKernel::RawKernel(const std::string& module, const std::string& symbol) {
    void* library = dlopen(module.c_str(), RTLD_NOW);
    if (library == nullptr) {
        throw KernelError(std::string("cannot be loaded: ") + dlerror());
    }
    const auto find = [&](const std::string& name) {
        void* function = dlsym(library, name.c_str());
        if (function == nullptr) {
            throw KernelError("there is no function " + name +
                              " in it (a kernel is declared extern \"C\"; --symbol names it)");
        }
        return function;
    };
    function_ = find(symbol);
    reset_ = reinterpret_cast<void (*)()>(find("aie_reset_core"));
    rounding_ = reinterpret_cast<unsigned (*)()>(find("aie_core_rounding"));
    set_rounding_ = reinterpret_cast<void (*)(unsigned)>(find("aie_set_core_rounding"));
}

struct KernelDevice::State {
    explicit State(const std::string& own) : module(own) {}

    kernels::KernelModule module;
    std::optional<EmulatedDevice> device;
};

KernelDevice::KernelDevice(std::string_view role, const std::string& module, const std::string& symbol) {
    try {
        state_ = std::make_unique<State>(own_module());
    } catch (const kernels::ModuleError& error) {
        throw DeviceError(error.what());
    }
    try {
        state_->module.replace(role, module, symbol);
    } catch (const kernels::ModuleError& error) {
        throw KernelError(error.what());
    }
    const kernels::KernelTable table = state_->module.table();
    state_->device.emplace(DeviceKernels{table, table, datasets::Emulation::exact});
}

KernelDevice::~KernelDevice() = default;

Device& KernelDevice::device() const {
    return *state_->device;
}

}  // namespace npu_impl
