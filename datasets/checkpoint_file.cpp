#include "datasets/checkpoint_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace datasets {
namespace {

std::string system_reason(int error) {
    return std::generic_category().message(error);
}

constexpr std::size_t longest_object = 120;
constexpr std::size_t longest_reason = 600;

// One printable line of at most `longest` bytes.
std::string one_line(std::string text, std::size_t longest) {
    if (text.size() > longest) {
        text.resize(longest);
        text += "...";
    }
    for (char& character : text) {
        if (static_cast<unsigned char>(character) < 0x20 || character == 0x7F) {
            character = '?';
        }
    }
    return text;
}

}  // namespace

struct CheckpointFile::Descriptor {
    explicit Descriptor(int opened) : number(opened) {}
    ~Descriptor() { close(number); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number;
};

CheckpointFile::CheckpointFile(std::string file) : file_(std::move(file)) {
    // Not blocking, so that a pipe without a writer is refused below instead of waited for.
    const int number = open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (number < 0) {
        throw error(fmt::format("cannot be opened: {}", system_reason(errno)));
    }
    descriptor_ = std::make_shared<const Descriptor>(number);
    struct stat status {};
    if (fstat(number, &status) != 0) {
        throw error(fmt::format("cannot be read: {}", system_reason(errno)));
    }
    if (!S_ISREG(status.st_mode)) {
        throw error("is not a regular file");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
}

ReadError CheckpointFile::error(const std::string& object, const std::string& reason) const {
    return {file_, one_line(object, longest_object), one_line(reason, longest_reason)};
}

void CheckpointFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
        const ssize_t count =
            pread(descriptor_->number, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            throw error(fmt::format("cannot be read: {}", system_reason(errno)));
        }
        if (count == 0) {
            throw error(fmt::format("ends at byte {}, in the middle of what it announces", offset));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

std::string CheckpointFile::read_text(std::uint64_t offset, std::size_t length) const {
    std::string text(length, '\0');
    read(offset, std::as_writable_bytes(std::span(text)));
    return text;
}

}  // namespace datasets
