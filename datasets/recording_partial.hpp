// The temporary beside a recording that is being written: locked, created or opened again, and in the end
// renamed, kept or removed.
#pragma once

#include <string>

#include "datasets/recording_hdf5.hpp"

namespace datasets {

class PartialFile {
public:
    // Takes `<file>.partial`, whether it is there or not. Throws Refusal if it cannot be written or another
    // process has it, and that by its process id.
    explicit PartialFile(const std::string& file);
    ~PartialFile();
    PartialFile(const PartialFile&) = delete;
    PartialFile& operator=(const PartialFile&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }

    // Whether it held something when it was taken.
    [[nodiscard]] bool was_begun() const { return was_begun_; }

    // Empty, or as it is, for writing. HDF5 keeps its structure in memory between flushes, so that what is in
    // the file is always the structure of the last flush. Throws Refusal.
    [[nodiscard]] Handle create() const;
    [[nodiscard]] Handle reopen() const;

    // From now on it outlives this object.
    void keep() { is_kept_ = true; }

    // In a child process: its parent may be killed, and then shall not live on as the holder of the lock.
    void forget_lock() const;

    // Asks the system to begin writing to the disk what is in the file, so that publish() need not wait for
    // all of it. A hint: nothing follows from it.
    void start_writing() const;

    // Brings it to the disk and gives it the name of the recording. Throws Refusal.
    void publish(const std::string& file);

private:
    std::string name_;
    int descriptor_ = -1;  // has the lock
    bool was_begun_ = false;
    bool is_kept_ = false;
};

}  // namespace datasets
