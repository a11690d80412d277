#include "harness/timeline_export.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace harness {
namespace {

using npu_impl::LayerEvent;
using testing::HasSubstr;

std::vector<LayerEvent> events_of(const char* design) {
    const npu_impl::LayerPlan plan =
        npu_impl::plan_layer(*npu_impl::find_design(design), {200, 4}, {0, 4}, npu_impl::pieces[0]);
    return npu_impl::layer_timeline(plan, datasets::attention_ops, {});
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
        ++found;
    }
    return found;
}

// Every event is in the trace, on the lane that did it, with its time in microseconds.
TEST(TimelineExport, ATraceHoldsEveryEvent) {
    const std::vector<LayerEvent> events = events_of("unfused");
    const auto trace = nlohmann::json::parse(chrome_trace(events, "a \"layer\""));
    std::map<int, std::string> lanes;
    std::size_t seen = 0;
    for (const auto& event : trace["traceEvents"]) {
        if (event["ph"] == "M") {
            if (event["name"] == "thread_name") {
                lanes[event["tid"]] = event["args"]["name"];
            }
            continue;
        }
        const LayerEvent& made = events.at(seen++);
        EXPECT_EQ(lanes.at(event["tid"]), npu_impl::name(made.event.lane));
        EXPECT_DOUBLE_EQ(event["ts"].get<double>(), made.event.begin * 1e6);
        EXPECT_GE(event["dur"].get<double>(), 0);
        EXPECT_EQ(event["cat"], "modelled");
    }
    EXPECT_EQ(seen, events.size());
    EXPECT_EQ(lanes.size(), npu_impl::lane_count);
}

TEST(TimelineExport, AChartShowsEveryLaneAndOp) {
    const std::string svg = gantt_svg(events_of("unfused"), "T < 201");
    for (std::size_t lane = 0; lane < npu_impl::lane_count; ++lane) {
        EXPECT_THAT(svg, HasSubstr(std::string(npu_impl::name(npu_impl::Lane(lane))) + "</text>"));
    }
    for (const char* op : {"query", "scores", "probabilities", "context", "output"}) {
        EXPECT_THAT(svg, HasSubstr(std::string(">") + op + "</text>"));
    }
    EXPECT_THAT(svg, HasSubstr("T &lt; 201; times modelled"));
    EXPECT_EQ(count(svg, "<svg"), 1U);
    EXPECT_EQ(count(svg, "</svg>"), 1U);
    EXPECT_GT(count(svg, "<rect"), 20U);
}

// Thousands of launches make a chart of a size that can be opened.
TEST(TimelineExport, AChartMergesWhatNobodyCouldSee) {
    const std::vector<LayerEvent> events = events_of("tile64");
    EXPECT_GT(events.size(), 1000U);
    EXPECT_LT(count(gantt_svg(events, ""), "<rect"), 7U * 1000U * 2U);
    EXPECT_THAT(gantt_svg({}, "nothing"), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace harness
