// The attributes of a recording's root and clips: dimensions and provenance, read, written and compared.
#pragma once

#include <hdf5.h>

#include <string>
#include <vector>

#include "datasets/recording.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {

inline RecordingShape shape_of(const RecordingInfo& info) {
    return {info.shape(), info.mels};
}

// The recorded layers, also where the writer leaves them empty for all.
std::vector<int> layers_of(const RecordingInfo& info);

// Reads everything but the clips. Throws Refusal for what the schema does not allow.
RecordingInfo read_root(hid_t file);

// Throws Refusal unless the recording was finished.
void verify_complete(hid_t file);

ClipInfo read_clip(hid_t file, const std::string& id, std::int64_t context);

// Throws std::invalid_argument for what the reader would refuse.
void verify_info(const RecordingInfo& info);

// Root attributes and an empty group for each clip. Throws Refusal.
void write_root(hid_t file, const RecordingInfo& info, const WriterOptions& options);

// Throws Refusal that names the first attribute in which the recording in `file`, which has the attributes
// `found`, is not the one to be written.
void verify_same_recording(hid_t file, const RecordingInfo& found, const RecordingInfo& wanted,
                           const WriterOptions& options);

}  // namespace datasets
