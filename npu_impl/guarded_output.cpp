#include "npu_impl/guarded_output.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "npu_impl/tile_plan.hpp"

namespace npu_impl {
namespace {

constexpr std::int64_t chunk_words = 1 << 17;

std::uint16_t* words(Device& device, Buffer buffer, std::int64_t offset) {
    return reinterpret_cast<std::uint16_t*>(device.map(buffer).data() + offset);
}

}  // namespace

std::int64_t moved_bytes(const GuardedOutput& output) {
    return output.written.bytes + guard_bytes;
}

void poison(Device& device, const GuardedOutput& output, Reader reader) {
    const auto [begin, bytes] = output.written;
    if (reader == Reader::device) {
        device.fill(output.buffer, poison_word, begin, bytes);
    } else {
        std::uint16_t* first = words(device, output.buffer, begin);
        const std::int64_t count = bytes / 2;
        tbb::parallel_for(std::int64_t{0}, (count + chunk_words - 1) / chunk_words, [&](std::int64_t chunk) {
            const std::int64_t at = chunk * chunk_words;
            std::fill_n(first + at, std::min(chunk_words, count - at), poison_word);
        });
        device.sync(output.buffer, Direction::to_device, begin, bytes);
    }
    std::fill_n(words(device, output.buffer, output.guard_begin), guard_bytes / 2, guard_word);
    device.sync(output.buffer, Direction::to_device, output.guard_begin, guard_bytes);
}

void fetch(Device& device, const GuardedOutput& output, Reader reader, std::string_view what) {
    if (reader == Reader::host) {
        device.sync(output.buffer, Direction::from_device, output.written.begin, output.written.bytes);
    }
    device.sync(output.buffer, Direction::from_device, output.guard_begin, guard_bytes);
    const std::uint16_t* guard = words(device, output.buffer, output.guard_begin);
    const std::uint16_t* end = guard + guard_bytes / 2;
    const auto* broken = std::find_if(guard, end, [](std::uint16_t word) { return word != guard_word; });
    if (broken != end) {
        throw IntegrityError(
            fmt::format("{}: wrote {} bytes past its output", what, (broken - guard) * 2 + 2));
    }
}

}  // namespace npu_impl
