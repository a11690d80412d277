// What an NPU is handed at once: one launch, or, where XRT has run lists, a list of launches of one context.
// With xrt_device.cpp and xrt_session.* the home of XRT's headers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "npu_impl/xrt_session.hpp"

namespace npu_impl {

// A launch with its arguments. It keeps alive what the device may still write.
struct XrtLaunch {
    xrt::run run;
    std::string what;
    std::int64_t tiles = 0;
    std::vector<Buffer> buffers;
    std::vector<xrt::bo> memory;
};

class XrtSubmission {
public:
    // Starts the launches, at least one and at most most_launches_at_once, in order. Throws DeviceError;
    // nothing runs then.
    XrtSubmission(XrtContext& context, std::vector<XrtLaunch> launches);

    [[nodiscard]] const XrtContext& context() const { return *context_; }
    [[nodiscard]] const std::vector<XrtLaunch>& launches() const { return launches_; }

    struct Ending {
        std::size_t completed = 0;  // the first launches, so many
        std::string fault;          // empty: all of them; else one line that names the launch
        bool ended = true;          // false: something of it may still run
    };
    // Waits until all have ended, but no longer than the limit. What XRT throws is a fault.
    Ending wait(std::chrono::milliseconds limit);

    // Whether the device is done with it, well or badly; XRT takes note then.
    [[nodiscard]] bool has_ended() const;

private:
    Ending wait_for_one(std::chrono::milliseconds limit);

    XrtContext* context_;
    std::vector<XrtLaunch> launches_;
#ifdef HARNESS_XRT_RUN_LIST
    Ending wait_for_list(std::chrono::milliseconds limit);

    std::optional<xrt::runlist> list_;  // none: a launch alone
#endif
};

// Keeps submissions of lost contexts until their commands have ended, for longer than any device: XRT ends
// the process when a run is destroyed before.
void set_aside(std::deque<XrtSubmission>& submissions);

}  // namespace npu_impl
