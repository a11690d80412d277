// Joins EmulatedNpu to XRT 2.25: devices, hardware contexts, their queues, buffers. Linked into a program, or
// loaded before it, its one object registers itself as the system that XRT finds its devices in; XRT then
// looks for no driver.
#include <any>
#include <atomic>
#include <chrono>
#include <map>
#include <vector>

#include "npu_impl/xrt_emulation/flow_system.hpp"

namespace npu_impl::xrt_emulation {
namespace {

// Of a list of runs the command says how it ended and which run failed; the states of its runs stay as they
// were (XRT: they are to be ignored).
void end_command(unsigned command, Outcome outcome, std::size_t failed) {
    Completions& completions = Completions::instance();
    {
        const std::scoped_lock lock(completions.mutex);
        if (ert_packet* packet = packet_of(command); packet->opcode == ERT_CMD_CHAIN) {
            get_ert_cmd_chain_data(packet)->error_index = static_cast<std::uint32_t>(failed);
        }
        set_state(command, outcome);
    }
    completions.arrived.notify_all();
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

// The number of a context's one unit, among as many as a packet's first mask tells apart.
std::uint32_t unit_of(EmulatedNpu::Slot slot) {
    return slot % 32;
}

class NpuQueue final : public xrt_core::hwqueue_handle {
public:
    explicit NpuQueue(EmulatedNpu::Slot slot) : slot_(slot) {}

    void submit_command(xrt_core::buffer_handle* command) override {
        const unsigned handle = command->get_xcl_handle();
        std::vector<EmulatedNpu::Registers> runs;
        if (ert_packet* packet = packet_of(handle); packet->opcode == ERT_CMD_CHAIN) {
            const ert_cmd_chain_data* list = get_ert_cmd_chain_data(packet);
            for (std::uint32_t i = 0; i < list->command_count; ++i) {
                runs.push_back(own_registers(static_cast<unsigned>(list->data[i])));
            }
        } else {
            runs.push_back(own_registers(handle));
        }
        EmulatedNpu::instance().submit(slot_, handle, runs, end_command);
    }
    int poll_command(xrt_core::buffer_handle* command) const override { return has_ended(command) ? 1 : 0; }
    int wait_command(xrt_core::buffer_handle* command, std::uint32_t timeout_ms) const override {
        Completions& completions = Completions::instance();
        std::unique_lock lock(completions.mutex);
        const auto ended = [&] { return has_ended(command); };
        if (timeout_ms == 0) {
            completions.arrived.wait(lock, ended);
            return 1;
        }
        return completions.arrived.wait_for(lock, std::chrono::milliseconds(timeout_ms), ended) ? 1 : 0;
    }

private:
    // Of a run whose kernel is of this queue's context: its unit is the context's own.
    [[nodiscard]] EmulatedNpu::Registers own_registers(unsigned run) const {
        const auto* packet = reinterpret_cast<const ert_start_kernel_cmd*>(packet_of(run));
        if (packet->cu_mask != 1U << unit_of(slot_)) {
            EmulatedNpu::instance().report_violation("a run of a kernel of another context");
        }
        return registers_of(run);
    }
    static bool has_ended(const xrt_core::buffer_handle* command) {
        const std::uint32_t header =
            __atomic_load_n(&packet_of(command->get_xcl_handle())->header, __ATOMIC_ACQUIRE);
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
        refuse_entry("a buffer in the program's memory");
    }
    std::unique_ptr<xrt_core::buffer_handle> alloc_bo(std::size_t bytes, std::uint64_t flags) override {
        return allocate(bytes, flags);
    }
    xrt_core::cuidx_type open_cu_context(const std::string&) override { return {unit_of(slot_)}; }
    void close_cu_context(xrt_core::cuidx_type) override {}

private:
    EmulatedNpu::Slot slot_;
    NpuQueue queue_;
};

template <typename Value>
class Answer final : public xrt_core::query::request {
public:
    explicit Answer(Value value) : value_(std::move(value)) {}
    std::any get(const xrt_core::device*) const override { return value_; }

private:
    Value value_;
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
        refuse_entry("a buffer in the program's memory");
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
        using Key = xrt_core::query::key_type;
        constexpr std::uint32_t balanced = 2;
        // Never destroyed: XRT's static objects ask until the very end.
        static const auto& kind = *new Answer(xrt_core::query::device_class::type::ryzen);
        static const auto& name = *new Answer(std::string(EmulatedNpu::name));
        static const auto& columns = *new Answer(std::uint32_t{4});
        static const auto& mode = *new Answer(balanced);
        switch (key) {
            case Key::device_class:
                return kind;
            case Key::rom_vbnv:
                return name;
            case Key::total_cols:
                return columns;
            case Key::performance_mode:
                return mode;
        }
        throw xrt_core::query::no_such_key(key);
    }

    handle_type handle_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::vector<std::byte>> registered_;  // by uuid
};

const NpuSystem<NpuDevice> the_system;

}  // namespace
}  // namespace npu_impl::xrt_emulation
