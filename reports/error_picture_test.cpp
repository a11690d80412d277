#include "reports/error_picture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <pugixml.hpp>
#include <sstream>

#include "reports/clean_text.hpp"

namespace reports {
namespace {

using testing::HasSubstr;
using testing::Not;

harness::ErrorPicture example(std::int64_t rows, std::int64_t columns, int heads) {
    harness::ErrorPicture picture;
    picture.title = "clip <a> & b, layer 0, scores (isolated)";
    picture.op = datasets::Op::scores;
    for (int head = 0; head < heads; ++head) {
        picture.maps.push_back({head, rows, columns, std::vector<double>(std::size_t(rows * columns), 0.3)});
    }
    picture.maps[1].cells[std::size_t(columns + 2)] = 40;
    picture.maps[1].cells.back() = std::numeric_limits<double>::infinity();
    picture.worst_rows = {{1, 65, 0.5, 40}, {0, 3, 0.01, 0.3}};
    picture.ratios[0] = 4;
    picture.ratios[15] = 100;
    picture.ratios[22] = 7;
    picture.ratios.back() = 2;
    picture.scatter[20][41] = 9;
    picture.scatter[10][40] = 1;
    return picture;
}

TEST(ErrorPicture, SvgIsWellFormedAndHasEveryCell) {
    const auto picture = example(5, 7, 3);
    pugi::xml_document document;
    const std::string svg = svg_picture(picture);
    ASSERT_TRUE(document.load_string(svg.c_str())) << svg.substr(0, 300);
    const pugi::xml_node root = document.child("svg");
    EXPECT_EQ(std::string(root.child("title").text().get()), picture.title);
    int groups = 0;
    for (const pugi::xml_node group : root.children("g")) {
        if (std::string(group.attribute("class").as_string()) != "map") {
            continue;
        }
        const auto cells = group.children("rect");
        EXPECT_EQ(std::distance(cells.begin(), cells.end()), 35);
        ++groups;
    }
    EXPECT_EQ(groups, 3);
    auto named = picture;
    named.title =
        "a\x1B\n\xFF"
        "b";
    for (const std::string& text : {svg_picture(named), terminal_picture(named, false)}) {
        EXPECT_EQ(text, clean_lines(text));
        EXPECT_THAT(text, HasSubstr("a\uFFFD \uFFFDb"));
    }
    const double height = root.attribute("height").as_double();
    const double width = root.attribute("width").as_double();
    for (const auto& found : root.select_nodes("//rect")) {
        const pugi::xml_node rect = found.node();
        EXPECT_GE(rect.attribute("y").as_double(), 0);
        EXPECT_LE(rect.attribute("x").as_double() + rect.attribute("width").as_double(), width);
        EXPECT_LE(rect.attribute("y").as_double() + rect.attribute("height").as_double(), height);
    }
}

// Bars of both histograms: one per bin, as high as its count is large, the empty ones flat.
TEST(ErrorPicture, SvgHasAHistogramOfZOnlyWhereAnErrorWasPredicted) {
    auto picture = example(5, 7, 3);
    const auto histograms = [&] {
        pugi::xml_document document;
        EXPECT_TRUE(document.load_string(svg_picture(picture).c_str()));
        std::vector<std::vector<double>> out;
        for (const auto& found : document.select_nodes("//g[@class='histogram']")) {
            auto& bars = out.emplace_back();
            for (const pugi::xml_node bar : found.node().children("rect")) {
                bars.push_back(bar.attribute("height").as_double());
            }
        }
        return out;
    };
    ASSERT_EQ(histograms().size(), 1U);
    EXPECT_EQ(histograms()[0].size(), std::size_t{harness::ratio_bins});
    EXPECT_GT(histograms()[0][15], histograms()[0][22]);
    EXPECT_EQ(histograms()[0][16], 0);
    picture.z.emplace();
    (*picture.z)[17] = 500;
    (*picture.z)[33] = 1;
    ASSERT_EQ(histograms().size(), 2U);
    EXPECT_EQ(histograms()[1].size(), std::size_t{harness::z_bins});
    EXPECT_GT(histograms()[1][17], histograms()[1][33]);
    EXPECT_GT(histograms()[1][33], 0);
    EXPECT_EQ(histograms()[1][20], 0);
}

TEST(ErrorPicture, PutsTheCountsOfZBesideThoseOfANormalDistribution) {
    auto picture = example(5, 7, 3);
    EXPECT_THAT(terminal_picture(picture, false), Not(HasSubstr("if normal")));
    picture.z.emplace();
    (*picture.z)[16] = 600;  // from -0.5
    (*picture.z)[17] = 400;  // from 0
    (*picture.z)[19] = 7;    // from 1
    const std::string text = terminal_picture(picture, false);
    EXPECT_THAT(text, HasSubstr("              z    elements   if normal\n"
                                "        >= -0.5         600         193 ####"));
    EXPECT_THAT(text, HasSubstr("         >= 0.0         400         193 ####"));
    EXPECT_THAT(text, HasSubstr("         >= 0.5           0         151 \n"));
    EXPECT_THAT(text, HasSubstr("         >= 1.0           7          92 #\n"));
    EXPECT_THAT(text, Not(HasSubstr(">= 1.5")));
    (*picture.z)[0] = 2;
    EXPECT_THAT(terminal_picture(picture, false), HasSubstr("         < -8.0           2           0 #\n"));
}

TEST(ErrorPicture, LettersStandForCellsWithoutColours) {
    const std::string text = terminal_picture(example(5, 7, 3), false);
    EXPECT_THAT(text, Not(HasSubstr("\033[")));
    EXPECT_THAT(text, Not(HasSubstr("\u2580")));
    EXPECT_THAT(text, HasSubstr("     1 --W----\n"));
    EXPECT_THAT(text, HasSubstr("     4 ------!\n"));
    EXPECT_THAT(text, HasSubstr("2 more heads lie within their bounds"));
    EXPECT_THAT(text, HasSubstr("not finite           2 #"));
    EXPECT_THAT(text, HasSubstr("beyond"));
    EXPECT_THAT(text, HasSubstr("2^0 ... 2^1"));
}

TEST(ErrorPicture, HalfBlocksCarryTwoRowsOfCellsInColour) {
    const std::string text = terminal_picture(example(5, 7, 3), true);
    EXPECT_THAT(text, HasSubstr("\033["));
    std::size_t blocks = 0;
    for (auto at = text.find("\u2580"); at != std::string::npos; at = text.find("\u2580", at + 1)) {
        ++blocks;
    }
    EXPECT_EQ(blocks, 3U * 7U) << "5 rows of cells are 3 lines";
}

TEST(ErrorPicture, FitsIntoATerminalHoweverLongTheClip) {
    auto picture = example(1024, 1024, 2);
    std::istringstream text(terminal_picture(picture, false));
    std::string line;
    bool damage = false;
    while (std::getline(text, line)) {
        EXPECT_LE(line.size(), 140U);
        damage = damage || (line.starts_with("     0 ") && line.find('W') != std::string::npos);
    }
    EXPECT_TRUE(damage) << "the largest of neighbouring cells is shown";
}

TEST(ErrorPicture, ShowsTheNearestHeadWhereNoneErrs) {
    auto picture = example(2, 4, 2);
    picture.maps[1].cells.assign(8, 1.0);  // exactly at the bound: within it
    const std::string text = terminal_picture(picture, false);
    EXPECT_THAT(text, HasSubstr("head 1: largest |error| / bound 1;"));
    EXPECT_THAT(text, HasSubstr("     0 ----\n"));
    EXPECT_THAT(text, HasSubstr("1 more heads lie"));
}

}  // namespace
}  // namespace reports
