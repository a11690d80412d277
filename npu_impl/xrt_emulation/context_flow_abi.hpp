// What of libxrt_coreutil's inside a device with hardware contexts has to match: abstract classes whose
// tables of virtual functions XRT calls by position. Version 2.25 as Debian 13 (backports) builds it.
//
// Sources: core/common/{device,ishim,system,query,cuidx_type}.h and core/common/shim/*.h of XRT. Every
// position was compared with the tables in Debian's libraries: xrt_core::device (65 entries) and
// xrt_core::system (10) in libxrt_coreutil, shim_xdna::hwctx, ::hwq and ::buffer in libxrt_driver_xdna.
// Entries that XRT does not call for an NPU have numbers for names, and refuse.
#pragma once

#include <xrt/detail/version-slim.h>
#include <xrt/detail/xclbin.h>
#include <xrt/experimental/xrt_xclbin.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_uuid.h>

#include <any>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

static_assert(XRT_VERSION_CODE == XRT_VERSION(2, 25), "this is the inside of XRT 2.25, and of no other");

namespace xrt_core {

class device;

#define XRT_UNUSED_ENTRY(number)                                              \
    virtual void unused_##number() {                                          \
        throw std::logic_error("an entry that XRT does not call for an NPU"); \
    }

namespace query {

// Numbers of the questions that this device answers: their places in the list of query_requests.h.
enum class key_type : int { device_class = 12, rom_vbnv = 16, total_cols = 76, performance_mode = 240 };

// An answer is looked up by key, then got. Arguments, and whatever is put, are refused.
struct request {
    enum class modifier { subdev, entry };

    virtual ~request() = default;
    virtual std::any get(const device*) const = 0;
    virtual std::any get(const device*, const std::any&) const { refuse(); }
    virtual std::any get(const device*, const std::any&, const std::any&) const { refuse(); }
    virtual std::any get(const device*, modifier, const std::string&) const { refuse(); }
    virtual std::any get(const device*, const std::any&, const std::any&, const std::any&) const { refuse(); }
    virtual void put(const device*, const std::any&) const { refuse(); }
    virtual void put(const device*, const std::any&, const std::any&) const { refuse(); }

private:
    [[noreturn]] static void refuse() { throw std::runtime_error("a question with arguments"); }
};

// The type of the answer to `device_class`.
struct device_class {
    enum class type { alveo, ryzen };
};

// Thrown for whatever this device has no answer to; XRT's callers expect it.
class exception : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
class no_such_key : public exception {
public:
    explicit no_such_key(key_type key) : exception("No such query request"), key_(key) {}

private:
    key_type key_;
};

}  // namespace query

struct cuidx_type {
    std::uint32_t index;
};

class shared_handle;

class buffer_handle {
public:
    enum class map_type { read, write };
    enum class direction { host2device = 0, device2host = 1 };
    struct properties {
        std::uint64_t flags;
        std::uint64_t size;
        std::uint64_t paddr;
        std::uint64_t kmhdl;
    };

    virtual ~buffer_handle() = default;
    XRT_UNUSED_ENTRY(2)
    virtual void* map(map_type type) = 0;
    virtual void unmap(void* address) = 0;
    virtual void sync(direction way, std::size_t bytes, std::size_t offset) = 0;
    XRT_UNUSED_ENTRY(6)
    virtual properties get_properties() const = 0;
    virtual unsigned get_xcl_handle() const = 0;
    virtual void bind_at(std::size_t, const buffer_handle*, std::size_t, std::size_t) {}
    virtual void reset() {}
    XRT_UNUSED_ENTRY(11)
    XRT_UNUSED_ENTRY(12)
    XRT_UNUSED_ENTRY(13)
    XRT_UNUSED_ENTRY(14)
};

class hwqueue_handle {
public:
    virtual ~hwqueue_handle() = default;
    virtual void submit_command(buffer_handle* command) = 0;
    virtual int poll_command(buffer_handle* command) const = 0;
    virtual int wait_command(buffer_handle* command, std::uint32_t timeout_ms) const = 0;
    XRT_UNUSED_ENTRY(5)
    XRT_UNUSED_ENTRY(6)
    XRT_UNUSED_ENTRY(7)
    XRT_UNUSED_ENTRY(8)
};

class hwctx_handle {
public:
    virtual ~hwctx_handle() = default;
    virtual void update_qos(const xrt::hw_context::cfg_param_type&) {}
    virtual void update_access_mode(xrt::hw_context::access_mode) {}
    virtual std::uint32_t get_slotidx() const = 0;
    XRT_UNUSED_ENTRY(5)
    virtual hwqueue_handle* get_hw_queue() = 0;
    virtual std::unique_ptr<buffer_handle> alloc_bo(void* memory, std::size_t bytes, std::uint64_t flags) = 0;
    virtual std::unique_ptr<buffer_handle> alloc_bo(std::size_t bytes, std::uint64_t flags) = 0;
    XRT_UNUSED_ENTRY(9)
    virtual cuidx_type open_cu_context(const std::string& name) = 0;
    virtual void close_cu_context(cuidx_type unit) = 0;
    XRT_UNUSED_ENTRY(12)
    XRT_UNUSED_ENTRY(13)
    XRT_UNUSED_ENTRY(14)
    XRT_UNUSED_ENTRY(15)
    XRT_UNUSED_ENTRY(16)
    XRT_UNUSED_ENTRY(17)
    XRT_UNUSED_ENTRY(18)
};

