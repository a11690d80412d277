#include "npu_impl/device.hpp"

#include <algorithm>

namespace npu_impl {

void Device::fill(Buffer buffer, std::uint16_t word, std::int64_t offset, std::int64_t bytes) {
    std::fill_n(reinterpret_cast<std::uint16_t*>(map(buffer).data() + offset), bytes / 2, word);
    sync(buffer, Direction::to_device, offset, bytes);
}

}  // namespace npu_impl
