// Walking the layout of a recording: every link, group and dataset in it is verified, no values are read.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "datasets/recording.hpp"
#include "datasets/recording_dataset.hpp"
#include "datasets/recording_hdf5.hpp"

namespace datasets {

using Datasets = std::map<std::string, StoredDataset>;  // by absolute path

struct Layout {
    RecordingInfo info;
    Datasets datasets;
};

// Of a partial recording, layers and tensors of clips may be missing, but only as a whole.
enum class Extant : std::uint8_t { finished, partial };

// Runs `read`, and lets what goes wrong inside HDF5 or the checks be a ReadError about `object`.
template <typename Read>
auto reading(const std::string& file, const std::string& object, Read read) {
    try {
        return read();
    } catch (const Refusal& refusal) {
        throw ReadError(file, object, refusal.what());
    } catch (const std::bad_alloc&) {
        throw ReadError(file, object, "does not fit into the memory of this machine");
    }
}

// Throws Refusal for what is no HDF5 file, whose reasons HDF5 tells too little about. `mend` follows when
// there is no such file.
void verify_is_readable_file(const std::string& file, const std::string& mend);

// Opens it for reading, after nothing else has it open for writing, or (`unlocked`) without asking.
enum class Locking : std::uint8_t { asked, unlocked };
Handle open_file(const std::string& file, Locking locking = Locking::asked);

// `file` names it in messages. Throws ReadError.
Layout scan(const std::string& file, hid_t id, Extant extant);

// Opens and scans the file in a child process, which may crash. Throws Refusal if it does; what else goes
// wrong there is met again here. The child begins with `prepare`.
void try_scan(
    const std::string& file, Extant extant, Locking locking, const std::function<void()>& prepare = [] {});

}  // namespace datasets
