// A modelled timeline for people: as a trace for Perfetto or chrome://tracing, and as an SVG chart.
#pragma once

#include <span>
#include <string>

#include "npu_impl/layer_time.hpp"

namespace harness {

// Chrome's trace event format: one process `title`, one thread per lane of the device, complete events in
// microseconds. The text says that the times are modelled.
std::string chrome_trace(std::span<const npu_impl::LayerEvent> events, const std::string& title);

// One row per lane, time to the right, a colour per op. Events that are narrower than a pixel and touch are
// drawn as one.
std::string gantt_svg(std::span<const npu_impl::LayerEvent> events, const std::string& title);

// Where they go; empty: nowhere.
struct TimelineFiles {
    std::string trace;
    std::string gantt;

    [[nodiscard]] bool wanted() const { return !trace.empty() || !gantt.empty(); }
};

// Throws std::runtime_error that names the file.
void write_timelines(std::span<const npu_impl::LayerEvent> events, const std::string& title,
                     const TimelineFiles& files);

}  // namespace harness
