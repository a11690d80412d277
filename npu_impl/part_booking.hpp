// Books to a part of a run what the device counts, and what its calls take, while some work runs.
#pragma once

#include "datasets/path.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

template <typename Work>
void book(const Device& device, datasets::Part& part, Work work) {
    const Counters before = device.counters();
    const datasets::DeviceTime time_before = device.time();
    work();
    const Counters after = device.counters();
    part.launches += after.launches - before.launches;
    part.tiles += after.tiles - before.tiles;
    part.bytes += after.bytes_to_device - before.bytes_to_device;
    part.bytes += after.bytes_from_device - before.bytes_from_device;
    part.clock = device.clock();
    part.device += device.time() - time_before;
    part.seconds = part.device.total_seconds();
}

}  // namespace npu_impl
