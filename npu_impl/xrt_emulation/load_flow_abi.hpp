// What of libxrt_coreutil's inside a device has to match: two abstract classes whose tables of virtual
// functions XRT calls by position. Version 2.13 as Debian 12 builds it.
//
// Sources: core/common/{ishim,device,system,query}.h of XRT's tag 202210.2.13.466. The order was compared
// with the relocations of the table of xrt_core::noop::device in Debian's libxrt_noop.so.2: 584 bytes, of
// which 21 entries are there because Debian builds with XRT_ENABLE_AIE. The sizes of the two classes are
// those that libxrt_coreutil allocates.
#pragma once

#include <ert.h>
#include <version.h>
#include <xclbin.h>
#include <xrt.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

static_assert(XRT_VERSION_CODE == XRT_VERSION(2, 13), "this is the inside of XRT 2.13, and of no other");

namespace xrt_core {

namespace query {

enum class key_type : int {};
struct request;
class reset_type;

// Thrown for whatever this device has no answer to; XRT's callers expect it.
class exception : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
class no_such_key : public exception {
public:
    explicit no_such_key(key_type key)
        : exception("No such query request (" + std::to_string(static_cast<int>(key)) + ")"), key_(key) {}

private:
    key_type key_;
};

}  // namespace query

struct ishim {
    virtual void close_device() = 0;
    virtual void open_context(const xuid_t xclbin, unsigned unit, bool shared) = 0;
    virtual void close_context(const xuid_t xclbin, unsigned unit) = 0;
    virtual xclBufferHandle alloc_bo(size_t bytes, unsigned flags) = 0;
    virtual xclBufferHandle alloc_bo(void* memory, size_t bytes, unsigned flags) = 0;
    virtual void free_bo(xclBufferHandle buffer) = 0;
    virtual xclBufferExportHandle export_bo(xclBufferHandle buffer) const = 0;
    virtual xclBufferHandle import_bo(xclBufferExportHandle handle) = 0;
    virtual void close_export_handle(xclBufferExportHandle handle) = 0;
    virtual xclBufferHandle import_bo(pid_t process, xclBufferExportHandle handle) = 0;
    virtual void copy_bo(xclBufferHandle to, xclBufferHandle from, size_t bytes, size_t to_offset,
                         size_t from_offset) = 0;
    virtual void sync_bo(xclBufferHandle buffer, xclBOSyncDirection direction, size_t bytes,
                         size_t offset) = 0;
    virtual void* map_bo(xclBufferHandle buffer, bool write) = 0;
    virtual void unmap_bo(xclBufferHandle buffer, void* address) = 0;
    virtual void get_bo_properties(xclBufferHandle buffer, xclBOProperties* properties) const = 0;
    virtual void reg_read(std::uint32_t unit, std::uint32_t offset, std::uint32_t* value) const = 0;
    virtual void reg_write(std::uint32_t unit, std::uint32_t offset, std::uint32_t value) = 0;
    virtual void xread(xclAddressSpace space, std::uint64_t offset, void* to, size_t bytes) const = 0;
    virtual void xwrite(xclAddressSpace space, std::uint64_t offset, const void* from, size_t bytes) = 0;
    virtual void unmgd_pread(void* to, size_t bytes, std::uint64_t offset) = 0;
    virtual void unmgd_pwrite(const void* from, size_t bytes, std::uint64_t offset) = 0;
    virtual void exec_buf(xclBufferHandle command) = 0;
    virtual int exec_wait(int timeout_ms) const = 0;
    virtual void load_axlf(const axlf* xclbin) = 0;
    virtual void reclock(const std::uint16_t* targets) = 0;
    virtual void p2p_enable(bool force) = 0;
    virtual void p2p_disable(bool force) = 0;
    virtual void set_cma(bool enable, std::uint64_t bytes) = 0;
    virtual void update_scheduler_status() = 0;
    virtual void user_reset(xclResetKind kind) = 0;
    virtual int open_ip_interrupt_notify(unsigned unit) = 0;
    virtual void close_ip_interrupt_notify(int handle) = 0;
    virtual void enable_ip_interrupt(int handle) = 0;
    virtual void disable_ip_interrupt(int handle) = 0;
    virtual void wait_ip_interrupt(int handle) = 0;
    virtual std::cv_status wait_ip_interrupt(int handle, std::int32_t timeout_ms) = 0;
    // Of graphs on the AI engines of other devices (XRT_ENABLE_AIE): 21 entries, never called for an NPU.
#define XRT_GRAPH_ENTRIES(X)                                                                            \
    X(0)                                                                                                \
    X(1)                                                                                                \
    X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) \
        X(20)
#define XRT_DECLARE_GRAPH_ENTRY(number) virtual void graph_entry_##number() = 0;
    XRT_GRAPH_ENTRIES(XRT_DECLARE_GRAPH_ENTRY)
#undef XRT_DECLARE_GRAPH_ENTRY

protected:
    ~ishim() = default;
};

