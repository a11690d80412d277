// Where a duration comes from, and what the calls of a device took. A number carries its clock to the last
// line printed.
#pragma once

#include <cstdint>
#include <string_view>

namespace datasets {

enum class Clock : std::uint8_t {
    none,            // no time: the emulated device has no clock
    host_wall,       // measured wall time of this host
    host_share,      // measured: share of a block's wall time by summed task time
    device_wall,     // measured by the host around the calls of an NPU
    emulation_wall,  // the same around an NPU that is emulated: says nothing of any NPU
    modelled,        // computed by the cost model
};

std::string_view name(Clock clock);

// Wall time of the host inside the calls of a device, and what came of them. What the host packs, unpacks and
// adds up between calls is no part of it.
struct DeviceTime {
    double submit_seconds = 0;       // arguments set, launches handed over, contexts opened
    double wait_seconds = 0;         // until launches have ended
    double to_device_seconds = 0;    // transfers, poison and guard zones among them
    double from_device_seconds = 0;  // likewise
    std::int64_t submissions = 0;    // single launches and lists of them
    std::int64_t switches = 0;       // launches in another context than the one before

    [[nodiscard]] double total_seconds() const {
        return submit_seconds + wait_seconds + to_device_seconds + from_device_seconds;
    }
    DeviceTime& operator+=(const DeviceTime& other) { return add(other, 1); }
    DeviceTime& operator-=(const DeviceTime& other) { return add(other, -1); }
    friend DeviceTime operator-(DeviceTime a, const DeviceTime& b) { return a -= b; }

    bool operator==(const DeviceTime&) const = default;

private:
    DeviceTime& add(const DeviceTime& other, int sign) {
        submit_seconds += sign * other.submit_seconds;
        wait_seconds += sign * other.wait_seconds;
        to_device_seconds += sign * other.to_device_seconds;
        from_device_seconds += sign * other.from_device_seconds;
        submissions += sign * other.submissions;
        switches += sign * other.switches;
        return *this;
    }
};

}  // namespace datasets
