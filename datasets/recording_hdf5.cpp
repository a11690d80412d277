#include "datasets/recording_hdf5.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

// Attributes are small; a damaged size must not lead to a large allocation.
constexpr std::size_t text_limit = 65536;

struct InnermostError {
    std::string description;
    bool of_memory = false;
};

// Called by HDF5 from the innermost error outwards: keeps the first. Must not throw.
herr_t keep_innermost(unsigned depth, const H5E_error2_t* error, void* data) {
    if (depth != 0 || error->desc == nullptr) {
        return 0;
    }
    try {
        *static_cast<InnermostError*>(data) = {error->desc, error->maj_num == H5E_RESOURCE};
    } catch (const std::bad_alloc&) {
        return -1;
    }
    return 0;
}

struct Links {
    std::vector<std::string> names;
    std::string objection;
};

// Called by HDF5 for each link of a group. Must not throw; -1 ends the iteration.
herr_t keep_link(hid_t, const char* name, const H5L_info_t* info, void* data) {
    auto& links = *static_cast<Links*>(data);
    try {
        if (info->type != H5L_TYPE_HARD) {
            const auto kind = info->type == H5L_TYPE_SOFT       ? "a soft link"
                              : info->type == H5L_TYPE_EXTERNAL ? "an external link"
                                                                : "a user-defined link";
            links.objection = fmt::format("\"{}\" is {}; store the object itself in its place", name, kind);
            return -1;
        }
        if (std::ssize(links.names) >= links_limit) {
            links.objection = fmt::format("holds more than {} objects", links_limit);
            return -1;
        }
        links.names.emplace_back(name);
    } catch (const std::bad_alloc&) {
        return -1;
    }
    return 0;
}

Handle open_object(hid_t file, const std::string& object, H5I_type_t kind, std::string_view kind_name) {
    Handle handle(H5Oopen(file, object.c_str(), H5P_DEFAULT), H5Oclose, "open it");
    if (H5Iget_type(handle.get()) != kind) {
        throw Refusal(fmt::format("is not a {}", kind_name));
    }
    return handle;
}

struct Attribute {
    Handle handle;
    Handle type;
};

// Opens an attribute of `count` elements.
Attribute open_attribute(hid_t object, const std::string& name, std::size_t count) {
    if (!has_attribute(object, name)) {
        throw Refusal(fmt::format("attribute {} is missing", name));
    }
    const auto action = fmt::format("read attribute {}", name);
    Attribute attribute;
    attribute.handle = Handle(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, action);
    attribute.type = Handle(H5Aget_type(attribute.handle.get()), H5Tclose, action);
    const Handle space(H5Aget_space(attribute.handle.get()), H5Sclose, action);
    const auto elements = require(H5Sget_simple_extent_npoints(space.get()), action);
    if (std::cmp_not_equal(elements, count)) {
        throw Refusal(fmt::format("attribute {} has {} elements instead of {}", name, elements, count));
    }
    return attribute;
}

void read_numbers(hid_t object, const std::string& name, hid_t memory_type, std::size_t count, void* out) {
    const auto attribute = open_attribute(object, name, count);
    const auto type_class = H5Tget_class(attribute.type.get());
    const bool real_wanted = H5Tget_class(memory_type) == H5T_FLOAT;
    if (type_class != H5T_INTEGER && !(real_wanted && type_class == H5T_FLOAT)) {
        throw Refusal(fmt::format("attribute {} is not {}", name, real_wanted ? "a number" : "an integer"));
    }
    require(H5Aread(attribute.handle.get(), memory_type, out), fmt::format("read attribute {}", name));
}

std::string read_variable_text(const Attribute& attribute, const std::string& action) {
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose, action);
    require(H5Tset_size(memory.get(), H5T_VARIABLE), action);
    require(H5Tset_cset(memory.get(), H5Tget_cset(attribute.type.get())), action);
    char* text = nullptr;
    require(H5Aread(attribute.handle.get(), memory.get(), static_cast<void*>(&text)), action);
    const std::unique_ptr<char, herr_t (*)(void*)> owner(text, H5free_memory);
    return text == nullptr ? std::string() : std::string(text, strnlen(text, text_limit));
}

std::string read_fixed_text(const Attribute& attribute, const std::string& action) {
    const auto size = H5Tget_size(attribute.type.get());
    if (size == 0 || size > text_limit) {
        throw Refusal(fmt::format("cannot {}: a text of {} bytes", action, size));
    }
    std::string text(size, '\0');
    require(H5Aread(attribute.handle.get(), attribute.type.get(), text.data()), action);
    text.resize(strnlen(text.data(), text.size()));
    if (H5Tget_strpad(attribute.type.get()) == H5T_STR_SPACEPAD) {
        text.erase(text.find_last_not_of(' ') + 1);
    }
    return text;
}

