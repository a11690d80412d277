#include "reports/html.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "reports/page_template.hpp"

namespace reports {
namespace {

// RFC 4648, section 4.
std::string base64(std::span<const unsigned char> bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t here = std::min<std::size_t>(3, bytes.size() - at);
        unsigned group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < here ? bytes[at + i] : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            out += i <= here ? alphabet[group >> (18 - 6 * i) & 63U] : '=';
        }
    }
    return out;
}

// RFC 1952, without name and time, so that the same text gives the same bytes.
std::vector<unsigned char> gzip(std::string_view text) {
    constexpr int gzip_window = 15 + 16;  // the largest window; 16: with the header of gzip
    constexpr int default_memory = 8;
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, default_memory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        throw std::runtime_error("zlib cannot start");
    }
    std::vector<unsigned char> out;
    std::array<unsigned char, 65536> piece{};
    std::vector<unsigned char> in(text.begin(), text.end());
    stream.next_in = in.data();
    stream.avail_in = static_cast<uInt>(in.size());
    int state = Z_OK;
    while (state == Z_OK) {
        stream.next_out = piece.data();
        stream.avail_out = static_cast<uInt>(piece.size());
        state = deflate(&stream, Z_FINISH);
        out.insert(out.end(), piece.begin(), piece.end() - stream.avail_out);
    }
    deflateEnd(&stream);
    if (state != Z_STREAM_END) {
        throw std::runtime_error(fmt::format("zlib stopped with {}", state));
    }
    return out;
}

std::string trends_json(std::span<const Trend> trends) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const Trend& trend : trends) {
        nlohmann::ordered_json points = nlohmann::ordered_json::array();
        for (const TrendPoint& point : trend.points) {
            points.push_back(
                {{"created_utc", point.created_utc}, {"commit", point.commit}, {"value", point.value}});
        }
        out.push_back({{"row", trend.row},
                       {"quantity", trend.quantity},
                       {"kind", trend.kind},
                       {"points", std::move(points)}});
    }
    return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Puts `text` into the empty element of the page with this id.
void fill(std::string& page, std::string_view id, std::string_view text) {
    const std::string element = fmt::format(R"(id="{}">)", id);
    const std::size_t begin = page.find(element);
    if (begin == std::string::npos || page.compare(begin + element.size(), 9, "</script>") != 0) {
        throw std::runtime_error(fmt::format("the page has no empty element {}", id));
    }
    page.insert(begin + element.size(), base64(gzip(text)));
}

}  // namespace

std::string_view missing_page() {
    return page_absence;
}

std::string html_report(std::string_view run_json, std::span<const Trend> trends) {
    if (!page_absence.empty()) {
        throw std::runtime_error(fmt::format("no HTML report: {}", page_absence));
    }
    std::string page(page_template);
    fill(page, "run", run_json);
    if (!trends.empty()) {
        fill(page, "trends", trends_json(trends));
    }
    return page;
}

}  // namespace reports
