#include "datasets/recording_partial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

namespace datasets {
namespace {

std::string system_error(int code) {
    return std::generic_category().message(code);
}

// A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF". "" where it tells nothing.
std::string lock_holder(const struct stat& status) {
    const auto locked =
        fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number;
        std::string kind;
        std::string manner;
        std::string access;
        std::string process;
        std::string object;
        if (words >> number >> kind >> manner >> access >> process >> object && object == locked) {
            return fmt::format(" {}", process);
        }
    }
    return "";
}

bool is_same_file(int descriptor, const std::string& name) {
    struct stat opened {};
    struct stat named {};
    return fstat(descriptor, &opened) == 0 && stat(name.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Opens and locks the file of this name. The one who had it may have renamed or removed it in between. A
// holder that the system does not name any more is about to let go: a process that was just killed.
int open_locked(const std::string& name) {
    constexpr int most_tries = 50;
    for (int tries = 1;; ++tries) {
        constexpr mode_t mode = 0666;  // less the umask, like every file of a user
        const int descriptor = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode);
        if (descriptor < 0) {
            throw Refusal(fmt::format("cannot write into its folder: {}", system_error(errno)));
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            const int code = errno;
            struct stat status {};
            const auto holder = fstat(descriptor, &status) == 0 ? lock_holder(status) : std::string();
            close(descriptor);
            if (code == EWOULDBLOCK && holder.empty() && tries < most_tries) {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
                continue;
            }
            throw Refusal(
                code == EWOULDBLOCK
                    ? fmt::format("process{} is recording it; wait for its end, or name another file",
                                  holder.empty() ? " unknown here" : holder)
                    : fmt::format("cannot lock its temporary: {}", system_error(code)));
        }
        if (is_same_file(descriptor, name)) {
            return descriptor;
        }
        close(descriptor);
    }
}

Handle write_access() {
    Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "prepare to write it");
    require(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110), "prepare to write it");
    require(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "prepare to write it");
    // The lock is ours, on a descriptor that outlives HDF5's.
    require(H5Pset_file_locking(access.get(), false, true), "prepare to write it");
    H5AC_cache_config_t cache{};
    cache.version = H5AC__CURR_CACHE_CONFIG_VERSION;
    require(H5Pget_mdc_config(access.get(), &cache), "prepare to write it");
    cache.evictions_enabled = false;
    // HDF5 demands that a cache without evictions keeps its size.
    cache.incr_mode = H5C_incr__off;
    cache.flash_incr_mode = H5C_flash_incr__off;
    cache.decr_mode = H5C_decr__off;
    require(H5Pset_mdc_config(access.get(), &cache), "prepare to write it");
    return access;
}

// The bytes of a file, or the names in a folder, are on the disk when this returns.
void synchronise(const std::string& name, int flags) {
    const int descriptor = open(name.c_str(), flags | O_CLOEXEC);
    if (descriptor < 0 || fsync(descriptor) != 0) {
        const int code = errno;
        if (descriptor >= 0) {
            close(descriptor);
        }
        throw Refusal(fmt::format("cannot bring it to the disk: {}", system_error(code)));
    }
    close(descriptor);
}

}  // namespace

PartialFile::PartialFile(const std::string& file) : name_(file + ".partial") {
    if (file.empty()) {
        throw Refusal("cannot write a recording without a file name");
    }
    std::error_code ignored;
    const auto type = std::filesystem::status(file, ignored).type();
    if (type == std::filesystem::file_type::directory) {
        throw Refusal("is a folder; name a file");
    }
    if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::regular) {
        throw Refusal("is not a regular file, which a recording has to be");
    }
    descriptor_ = open_locked(name_);
    struct stat status {};
    was_begun_ = fstat(descriptor_, &status) == 0 && status.st_size > 0;
}

PartialFile::~PartialFile() {
    if (!is_kept_) {
        unlink(name_.c_str());
    }
    if (descriptor_ >= 0) {
        close(descriptor_);
    }
}

Handle PartialFile::create() const {
    return {H5Fcreate(name_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, write_access().get()), H5Fclose,
            "create it"};
}

Handle PartialFile::reopen() const {
    return {H5Fopen(name_.c_str(), H5F_ACC_RDWR, write_access().get()), H5Fclose, "open it for writing"};
}

void PartialFile::forget_lock() const {
    close(descriptor_);
}

void PartialFile::start_writing() const {
    sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void PartialFile::publish(const std::string& file) {
    synchronise(name_, O_RDONLY);
    if (std::rename(name_.c_str(), file.c_str()) != 0) {
        throw Refusal(fmt::format("cannot rename its temporary: {}", system_error(errno)));
    }
    is_kept_ = true;
    // Whoever reads it next shall not find it locked.
    close(std::exchange(descriptor_, -1));
    const auto folder = std::filesystem::path(file).parent_path();
    synchronise(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
}

}  // namespace datasets
