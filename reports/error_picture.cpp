#include "reports/error_picture.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "reports/clean_text.hpp"

namespace reports {
namespace {

using harness::ErrorMap;
using harness::ErrorPicture;

constexpr std::int64_t widest = 96;  // cells of a line
constexpr int bar_width = 50;

// A shade, from an error far below its bound to one far beyond it: ratios from 0, 1/16, 1/4, 1 (the bound),
// 4, 16, 256, and what is not finite.
struct Shade {
    double from;
    char letter;
    std::uint32_t color;
    const char* words;
};
constexpr std::array<Shade, 8> shades{{{0, '.', 0xF7F7F7, "below 1/16 of the bound"},
                                       {1.0 / 16, ':', 0xD1E5F0, "1/16"},
                                       {1.0 / 4, '-', 0x92C5DE, "1/4"},
                                       {1, 'x', 0xFDDBC7, "beyond the bound"},
                                       {4, 'X', 0xF4A582, "4 times"},
                                       {16, 'W', 0xD6604D, "16 times"},
                                       {256, '#', 0x67001F, "256 times"},
                                       {HUGE_VAL, '!', 0x000000, "not finite"}}};

// A cell exactly at its bound is within it.
const Shade& shade_of(double ratio) {
    const Shade* out = &shades.front();
    for (const Shade& shade : shades) {
        if (shade.from == 1 ? ratio > 1 : ratio >= shade.from) {
            out = &shade;
        }
    }
    return *out;
}

double worst_of(const ErrorMap& map) {
    return map.cells.empty() ? 0 : std::ranges::max(map.cells);
}

// The largest of neighbouring cells, so that no line is wider than a terminal.
ErrorMap fitted(const ErrorMap& map) {
    const std::int64_t step = (std::max(map.rows, map.columns) + widest - 1) / widest;
    if (step <= 1) {
        return map;
    }
    ErrorMap out{map.head, (map.rows + step - 1) / step, (map.columns + step - 1) / step, {}};
    out.cells.resize(static_cast<std::size_t>(out.rows * out.columns));
    for (std::int64_t row = 0; row < map.rows; ++row) {
        for (std::int64_t column = 0; column < map.columns; ++column) {
            double& cell = out.cells[static_cast<std::size_t>(row / step * out.columns + column / step)];
            cell = std::max(cell, map.cells[static_cast<std::size_t>(row * map.columns + column)]);
        }
    }
    return out;
}

std::string drawn(const ErrorMap& map, bool color) {
    const auto cell = [&](std::int64_t row, std::int64_t column) {
        return map.cells[static_cast<std::size_t>(row * map.columns + column)];
    };
    std::string out;
    for (std::int64_t row = 0; row < map.rows; row += color ? 2 : 1) {
        out += fmt::format("{:>6} ", row);
        for (std::int64_t column = 0; column < map.columns; ++column) {
            if (!color) {
                out += shade_of(cell(row, column)).letter;
                continue;
            }
            fmt::text_style style = fmt::fg(fmt::rgb(shade_of(cell(row, column)).color));
            if (row + 1 < map.rows) {
                style |= fmt::bg(fmt::rgb(shade_of(cell(row + 1, column)).color));
            }
            out += fmt::format(style, "\u2580");
        }
        out += "\n";
    }
    return out;
}

std::string legend(bool color) {
    std::string out = "      ";
    for (const Shade& shade : shades) {
        out += ' ';
        out += color ? fmt::format(fmt::fg(fmt::rgb(shade.color)), "\u2588") : std::string(1, shade.letter);
        out += fmt::format(" {};", shade.words);
    }
    return out + "\n";
}

std::string maps(const ErrorPicture& picture, bool color) {
    std::string out;
    std::size_t quiet = 0;
    const auto worst = std::ranges::max_element(picture.maps, {}, worst_of);
    for (const ErrorMap& map : picture.maps) {
        const bool shown = worst_of(map) > 1 || &map == &*worst;
        quiet += shown ? 0 : 1;
        if (!shown) {
            continue;
        }
        const ErrorMap small = fitted(map);
        const std::int64_t step = (map.rows + small.rows - 1) / std::max<std::int64_t>(small.rows, 1);
        out += fmt::format("{}largest |error| / bound {:.4g}; one cell: {} rows x {} columns\n",
                           map.head >= 0 ? fmt::format("head {}: ", map.head) : "", worst_of(map), 64 * step,
                           picture.cell_columns * step);
        out += drawn(small, color);
    }
    if (quiet > 0) {
        out += fmt::format("{} more heads lie within their bounds\n", quiet);
    }
    return out + legend(color) + "\n";
}

std::string worst_rows(const ErrorPicture& picture) {
    std::string out = fmt::format("{:>6} {:>8} {:>14} {:>14}\n", "head", "row", "error", "error/bound");
    for (const harness::RowError& row : picture.worst_rows) {
        out += fmt::format("{:>6} {:>8} {:>14.4g} {:>14.4g}\n",
                           row.head >= 0 ? fmt::to_string(row.head) : std::string("-"), row.row,
                           row.relative_error, row.rho);
    }
    return out + "error: of the row against the golden, relative to the golden's norm\n\n";
}

std::string bar(std::int64_t count, std::int64_t most) {
    const auto length = most > 0 ? count * bar_width / most : 0;
    // What is there is seen, however little.
    return std::string(static_cast<std::size_t>(std::max<std::int64_t>(length, count > 0 ? 1 : 0)), '#');
}

// Where a bin of |error| / bound begins.
std::string ratio_from(std::size_t bin) {
    const int exponent = harness::ratio_first_exponent + static_cast<int>(bin) - 1;
    return bin == 0                         ? fmt::format("< 2^{}", exponent + 1)
           : bin + 1 == harness::ratio_bins ? std::string("not finite")
                                            : fmt::format(">= 2^{}", exponent);
}

double z_from(std::size_t bin) {
    return harness::z_first + harness::z_step * (static_cast<double>(bin) - 1);
}

std::string z_name(std::size_t bin) {
    return bin == 0 ? fmt::format("< {:.1f}", harness::z_first) : fmt::format(">= {:.1f}", z_from(bin));
}

// The share of a standard normal distribution that lies in a bin of z.
double normal_share(std::size_t bin) {
    const auto below = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
    const double from = bin == 0 ? 0 : below(z_from(bin));
    return (bin + 1 == harness::z_bins ? 1 : below(z_from(bin + 1))) - from;
}

std::string histogram(const ErrorPicture& picture) {
    const auto& bins = picture.ratios;
    const std::int64_t most = std::ranges::max(bins);
    std::string out = "|error| / bound    elements\n";
    for (std::size_t bin = 0; bin < bins.size(); ++bin) {
        if (bins[bin] == 0) {
            continue;
        }
        const bool beyond = bin > 0 && static_cast<int>(bin) - 1 + harness::ratio_first_exponent >= 0;
        out += fmt::format("{:>15} {:>11} {}{}\n", ratio_from(bin), bins[bin], bar(bins[bin], most),
                           beyond ? " beyond" : "");
    }
    return out + "\n";
}

// From the first bin that holds anything to the last.
std::string z_histogram(const ErrorPicture& picture) {
    if (!picture.z) {
        return {};
    }
    const auto& bins = *picture.z;
    const std::int64_t most = std::ranges::max(bins);
    const auto total = static_cast<double>(std::accumulate(bins.begin(), bins.end(), std::int64_t{0}));
    const auto held = [](std::int64_t count) { return count > 0; };
    const auto first = static_cast<std::size_t>(std::ranges::find_if(bins, held) - bins.begin());
    const auto last = bins.rend() - std::find_if(bins.rbegin(), bins.rend(), held);
    std::string out = fmt::format("{:>15} {:>11} {:>11}\n", "z", "elements", "if normal");
    for (std::size_t bin = first; std::cmp_less(bin, last); ++bin) {
        out += fmt::format("{:>15} {:>11} {:>11.0f} {}\n", z_name(bin), bins[bin], total * normal_share(bin),
                           bar(bins[bin], most));
    }
    return out + "z: error against the golden, less the predicted mean, in predicted deviations\n\n";
}

std::string scatter(const ErrorPicture& picture) {
    int first = harness::magnitude_bins;
    int last = -1;
    int reach = 1;  // lines above and below no error
    std::int64_t most = 0;
    constexpr int middle = harness::signed_bins / 2;
    for (int line = 0; line < harness::signed_bins; ++line) {
        for (int bin = 0; bin < harness::magnitude_bins; ++bin) {
            const std::int64_t count =
                picture.scatter[static_cast<std::size_t>(line)][static_cast<std::size_t>(bin)];
            if (count > 0) {
                reach = std::max(reach, std::abs(line - middle));
                first = std::min(first, bin);
                last = std::max(last, bin);
                most = std::max(most, count);
            }
        }
    }
    if (last < 0) {
        return {};
    }
    constexpr std::string_view density = ".:-=+*%@";
    std::string out = "error / bound against log2 |expected|\n";
    for (int line = middle + reach; line >= middle - reach; --line) {
        out += fmt::format("{:>6.1f} |", harness::signed_step * (line - middle));
        for (int bin = first; bin <= last; ++bin) {
            const std::int64_t count =
                picture.scatter[static_cast<std::size_t>(line)][static_cast<std::size_t>(bin)];
            const double level =
                std::log1p(double(count)) / std::log1p(double(most)) * double(density.size() - 1);
            out += count == 0 ? ' ' : density[static_cast<std::size_t>(std::lround(level))];
        }
        out += "\n";
    }
    return out + fmt::format("        2^{} ... 2^{}; {} elements: '{}', 1: '{}'; beyond 2 is drawn at 2\n",
                             harness::magnitude_first_exponent + first,
                             harness::magnitude_first_exponent + last, most, density.back(), density.front());
}

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : one_line(text)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

constexpr std::int64_t cell_pixels = 8;
constexpr std::int64_t gap_pixels = 24;

constexpr std::int64_t bar_pixels = 14;
constexpr std::int64_t chart_pixels = 120;
constexpr std::int64_t least_width_pixels = 640;

struct Bar {
    std::string name;
    std::int64_t count = 0;
    bool alarming = false;
};

// Heights go by the logarithm of the counts, so that a single element is seen.
std::string chart(const std::string& title, const std::vector<Bar>& bars, std::int64_t top) {
    const std::int64_t most = std::ranges::max(bars, {}, &Bar::count).count;
    std::string out = fmt::format("<g class=\"histogram\"><text x=\"{}\" y=\"{}\">{}</text>\n", gap_pixels,
                                  top + gap_pixels - 6, escaped(title));
    const std::int64_t bottom = top + gap_pixels + chart_pixels;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        const double share = most > 0 ? std::log1p(double(bars[i].count)) / std::log1p(double(most)) : 0.0;
        const double height = share * double{chart_pixels};
        out += fmt::format(
            "<rect x=\"{}\" y=\"{:.1f}\" width=\"{}\" height=\"{:.1f}\" fill=\"#{:06x}\"><title>{}: "
            "{}</title></rect>\n",
            gap_pixels + static_cast<std::int64_t>(i) * bar_pixels, double(bottom) - height, bar_pixels - 2,
            height, bars[i].alarming ? 0xD6604D : 0x4393C3, escaped(bars[i].name), bars[i].count);
    }
    return out + "</g>\n";
}

std::string ratio_chart(const ErrorPicture& picture, std::int64_t top) {
    std::vector<Bar> bars;
    for (std::size_t bin = 0; bin < picture.ratios.size(); ++bin) {
        const bool beyond = static_cast<int>(bin) > -harness::ratio_first_exponent;
        bars.push_back({ratio_from(bin), picture.ratios[bin], beyond});
    }
    return chart("elements by |error| / bound, heights logarithmic", bars, top);
}

std::string z_chart(const ErrorPicture& picture, std::int64_t top) {
    std::vector<Bar> bars;
    const auto total =
        static_cast<double>(std::accumulate(picture.z->begin(), picture.z->end(), std::int64_t{0}));
    for (std::size_t bin = 0; bin < picture.z->size(); ++bin) {
        const double expected = total * normal_share(bin);
        // More than a handful where not one was to be expected.
        bars.push_back({fmt::format("{}, {:.0f} if normal", z_name(bin), expected), (*picture.z)[bin],
                        expected < 0.5 && (*picture.z)[bin] > 5});
    }
    return chart("elements by z, heights logarithmic", bars, top);
}

std::string map_drawing(const ErrorMap& map, std::int64_t top) {
    std::string out = fmt::format(
        "<g class=\"map\"><text x=\"{}\" y=\"{}\">{}largest |error| / bound {:.4g}</text>\n", gap_pixels,
        top + gap_pixels - 6, map.head >= 0 ? fmt::format("head {}: ", map.head) : "", worst_of(map));
    for (std::int64_t row = 0; row < map.rows; ++row) {
        for (std::int64_t column = 0; column < map.columns; ++column) {
            const double ratio = map.cells[static_cast<std::size_t>(row * map.columns + column)];
            out += fmt::format(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"#{:06x}\"><title>({}, {}): "
                "{:.4g}</title></rect>\n",
                gap_pixels + column * cell_pixels, top + gap_pixels + row * cell_pixels, cell_pixels,
                cell_pixels, shade_of(ratio).color, row, column, ratio);
        }
    }
    return out + "</g>\n";
}

}  // namespace

std::string terminal_picture(const ErrorPicture& picture, bool color) {
    return one_line(picture.title) + "\n\n" + maps(picture, color) + worst_rows(picture) +
           histogram(picture) + z_histogram(picture) + scatter(picture);
}

std::string svg_picture(const ErrorPicture& picture) {
    std::int64_t width = least_width_pixels;
    std::int64_t top = 2 * gap_pixels;
    std::string body;
    for (const ErrorMap& map : picture.maps) {
        width = std::max(width, map.columns * cell_pixels + 2 * gap_pixels);
        body += map_drawing(map, top);
        top += map.rows * cell_pixels + 2 * gap_pixels;
    }
    body += ratio_chart(picture, top);
    top += chart_pixels + 2 * gap_pixels;
    if (picture.z) {
        body += z_chart(picture, top);
        top += chart_pixels + 2 * gap_pixels;
    }
    return fmt::format(
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
               "{1}\" "
               "font-family=\"sans-serif\" font-size=\"12\">\n<title>{2}</title>\n"
               "<text x=\"{3}\" y=\"{3}\">{2}</text>\n",
               width, top, escaped(picture.title), gap_pixels) +
           body + "</svg>\n";
}

}  // namespace reports
