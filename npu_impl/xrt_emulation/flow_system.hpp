// What both joints of EmulatedNpu to XRT say alike: kinds of buffers, states of packets, and the system that
// XRT finds its devices in. The joint itself is load_flow_system.cpp or context_flow_system.cpp.
#pragma once

#if __has_include(<xrt/detail/version-slim.h>)
#include <xrt/detail/ert.h>
#include <xrt/detail/xrt_mem.h>

#include "npu_impl/xrt_emulation/context_flow_abi.hpp"
#else
#include "npu_impl/xrt_emulation/load_flow_abi.hpp"
#endif

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "npu_impl/xrt_emulation/emulated_npu.hpp"

namespace npu_impl::xrt_emulation {

[[noreturn]] inline void refuse_entry(const char* what) {
    throw std::system_error(ENOTSUP, std::generic_category(), std::string(what) + ": not on an NPU");
}

// Of a buffer, by XRT's flags. Throws std::system_error for those that no NPU has.
inline MemoryKind kind_of(std::uint64_t flags) {
    if ((flags & XCL_BO_FLAGS_EXECBUF) != 0) {
        return MemoryKind::command;
    }
    if ((flags & XCL_BO_FLAGS_CACHEABLE) != 0) {
        return MemoryKind::instructions;
    }
    if ((flags & XCL_BO_FLAGS_HOST_ONLY) != 0) {
        return MemoryKind::data;
    }
    throw std::system_error(EINVAL, std::generic_category(),
                            "an NPU has buffers that are host-only, and cacheable ones for instructions");
}

inline ert_cmd_state state_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::completed:
            return ERT_CMD_STATE_COMPLETED;
        case Outcome::aborted:
            return ERT_CMD_STATE_ABORT;
        case Outcome::timed_out:
            return ERT_CMD_STATE_TIMEOUT;
        default:
            return ERT_CMD_STATE_ERROR;
    }
}

inline ert_packet* packet_of(unsigned command) {
    return reinterpret_cast<ert_packet*>(EmulatedNpu::instance().host(command));
}

inline void set_state(unsigned command, Outcome outcome) {
    ert_packet* packet = packet_of(command);
    const std::uint32_t header = (packet->header & ~0xFU) | static_cast<std::uint32_t>(state_of(outcome));
    __atomic_store_n(&packet->header, header, __ATOMIC_RELEASE);
}

// What a kernel is started with: the register map lies behind the masks of its units.
inline EmulatedNpu::Registers registers_of(unsigned command) {
    const auto* packet = reinterpret_cast<const ert_start_kernel_cmd*>(packet_of(command));
    if (packet->opcode != ERT_START_CU) {
        refuse_entry("a command other than the start of a kernel");
    }
    const std::size_t masks = 1U + packet->extra_cu_masks;
    return {packet->data + packet->extra_cu_masks, packet->count - masks};
}

// Somebody's command has ended. One of the process, and never destroyed, like the NPU.
struct Completions {
    std::mutex mutex;
    std::condition_variable arrived;
    std::uint64_t count = 0;  // since anybody took note

    static Completions& instance() {
        static Completions& completions = *new Completions;
        return completions;
    }
};

// The system of one NPU, whose device is a `Device(handle, id)`. Its one object registers itself; XRT then
// looks for no driver.
template <typename Device>
class NpuSystem final : public xrt_core::system {
public:
    NpuSystem() { EmulatedNpu::instance(); }
    ~NpuSystem() { EmulatedNpu::instance().stop(); }

    std::pair<unsigned, unsigned> get_total_devices(bool) const override {
        const unsigned count = EmulatedNpu::instance().present() ? 1 : 0;
        return {count, count};
    }
    std::shared_ptr<xrt_core::device> get_userpf_device(unsigned id) const override {
        if (id != 0 || !EmulatedNpu::instance().present()) {
            throw std::system_error(ENODEV, std::generic_category(), "there is no such NPU");
        }
        return xrt_core::get_userpf_device(&EmulatedNpu::instance(), id);
    }
    std::shared_ptr<xrt_core::device> get_userpf_device(void* handle, unsigned id) const override {
        // Never destroyed: XRT's static objects use it until the very end.
        static auto& device = *new std::shared_ptr<xrt_core::device>(new Device(handle, id));
        return device;
    }
    std::shared_ptr<xrt_core::device> get_mgmtpf_device(unsigned) const override {
        refuse_entry("management");
    }
};

}  // namespace npu_impl::xrt_emulation
