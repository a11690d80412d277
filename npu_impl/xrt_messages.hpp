// What a library in this process logs to a file it is given the name of. The file is memory: nothing is left
// behind, and nobody else writes to it.
#pragma once

#include <string>

namespace npu_impl {

class MessageFile {
public:
    // Throws std::system_error.
    MessageFile();
    ~MessageFile();
    MessageFile(const MessageFile&) = delete;
    MessageFile& operator=(const MessageFile&) = delete;

    // To be opened by name, in this process.
    [[nodiscard]] std::string name() const;

    // The lines that came since the last call.
    [[nodiscard]] std::string take();

private:
    int descriptor_;
    long taken_ = 0;
};

}  // namespace npu_impl