class device : public ishim {
public:
    using id_type = unsigned;
    using handle_type = xclDeviceHandle;

    explicit device(id_type id);  // this, the destructor and register_axlf: in libxrt_coreutil
    virtual ~device();
    device(const device&) = delete;
    device& operator=(const device&) = delete;
    virtual handle_type get_device_handle() const = 0;
    virtual handle_type get_mgmt_handle() const = 0;
    virtual handle_type get_user_handle() const = 0;
    virtual bool is_userpf() const = 0;

private:
    virtual const query::request& lookup_query(query::key_type key) const = 0;

public:
    void register_axlf(const axlf* xclbin);
    virtual void get_info(void* tree) const = 0;
    virtual void read(std::uint64_t offset, void* to, std::uint64_t bytes) const = 0;
    virtual void write(std::uint64_t offset, const void* from, std::uint64_t bytes) const = 0;
    virtual void reset(query::reset_type& kind) const = 0;
    virtual void xclmgmt_load_xclbin(const char* file) const = 0;
    virtual int open(const std::string& subdevice, int flags) const = 0;
    virtual void close(int handle) const = 0;

private:
    alignas(8) unsigned char members_[112 - sizeof(void*)];
};
static_assert(sizeof(device) == 112, "the size of xrt_core::device in 2.13");

class system {
protected:
    system();  // in libxrt_coreutil: registers the one system of the process
    ~system() = default;

public:
    system(const system&) = delete;
    system& operator=(const system&) = delete;
    virtual void get_xrt_info(void* tree);
    virtual void get_os_info(void* tree);
    virtual void get_devices(void* tree) const;
    virtual device::id_type get_device_id(const std::string& name) const;  // in libxrt_coreutil
    virtual std::pair<device::id_type, device::id_type> get_total_devices(bool user) const = 0;
    virtual std::shared_ptr<device> get_userpf_device(device::id_type id) const = 0;
    virtual std::shared_ptr<device> get_userpf_device(device::handle_type handle,
                                                      device::id_type id) const = 0;
    virtual std::shared_ptr<device> get_mgmtpf_device(device::id_type id) const = 0;
    virtual int get_monitor_access_type() const { return 0; }
    virtual void program_plp(const device*, const std::vector<char>&, bool) const {}
    virtual void mem_read(const device*, long long, long long, const std::string&) const {}
    virtual void mem_write(const device*, long long, long long, unsigned) const {}
};
static_assert(sizeof(system) == sizeof(void*), "the size of xrt_core::system in 2.13");

inline void system::get_xrt_info(void*) {}
inline void system::get_os_info(void*) {}
inline void system::get_devices(void*) const {}

// In libxrt_coreutil: the device of a handle, made by system::get_userpf_device(handle, id) and kept.
std::shared_ptr<device> get_userpf_device(device::handle_type handle, device::id_type id);

}  // namespace xrt_core
