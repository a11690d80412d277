// libFuzzer target: any bytes are a recording or a ReadError, whatever HDF5 does with them. HDF5 1.10 itself
// crashes on damaged files, which the constructor's trial in a child process must survive; so the target goes
// through the constructor, and is as slow as a fork.
#include "datasets/fuzz_file.hpp"
#include "datasets/recording.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const datasets::FuzzFile file(data, size);
    try {
        const datasets::Recording recording(file.name());
        const datasets::RecordingInfo& info = recording.info();
        if (info.clips.empty() || info.layers < 1 || recording.content_sha256().size() != 64) {
            std::abort();
        }
        (void)recording.layer(info.clips.front().id, 0);
    } catch (const datasets::ReadError&) {
        return 0;  // the other allowed end
    }
    return 0;
}