void write_attribute(hid_t object, const std::string& name, hid_t type, const Handle& space,
                     const void* value) {
    const auto action = fmt::format("write attribute {}", name);
    const Handle attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                           H5Aclose, action);
    require(H5Awrite(attribute.get(), type, value), action);
}

Handle scalar() {
    return {H5Screate(H5S_SCALAR), H5Sclose, "make a scalar"};
}

}  // namespace

LibraryScope::LibraryScope() {
    // At the end of a process HDF5 1.10 crashes on a file whose close failed. Only heeded before its first
    // use.
    H5dont_atexit();
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

LibraryScope::~LibraryScope() {
    H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

std::unique_lock<std::mutex> hold_library() {
    // There is one HDF5 in a process, so there is one of these.
    static std::mutex library;
    return std::unique_lock(library);
}

Handle::Handle(hid_t id, Close how, std::string_view action) : id_(require(id, action)), close_(how) {}

Handle::~Handle() {
    if (id_ >= 0) {
        const LibraryScope quiet;
        close_(id_);
    }
}

Handle::Handle(Handle&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(std::exchange(other.close_, nullptr)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
}

void Handle::close(std::string_view action) {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    if (id >= 0) {
        require(close_(id), action);
    }
}

void abandon(Handle file) {
    const LibraryScope quiet;
    void* descriptor = nullptr;
    if (file.get() < 0 || H5Fget_vfd_handle(file.get(), H5P_DEFAULT, &descriptor) < 0) {
        return;
    }
    const int sink = memfd_create("abandoned recording", MFD_CLOEXEC);
    if (sink >= 0) {
        dup2(sink, *static_cast<const int*>(descriptor));
        close(sink);
    }
}

void throw_hdf5_error(std::string_view action) {
    InnermostError error;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &error);
    std::string& reason = error.description;
    // Of a failed system call HDF5 tells a page of addresses; what errno means is enough.
    constexpr std::string_view system_reason = "error message = '";
    if (const auto begin = reason.find(system_reason); begin != std::string::npos) {
        reason.erase(0, begin + system_reason.size());
        reason.erase(std::min(reason.find('\''), reason.size()));
    }
    while (reason.ends_with('.')) {
        reason.pop_back();
    }
    const auto text = fmt::format("cannot {}: {}", action, reason.empty() ? "HDF5 gives no reason" : reason);
    if (error.of_memory) {
        throw OutOfMemory(text);
    }
    throw Refusal(text);
}

Handle bf16_type() {
    Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "make the bf16 type");
    // The fields first: HDF5 refuses a size that does not hold the fields in force.
    require(H5Tset_fields(type.get(), 15, 7, 8, 0, 7), "make the bf16 type");
    require(H5Tset_size(type.get(), 2), "make the bf16 type");
    require(H5Tset_ebias(type.get(), 127), "make the bf16 type");
    return type;
}

Handle stored_type(DType dtype) {
    return dtype == DType::bf16 ? bf16_type()
                                : Handle(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "make the f32 type");
}

std::string describe_type(hid_t type) {
    const auto bits = 8 * H5Tget_size(type);
    const auto order = H5Tget_order(type) == H5T_ORDER_BE ? " big-endian" : "";
    switch (H5Tget_class(type)) {
        case H5T_FLOAT:
            return fmt::format("a {}-bit{} float with exponent bias {}", bits, order, H5Tget_ebias(type));
        case H5T_INTEGER:
            return fmt::format("a {}-bit{} integer", bits, order);
        case H5T_COMPOUND:
            return "a compound";
        case H5T_STRING:
            return "text";
        default:
            return "not a number";
    }
}

std::vector<std::string> link_names(hid_t group) {
    Links links;
    hsize_t position = 0;
    const auto status = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &position, keep_link, &links);
    if (!links.objection.empty()) {
        throw Refusal(links.objection);
    }
    require(status, "list its objects");
    return links.names;
}

Handle open_group(hid_t file, const std::string& object) {
    return open_object(file, object, H5I_GROUP, "group");
}

Handle open_dataset(hid_t file, const std::string& object) {
    return open_object(file, object, H5I_DATASET, "dataset");
}

