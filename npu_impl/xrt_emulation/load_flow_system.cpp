// Joins EmulatedNpu to XRT 2.13. Linked into a program, or loaded as XRT's driver, its one object registers
// itself as the system that XRT finds its devices in; XRT then looks for no driver.
#include <chrono>
#include <map>

#include "npu_impl/xrt_emulation/flow_system.hpp"

namespace npu_impl::xrt_emulation {
namespace {

void end_command(unsigned command, Outcome outcome, std::size_t) {
    set_state(command, outcome);
    Completions& completions = Completions::instance();
    {
        const std::scoped_lock lock(completions.mutex);
        ++completions.count;
    }
    completions.arrived.notify_all();
}

class NpuDevice final : public xrt_core::device {
public:
    NpuDevice(handle_type handle, id_type id) : device(id), handle_(handle) {}

    handle_type get_device_handle() const override { return handle_; }
    handle_type get_mgmt_handle() const override { return nullptr; }
    handle_type get_user_handle() const override { return handle_; }
    bool is_userpf() const override { return true; }
    void close_device() override {}

    void open_context(const xuid_t, unsigned, bool) override { npu_.open_context(); }
    void close_context(const xuid_t, unsigned) override { npu_.close_context(EmulatedNpu::loaded); }

    xclBufferHandle alloc_bo(size_t bytes, unsigned flags) override {
        flags_[npu_.allocate(bytes, kind_of(flags))] = flags;
        return flags_.rbegin()->first;
    }
    xclBufferHandle alloc_bo(void*, size_t, unsigned) override {
        refuse_entry("a buffer in the program's memory");
    }
    void free_bo(xclBufferHandle buffer) override {
        flags_.erase(buffer);
        npu_.release(buffer);
    }
    void sync_bo(xclBufferHandle buffer, xclBOSyncDirection direction, size_t bytes, size_t offset) override {
        if (direction == XCL_BO_SYNC_BO_TO_DEVICE) {
            npu_.send(buffer, offset, bytes);
        } else {
            npu_.fetch(buffer, offset, bytes);
        }
    }
    void* map_bo(xclBufferHandle buffer, bool) override { return npu_.host(buffer); }
    void unmap_bo(xclBufferHandle, void*) override {}
    void get_bo_properties(xclBufferHandle buffer, xclBOProperties* properties) const override {
        properties->handle = buffer;
        properties->flags = flags_.at(buffer);
        properties->size = npu_.size(buffer);
        properties->paddr = npu_.address(buffer);
    }

    void exec_buf(xclBufferHandle command) override {
        const EmulatedNpu::Registers registers = registers_of(command);
        npu_.submit(EmulatedNpu::loaded, command, {&registers, 1}, end_command);
    }
    int exec_wait(int timeout_ms) const override {
        Completions& completions = Completions::instance();
        std::unique_lock lock(completions.mutex);
        const std::chrono::milliseconds limit(timeout_ms < 0 ? 1000 : timeout_ms);
        if (!completions.arrived.wait_for(lock, limit, [&] { return completions.count > 0; })) {
            return 0;
        }
        --completions.count;
        return 1;
    }

    void load_axlf(const axlf* xclbin) override {
        npu_.load({reinterpret_cast<const std::byte*>(xclbin), xclbin->m_header.m_length});
        register_axlf(xclbin);
    }

    xclBufferExportHandle export_bo(xclBufferHandle) const override { refuse_entry("export"); }
    xclBufferHandle import_bo(xclBufferExportHandle) override { refuse_entry("import"); }
    xclBufferHandle import_bo(pid_t, xclBufferExportHandle) override { refuse_entry("import"); }
    void close_export_handle(xclBufferExportHandle) override {}
    void copy_bo(xclBufferHandle, xclBufferHandle, size_t, size_t, size_t) override {
        refuse_entry("a copy");
    }
    void reg_read(std::uint32_t, std::uint32_t, std::uint32_t*) const override { refuse_entry("a register"); }
    void reg_write(std::uint32_t, std::uint32_t, std::uint32_t) override { refuse_entry("a register"); }
    void xread(xclAddressSpace, std::uint64_t, void*, size_t) const override { refuse_entry("a raw read"); }
    void xwrite(xclAddressSpace, std::uint64_t, const void*, size_t) override { refuse_entry("a raw write"); }
    void unmgd_pread(void*, size_t, std::uint64_t) override { refuse_entry("a raw read"); }
    void unmgd_pwrite(const void*, size_t, std::uint64_t) override { refuse_entry("a raw write"); }
    void reclock(const std::uint16_t*) override {}
    void p2p_enable(bool) override {}
    void p2p_disable(bool) override {}
    void set_cma(bool, std::uint64_t) override {}
    void update_scheduler_status() override {}
    void user_reset(xclResetKind) override {}
    int open_ip_interrupt_notify(unsigned) override { refuse_entry("an interrupt"); }
    void close_ip_interrupt_notify(int) override { refuse_entry("an interrupt"); }
    void enable_ip_interrupt(int) override { refuse_entry("an interrupt"); }
    void disable_ip_interrupt(int) override { refuse_entry("an interrupt"); }
    void wait_ip_interrupt(int) override { refuse_entry("an interrupt"); }
    std::cv_status wait_ip_interrupt(int, std::int32_t) override { refuse_entry("an interrupt"); }
#define XRT_REFUSE_GRAPH_ENTRY(number)     \
    void graph_entry_##number() override { \
        refuse_entry("a graph");           \
    }
    XRT_GRAPH_ENTRIES(XRT_REFUSE_GRAPH_ENTRY)
#undef XRT_REFUSE_GRAPH_ENTRY
    void get_info(void*) const override {}
    void read(std::uint64_t, void*, std::uint64_t) const override {}
    void write(std::uint64_t, const void*, std::uint64_t) const override {}
    void reset(xrt_core::query::reset_type&) const override {}
    void xclmgmt_load_xclbin(const char*) const override {
        refuse_entry("a management xclbin");
    }
    int open(const std::string&, int) const override {
        refuse_entry("a subdevice");
    }
    void close(int) const override {}

private:
    const xrt_core::query::request& lookup_query(xrt_core::query::key_type key) const override {
        throw xrt_core::query::no_such_key(key);
    }

    EmulatedNpu& npu_ = EmulatedNpu::instance();
    handle_type handle_;
    std::map<unsigned, unsigned> flags_;  // by buffer
};

const NpuSystem<NpuDevice> the_system;

}  // namespace
}  // namespace npu_impl::xrt_emulation
