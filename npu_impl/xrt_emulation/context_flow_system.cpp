// Joins EmulatedNpu to XRT 2.25: devices, hardware contexts, their queues, buffers. Linked into a program, or
// loaded before it, its one object registers itself as the system that XRT finds its devices in; XRT then
// looks for no driver.
#include <xrt/detail/ert.h>
#include <xrt/detail/xrt_mem.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <vector>

#include "npu_impl/xrt_emulation/context_flow_abi.hpp"
#include "npu_impl/xrt_emulation/emulated_npu.hpp"

namespace npu_impl::xrt_emulation {
namespace {

[[noreturn]] void refuse(const char* what) {
    throw std::system_error(ENOTSUP, std::generic_category(), std::string(what) + ": not on an NPU");
}

MemoryKind kind_of(std::uint64_t flags) {
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

ert_cmd_state state_of(Outcome outcome) {
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

// Of all queues: somebody's command has ended.
struct Completion {
    std::mutex mutex;
    std::condition_variable arrived;

    // Never destroyed, like the NPU.
    static Completion& instance() {
        static Completion& completion = *new Completion;
        return completion;
    }
};

void end_command(unsigned command, Outcome outcome) {
    Completion& completion = Completion::instance();
    {
        const std::scoped_lock lock(completion.mutex);
        auto* packet = reinterpret_cast<ert_packet*>(EmulatedNpu::instance().host(command));
        const std::uint32_t header = (packet->header & ~0xFU) | static_cast<std::uint32_t>(state_of(outcome));
        __atomic_store_n(&packet->header, header, __ATOMIC_RELEASE);
    }
    completion.arrived.notify_all();
}

class NpuBuffer final : public xrt_core::buffer_handle {
public:
    NpuBuffer(std::size_t bytes, std::uint64_t flags)
        : handle_(EmulatedNpu::instance().allocate(bytes, kind_of(flags))), flags_(flags) {}
    ~NpuBuffer() override { EmulatedNpu::instance().release(handle_); }

    void* map(map_type) override { return EmulatedNpu::instance().host(handle_); }
    void unmap(void*) override {}
    void sync(direction way, std::size_t bytes, std::size_t offset) override {
        if (way == direction::host2device) {
            EmulatedNpu::instance().send(handle_, offset, bytes);
        } else {
            EmulatedNpu::instance().fetch(handle_, offset, bytes);
        }
    }
    properties get_properties() const override {
        const EmulatedNpu& npu = EmulatedNpu::instance();
        return {flags_, npu.size(handle_), npu.address(handle_), handle_};
    }
    unsigned get_xcl_handle() const override { return handle_; }

private:
    unsigned handle_;
    std::uint64_t flags_;
};

class NpuQueue final : public xrt_core::hwqueue_handle {
public:
    explicit NpuQueue(EmulatedNpu::Slot slot) : slot_(slot) {}

    // The register map of a kernel lies behind the masks of its units.
    void submit_command(xrt_core::buffer_handle* command) override {
        const auto* packet = reinterpret_cast<const ert_start_kernel_cmd*>(packet_of(command));
        if (packet->opcode != ERT_START_CU) {
            refuse("a command other than the start of a kernel");
        }
        const std::size_t masks = 1U + packet->extra_cu_masks;
        EmulatedNpu::instance().submit(slot_, command->get_xcl_handle(),
                                       {packet->data + packet->extra_cu_masks, packet->count - masks},
                                       end_command);
    }
    int poll_command(xrt_core::buffer_handle* command) const override { return has_ended(command) ? 1 : 0; }
    int wait_command(xrt_core::buffer_handle* command, std::uint32_t timeout_ms) const override {
        Completion& completion = Completion::instance();
        std::unique_lock lock(completion.mutex);
        const auto ended = [&] { return has_ended(command); };
        if (timeout_ms == 0) {
            completion.arrived.wait(lock, ended);
            return 1;
        }
        return completion.arrived.wait_for(lock, std::chrono::milliseconds(timeout_ms), ended) ? 1 : 0;
    }

private:
    static ert_packet* packet_of(const xrt_core::buffer_handle* command) {
        return reinterpret_cast<ert_packet*>(EmulatedNpu::instance().host(command->get_xcl_handle()));
    }
    static bool has_ended(const xrt_core::buffer_handle* command) {
        const std::uint32_t header = __atomic_load_n(&packet_of(command)->header, __ATOMIC_ACQUIRE);
        return (header & 0xFU) >= static_cast<std::uint32_t>(ERT_CMD_STATE_COMPLETED);
    }

    EmulatedNpu::Slot slot_;
};

std::unique_ptr<xrt_core::buffer_handle> allocate(std::size_t bytes, std::uint64_t flags) {
    return std::make_unique<NpuBuffer>(bytes, flags);
}

class NpuContext final : public xrt_core::hwctx_handle {
public:
    explicit NpuContext(std::span<const std::byte> xclbin)
        : slot_(EmulatedNpu::instance().open_context(xclbin)), queue_(slot_) {}
    ~NpuContext() override { EmulatedNpu::instance().close_context(slot_); }

    std::uint32_t get_slotidx() const override { return slot_; }
    xrt_core::hwqueue_handle* get_hw_queue() override { return &queue_; }
    std::unique_ptr<xrt_core::buffer_handle> alloc_bo(void*, std::size_t, std::uint64_t) override {
        refuse("a buffer in the program's memory");
    }
    std::unique_ptr<xrt_core::buffer_handle> alloc_bo(std::size_t bytes, std::uint64_t flags) override {
        return allocate(bytes, flags);
    }
    xrt_core::cuidx_type open_cu_context(const std::string&) override { return {0}; }
    void close_cu_context(xrt_core::cuidx_type) override {}

private:
    EmulatedNpu::Slot slot_;
    NpuQueue queue_;
};

class NpuDevice final : public xrt_core::device {
public:
    NpuDevice(handle_type handle, id_type id) : device(id), handle_(handle) {}

    void close_device() override {}
    handle_type get_device_handle() const override { return handle_; }
    handle_type get_mgmt_handle() const override { return nullptr; }
    handle_type get_user_handle() const override { return handle_; }
    bool is_userpf() const override { return true; }

    std::unique_ptr<xrt_core::buffer_handle> alloc_bo(std::size_t bytes, std::uint64_t flags) override {
        return allocate(bytes, flags);
    }
    std::unique_ptr<xrt_core::buffer_handle> alloc_bo(void*, std::size_t, std::uint64_t) override {
        refuse("a buffer in the program's memory");
    }
    void register_xclbin(const xrt::xclbin& xclbin) const override {
        const axlf* top = xclbin.get_axlf();
        const auto* bytes = reinterpret_cast<const std::byte*>(top);
        const std::scoped_lock lock(mutex_);
        registered_[xclbin.get_uuid().to_string()].assign(bytes, bytes + top->m_header.m_length);
    }
    std::unique_ptr<xrt_core::hwctx_handle> create_hw_context(const xrt::uuid& xclbin,
                                                              const xrt::hw_context::cfg_param_type&,
                                                              xrt::hw_context::access_mode) const override {
        const std::scoped_lock lock(mutex_);
        return std::make_unique<NpuContext>(registered_.at(xclbin.to_string()));
    }

private:
    const xrt_core::query::request& lookup_query(xrt_core::query::key_type key) const override {
        throw xrt_core::query::no_such_key(key);
    }

    handle_type handle_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::vector<std::byte>> registered_;  // by uuid
};

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
        static auto& device = *new std::shared_ptr<xrt_core::device>(new NpuDevice(handle, id));
        return device;
    }
    std::shared_ptr<xrt_core::device> get_mgmtpf_device(unsigned) const override { refuse("management"); }
};

const NpuSystem the_system;

}  // namespace
}  // namespace npu_impl::xrt_emulation
