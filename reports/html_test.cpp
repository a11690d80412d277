#include "reports/html.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/run_record_example.hpp"

namespace reports {
namespace {

// By another rule than the encoder's: bit by bit.
std::vector<unsigned char> from_base64(std::string_view text) {
    std::vector<unsigned char> out;
    unsigned bits = 0;
    int count = 0;
    for (const char c : text.substr(0, text.find('='))) {
        const auto value = c >= 'a'   ? c - 'a' + 26
                           : c >= 'A' ? c - 'A'
                           : c >= '0' ? c - '0' + 52
                           : c == '+' ? 62
                                      : 63;
        bits = bits << 6 | static_cast<unsigned>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<unsigned char>(bits >> count & 255U));
        }
    }
    return out;
}

std::string unpacked(std::string_view text) {
    std::vector<unsigned char> bytes = from_base64(text);
    z_stream stream{};
    inflateInit2(&stream, 15 + 16);
    std::string out(std::size_t{1} << 24, '\0');
    stream.next_in = bytes.data();
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

// What the element of this id holds.
std::string content(const std::string& page, const std::string& id) {
    const std::string begin = fmt::format("id=\"{}\">", id);
    const std::size_t at = page.find(begin) + begin.size();
    return page.substr(at, page.find("</script>", at) - at);
}

class HtmlReport : public testing::Test {
protected:
    void SetUp() override {
        if (!missing_page().empty()) {
            GTEST_SKIP() << missing_page();
        }
    }
};

TEST_F(HtmlReport, CarriesTheRunByteForByteWhateverItsLength) {
    const std::string run = harness::to_json(harness::example_record());
    EXPECT_EQ(unpacked(content(html_report(run, {}), "run")), run);
    for (const std::string text : {"a", "ab", "abc", "abcd", "</script><!--", "\xc3\xa4\xff"}) {
        EXPECT_EQ(unpacked(content(html_report(text, {}), "run")), text);
    }
}

TEST_F(HtmlReport, IsTheSamePageForTheSameRun) {
    const std::string run = harness::to_json(harness::example_encoder_record());
    EXPECT_EQ(html_report(run, {}), html_report(run, {}));
}

TEST_F(HtmlReport, CarriesTrendsWhereThereAreSome) {
    const std::vector<Trend> trends{
        {"scores..context", "CPU ms", "measured", {{"2026-01-01T00:00:00Z", "abc", 12.5}}}};
    EXPECT_EQ(unpacked(content(html_report("{}", trends), "trends")),
              R"([{"row":"scores..context","quantity":"CPU ms","kind":"measured","points":)"
              R"([{"created_utc":"2026-01-01T00:00:00Z","commit":"abc","value":12.5}]}])");
    std::vector<Trend> gaps{{"scores", "rho", "computed", {{"t", "a", 0.5}, {"t", "b", 0}, {"t", "c", 0}}}};
    gaps[0].points[1].value = std::numeric_limits<double>::infinity();
    gaps[0].points[2].value = std::numeric_limits<double>::quiet_NaN();
    EXPECT_NE(unpacked(content(html_report("{}", gaps), "trends")).find(R"("commit":"c","value":null}]}])"),
              std::string::npos);
    EXPECT_EQ(content(html_report("{}", {}), "trends"), "");
}

TEST_F(HtmlReport, FetchesNothing) {
    const std::string page = html_report("{}", {});
    for (const char* reference :
         {"src=\"http", "href=\"http", "src=\"/", "href=\"/", "url(http", "@import"}) {
        EXPECT_EQ(page.find(reference), std::string::npos) << reference;
    }
}

TEST(MissingPage, IsOneLineThatSaysHowToMendIt) {
    if (missing_page().empty()) {
        GTEST_SKIP() << "this build has a page";
    }
    try {
        html_report("{}", {});
        FAIL() << "a page that is not there";
    } catch (const std::runtime_error& error) {
        const std::string reason = error.what();
        EXPECT_NE(reason.find("HARNESS_PAGE"), std::string::npos) << reason;
        EXPECT_EQ(reason.find('\n'), std::string::npos) << reason;
    }
}

}  // namespace
}  // namespace reports
