// A file as the checkpoint readers see it: bytes at offsets, and a ReadError for whatever goes wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "datasets/recording.hpp"

namespace datasets {

// An open regular file.
class CheckpointFile {
public:
    // Throws ReadError if it is no readable regular file.
    explicit CheckpointFile(std::string file);

    [[nodiscard]] const std::string& file() const { return file_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }

    // Fills `bytes` from `offset` on. Throws ReadError when the file ends before.
    void read(std::uint64_t offset, std::span<std::byte> bytes) const;

    [[nodiscard]] std::string read_text(std::uint64_t offset, std::size_t length) const;

    // Of the file as a whole, or of one object in it. Both texts may hold what stands in the file: they are
    // made printable, and cut where they are long.
    [[nodiscard]] ReadError error(const std::string& reason) const { return error("", reason); }
    [[nodiscard]] ReadError error(const std::string& object, const std::string& reason) const;

private:
    struct Descriptor;
    std::string file_;
    std::shared_ptr<const Descriptor> descriptor_;
    std::uint64_t size_ = 0;
};

}  // namespace datasets