Handle create_group(hid_t file, const std::string& object) {
    const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "prepare to create it");
    require(H5Pset_create_intermediate_group(links.get(), 1), "prepare to create it");
    require(H5Pset_char_encoding(links.get(), H5T_CSET_UTF8), "prepare to create it");
    return {H5Gcreate2(file, object.c_str(), links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose, "create it"};
}

Handle ensure_group(hid_t file, const std::string& object) {
    // A link may be asked for only where those above it are there.
    for (auto end = object.find('/', 1);; end = object.find('/', end + 1)) {
        if (require(H5Lexists(file, object.substr(0, end).c_str(), H5P_DEFAULT), "look for it") == 0) {
            return create_group(file, object);
        }
        if (end == std::string::npos) {
            return open_group(file, object);
        }
    }
}

bool has_attribute(hid_t object, const std::string& name) {
    return require(H5Aexists(object, name.c_str()), fmt::format("look for attribute {}", name)) > 0;
}

std::string read_text(hid_t object, const std::string& name) {
    const auto attribute = open_attribute(object, name, 1);
    if (H5Tget_class(attribute.type.get()) != H5T_STRING) {
        throw Refusal(fmt::format("attribute {} is not text", name));
    }
    const auto action = fmt::format("read attribute {}", name);
    auto text = require(H5Tis_variable_str(attribute.type.get()), action) > 0
                    ? read_variable_text(attribute, action)
                    : read_fixed_text(attribute, action);
    if (std::ranges::any_of(text, is_control)) {
        throw Refusal(fmt::format("attribute {} holds a control character", name));
    }
    return text;
}

std::vector<std::int64_t> read_integers(hid_t object, const std::string& name, std::size_t count) {
    std::vector<std::int64_t> values(count);
    read_numbers(object, name, H5T_NATIVE_INT64, count, values.data());
    return values;
}

std::vector<std::int64_t> read_integer_list(hid_t object, const std::string& name, std::size_t limit) {
    const auto action = fmt::format("read attribute {}", name);
    if (!has_attribute(object, name)) {
        throw Refusal(fmt::format("attribute {} is missing", name));
    }
    const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, action);
    const Handle space(H5Aget_space(attribute.get()), H5Sclose, action);
    const auto elements = require(H5Sget_simple_extent_npoints(space.get()), action);
    if (elements < 1 || std::cmp_greater(elements, limit)) {
        throw Refusal(fmt::format("attribute {} has {} elements, not 1..{}", name, elements, limit));
    }
    return read_integers(object, name, static_cast<std::size_t>(elements));
}

std::int64_t read_integer(hid_t object, const std::string& name) {
    return read_integers(object, name, 1)[0];
}

std::uint64_t read_unsigned(hid_t object, const std::string& name) {
    // HDF5 clips a negative value to 0 and a large one to the largest int64, so both readings are needed.
    std::uint64_t value = 0;
    read_numbers(object, name, H5T_NATIVE_UINT64, 1, &value);
    if (read_integer(object, name) < 0) {
        throw Refusal(fmt::format("attribute {} is negative", name));
    }
    return value;
}

double read_real(hid_t object, const std::string& name) {
    double value = 0;
    read_numbers(object, name, H5T_NATIVE_DOUBLE, 1, &value);
    return value;
}

void write_text(hid_t object, const std::string& name, std::string_view value) {
    const auto action = fmt::format("write attribute {}", name);
    // Of fixed length: a damaged text of variable length crashes HDF5 1.10. HDF5 has no text of size 0.
    const std::string terminated(value);
    const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, action);
    require(H5Tset_size(type.get(), terminated.size() + 1), action);
    require(H5Tset_cset(type.get(), H5T_CSET_UTF8), action);
    write_attribute(object, name, type.get(), scalar(), terminated.c_str());
}

void write_integers(hid_t object, const std::string& name, const std::vector<std::int64_t>& values) {
    const hsize_t size = values.size();
    const Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose,
                       fmt::format("write attribute {}", name));
    write_attribute(object, name, H5T_STD_I64LE, space, values.data());
}

void write_integer(hid_t object, const std::string& name, std::int64_t value) {
    write_attribute(object, name, H5T_STD_I64LE, scalar(), &value);
}

void write_unsigned(hid_t object, const std::string& name, std::uint64_t value) {
    write_attribute(object, name, H5T_STD_U64LE, scalar(), &value);
}

void write_real(hid_t object, const std::string& name, double value) {
    write_attribute(object, name, H5T_IEEE_F64LE, scalar(), &value);
}

}  // namespace datasets
