// A thin layer over the HDF5 C API: handles that close themselves, failures as exceptions that carry HDF5's
// own innermost reason, bf16 as an HDF5 type, and attributes.
#pragma once

#include <hdf5.h>

#include <concepts>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"

namespace datasets {

// Why an object cannot be taken or written, in a clause that follows the name of the object.
class Refusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// HDF5 was given no memory: no fault of the object by itself, though a damaged length may have asked for it.
class OutOfMemory : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Surrounds every use of HDF5: while it lives, HDF5 does not print its error stack on this thread (errors are
// reported by `Refusal`), and once one was made, HDF5 does not clean up when the process ends.
class LibraryScope {
public:
    LibraryScope();
    ~LibraryScope();
    LibraryScope(const LibraryScope&) = delete;
    LibraryScope& operator=(const LibraryScope&) = delete;

private:
    H5E_auto2_t function_ = nullptr;
    void* data_ = nullptr;
};

// Keeps the threads of this process apart where one of them forks: a child that is forked while another
// thread is inside HDF5 finds HDF5's own lock taken for ever. Held around such a fork, and by a thread that
// uses HDF5 in the background.
std::unique_lock<std::mutex> hold_library();

// Owns an HDF5 identifier.
class Handle {
public:
    using Close = herr_t (*)(hid_t);

    Handle() = default;
    // Throws Refusal "cannot <action>: <HDF5's reason>" if `id` is negative.
    Handle(hid_t id, Close how, std::string_view action);
    ~Handle();
    Handle(Handle&& other) noexcept;
    Handle& operator=(Handle&& other) noexcept;

    [[nodiscard]] hid_t get() const { return id_; }

    // Closes now. Throws Refusal if HDF5 cannot: for a file, its last blocks did not reach the disk.
    void close(std::string_view action);

private:
    hid_t id_ = H5I_INVALID_HID;
    Close close_ = nullptr;
};

// Closes a file that is being thrown away, whatever its disk does: HDF5 keeps a file whose close failed, and
// crashes on it when the process ends. From here on its blocks go to memory instead of the disk.
void abandon(Handle file);

// Throws Refusal "cannot <action>: <HDF5's reason>", the innermost on its error stack, or OutOfMemory.
[[noreturn]] void throw_hdf5_error(std::string_view action);

// Throws like that if `status` is negative; else returns it.
template <std::signed_integral Status>
Status require(Status status, std::string_view action) {
    if (status < 0) {
        throw_hdf5_error(action);
    }
    return status;
}

// bfloat16 as a custom little-endian float: sign bit 15, 8 exponent bits from bit 7 with bias 127, 7 fraction
// bits with an implied leading 1. The layout of HDF5 2.0's H5T_FLOAT_BFLOAT16LE; h5py and h5dump read it as
// numbers.
Handle bf16_type();

// The type of a dataset in the file, which is also the type in memory: HDF5 never converts (its own float ->
// bf16 rounds ties away from zero and saturates).
Handle stored_type(DType dtype);

// "float64", "int32 big-endian", ...: a type that is not accepted, for the reason line.
std::string describe_type(hid_t type);

// Names of the links of a group in name order. Refuses links that are not hard links, and more than
// `links_limit`.
std::vector<std::string> link_names(hid_t group);

// Opens an object by its absolute path. Throws Refusal if it is absent or of another kind.
Handle open_group(hid_t file, const std::string& object);
Handle open_dataset(hid_t file, const std::string& object);

// Makes a group and those above it that are not there yet.
Handle create_group(hid_t file, const std::string& object);

// Opens a group, or makes it.
Handle ensure_group(hid_t file, const std::string& object);

// Attributes of `object`. Reading throws Refusal if the attribute is absent, of another class or not of the
// expected number of elements; text must be one printable line.
bool has_attribute(hid_t object, const std::string& name);
std::string read_text(hid_t object, const std::string& name);
std::vector<std::int64_t> read_integers(hid_t object, const std::string& name, std::size_t count);
// Of 1 to `limit` elements.
std::vector<std::int64_t> read_integer_list(hid_t object, const std::string& name, std::size_t limit);
std::int64_t read_integer(hid_t object, const std::string& name);
std::uint64_t read_unsigned(hid_t object, const std::string& name);
double read_real(hid_t object, const std::string& name);

void write_text(hid_t object, const std::string& name, std::string_view value);
void write_integers(hid_t object, const std::string& name, const std::vector<std::int64_t>& values);
void write_integer(hid_t object, const std::string& name, std::int64_t value);
void write_unsigned(hid_t object, const std::string& name, std::uint64_t value);
void write_real(hid_t object, const std::string& name, double value);

}  // namespace datasets
