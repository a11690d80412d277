#include "harness/timeline_export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "harness/atomic_file.hpp"
#include "harness/run_record.hpp"

namespace harness {
namespace {

using npu_impl::Lane;
using npu_impl::LayerEvent;

constexpr int width = 1000;
constexpr int left = 170;
constexpr int row_height = 26;
constexpr int top = 40;

// Dark enough on white to tell neighbours apart, by op.
constexpr std::array<std::string_view, 8> colours{"#4269d0", "#efb118", "#ff725c", "#6cc5b0",
                                                  "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e"};

std::string_view colour_of(datasets::OpRange ops) {
    return colours[static_cast<std::size_t>(ops.last) % colours.size()];
}

double end_of(std::span<const LayerEvent> events) {
    double end = 0;
    for (const LayerEvent& event : events) {
        end = std::max(end, event.event.end);
    }
    return end;
}

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
    }
    return out;
}

struct Bar {
    double begin = 0;
    double end = 0;
    datasets::OpRange ops{};
};

// The bars of one lane, in pixels from the left.
std::vector<Bar> bars_of(std::span<const LayerEvent> events, Lane lane, double scale) {
    std::vector<Bar> bars;
    for (const LayerEvent& event : events) {
        if (event.event.lane != lane || event.event.end <= event.event.begin) {
            continue;
        }
        const Bar bar{event.event.begin * scale, event.event.end * scale, event.ops};
        const bool touches =
            !bars.empty() && bars.back().ops == bar.ops && bar.begin - bars.back().end < 0.25;
        if (touches) {
            bars.back().end = std::max(bars.back().end, bar.end);
        } else {
            bars.push_back(bar);
        }
    }
    return bars;
}

// Four marks on the axis, and what the colours mean.
std::string axis_and_legend(std::span<const LayerEvent> events, double end, int bottom) {
    std::string out;
    for (int mark = 0; mark <= 4; ++mark) {
        out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.3f} ms</text>\n",
                           left + mark * width / 4, bottom + 16, end * 1e3 * mark / 4);
    }
    std::vector<datasets::OpRange> seen;
    for (const LayerEvent& event : events) {
        if (std::ranges::find(seen, event.ops) == seen.end()) {
            const int x = left + int(seen.size()) * 150;
            out += fmt::format(
                "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>"
                "<text x=\"{}\" y=\"{}\">{}</text>\n",
                x, bottom + 28, colour_of(event.ops), x + 18, bottom + 38, range_name(event.ops));
            seen.push_back(event.ops);
        }
    }
    return out;
}

}  // namespace

std::string chrome_trace(std::span<const LayerEvent> events, const std::string& title) {
    using nlohmann::json;
    json list = json::array();
    list.push_back({{"ph", "M"}, {"name", "process_name"}, {"pid", 1}, {"args", {{"name", title}}}});
    for (std::size_t lane = 0; lane < npu_impl::lane_count; ++lane) {
        list.push_back({{"ph", "M"},
                        {"name", "thread_name"},
                        {"pid", 1},
                        {"tid", lane + 1},
                        {"args", {{"name", npu_impl::name(Lane(lane))}}}});
    }
    for (const LayerEvent& event : events) {
        const std::string name =
            event.configures ? "configure " + range_name(event.ops) : range_name(event.ops);
        list.push_back({{"ph", "X"},
                        {"name", name},
                        {"cat", "modelled"},
                        {"pid", 1},
                        {"tid", static_cast<int>(event.event.lane) + 1},
                        {"ts", event.event.begin * 1e6},
                        {"dur", (event.event.end - event.event.begin) * 1e6},
                        {"args", {{"wave", event.wave}, {"index", event.event.pass}}}});
    }
    return json{{"displayTimeUnit", "ns"}, {"otherData", {{"times", "modelled"}}}, {"traceEvents", list}}
               .dump() +
           "\n";
}

std::string gantt_svg(std::span<const LayerEvent> events, const std::string& title) {
    const double end = end_of(events);
    const double scale = end > 0 ? width / end : 0;
    const int bottom = top + int(npu_impl::lane_count) * row_height;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
        "<text x=\"{2}\" y=\"22\" font-size=\"14\">{3}; times modelled</text>\n",
        left + width + 60, bottom + 56, left, escaped(title));
    for (std::size_t lane = 0; lane < npu_impl::lane_count; ++lane) {
        const int y = top + int(lane) * row_height;
        out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", left - 8, y + 16,
                           npu_impl::name(Lane(lane)));
        out += fmt::format("<line x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\" stroke=\"#dddddd\"/>\n", left,
                           left + width, y + row_height - 2);
        for (const Bar& bar : bars_of(events, Lane(lane), scale)) {
            out += fmt::format("<rect x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\"/>\n",
                               left + bar.begin, y + 2, std::max(0.25, bar.end - bar.begin), row_height - 6,
                               colour_of(bar.ops));
        }
    }
    return out + axis_and_legend(events, end, bottom) + "</svg>\n";
}

void write_timelines(std::span<const LayerEvent> events, const std::string& title,
                     const TimelineFiles& files) {
    if (!files.trace.empty()) {
        write_atomically(files.trace, chrome_trace(events, title));
    }
    if (!files.gantt.empty()) {
        write_atomically(files.gantt, gantt_svg(events, title));
    }
}

}  // namespace harness