class device {
public:
    using id_type = unsigned;
    using handle_type = void*;

    explicit device(id_type id);  // this and the destructor: in libxrt_coreutil
    device(const device&) = delete;
    device& operator=(const device&) = delete;

    virtual void close_device() = 0;
    virtual void open_context(const xrt::uuid&, unsigned, bool) {}
    virtual void close_context(const xrt::uuid&, unsigned) {}
    XRT_UNUSED_ENTRY(3)
    XRT_UNUSED_ENTRY(4)
    XRT_UNUSED_ENTRY(5)
    XRT_UNUSED_ENTRY(6)
    XRT_UNUSED_ENTRY(7)
    XRT_UNUSED_ENTRY(8)
    XRT_UNUSED_ENTRY(9)
    XRT_UNUSED_ENTRY(10)
    XRT_UNUSED_ENTRY(11)
    XRT_UNUSED_ENTRY(12)
    XRT_UNUSED_ENTRY(13)
    XRT_UNUSED_ENTRY(14)
    XRT_UNUSED_ENTRY(15)
    XRT_UNUSED_ENTRY(16)
    XRT_UNUSED_ENTRY(17)
    XRT_UNUSED_ENTRY(18)
    XRT_UNUSED_ENTRY(19)
    XRT_UNUSED_ENTRY(20)
    virtual std::unique_ptr<buffer_handle> alloc_bo(std::size_t bytes, std::uint64_t flags) = 0;
    virtual std::unique_ptr<buffer_handle> alloc_bo(void* memory, std::size_t bytes, std::uint64_t flags) = 0;
    XRT_UNUSED_ENTRY(23)
    XRT_UNUSED_ENTRY(24)
    XRT_UNUSED_ENTRY(25)
    virtual std::unique_ptr<hwctx_handle> create_hw_context(const xrt::uuid& xclbin,
                                                            const xrt::hw_context::cfg_param_type& settings,
                                                            xrt::hw_context::access_mode mode) const = 0;
    XRT_UNUSED_ENTRY(27)
    XRT_UNUSED_ENTRY(28)
    virtual void register_xclbin(const xrt::xclbin& xclbin) const = 0;
    XRT_UNUSED_ENTRY(30)
    XRT_UNUSED_ENTRY(31)
    XRT_UNUSED_ENTRY(32)
    XRT_UNUSED_ENTRY(33)
    XRT_UNUSED_ENTRY(34)
    XRT_UNUSED_ENTRY(35)
    XRT_UNUSED_ENTRY(36)
    XRT_UNUSED_ENTRY(37)
    XRT_UNUSED_ENTRY(38)
    XRT_UNUSED_ENTRY(39)
    XRT_UNUSED_ENTRY(40)
    XRT_UNUSED_ENTRY(41)
    XRT_UNUSED_ENTRY(42)
    XRT_UNUSED_ENTRY(43)
    XRT_UNUSED_ENTRY(44)
    XRT_UNUSED_ENTRY(45)
    XRT_UNUSED_ENTRY(46)
    XRT_UNUSED_ENTRY(47)
    virtual ~device();
    virtual handle_type get_device_handle() const = 0;
    virtual handle_type get_mgmt_handle() const = 0;
    virtual handle_type get_user_handle() const = 0;
    virtual bool is_userpf() const = 0;

private:
    virtual const query::request& lookup_query(query::key_type key) const = 0;

public:
    XRT_UNUSED_ENTRY(55)
    XRT_UNUSED_ENTRY(56)
    XRT_UNUSED_ENTRY(57)
    XRT_UNUSED_ENTRY(58)
    XRT_UNUSED_ENTRY(59)
    XRT_UNUSED_ENTRY(60)
    XRT_UNUSED_ENTRY(61)
    XRT_UNUSED_ENTRY(62)
    XRT_UNUSED_ENTRY(63)
    XRT_UNUSED_ENTRY(64)

private:
    // XRT's own members, fewer than these (about 450 bytes): its constructor fills them.
    alignas(16) unsigned char members_[2048];
};

class system {
protected:
    system();  // in libxrt_coreutil: registers the one system of the process
    ~system() = default;

public:
    system(const system&) = delete;
    system& operator=(const system&) = delete;
    virtual void get_driver_info(void*) {}
    virtual void get_devices(void*) const {}
    virtual device::id_type get_device_id(const std::string& name) const;  // in libxrt_coreutil
    virtual std::tuple<std::uint16_t, std::uint16_t, std::uint16_t, std::uint16_t> get_bdf_info(
        device::id_type, bool) const {
        return {0, 0, 0, 0};
    }
    virtual std::pair<device::id_type, device::id_type> get_total_devices(bool user) const = 0;
    virtual std::shared_ptr<device> get_userpf_device(device::id_type id) const = 0;
    virtual std::shared_ptr<device> get_userpf_device(device::handle_type handle,
                                                      device::id_type id) const = 0;
    virtual std::shared_ptr<device> get_mgmtpf_device(device::id_type id) const = 0;
    virtual int get_monitor_access_type() const { return 0; }
    XRT_UNUSED_ENTRY(9)
};

#undef XRT_UNUSED_ENTRY

// In libxrt_coreutil: the device of a handle, made by system::get_userpf_device(handle, id) and kept.
std::shared_ptr<device> get_userpf_device(device::handle_type handle, device::id_type id);

}  // namespace xrt_core
