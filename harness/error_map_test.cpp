// Letters of an error map: octaves, exactly the planted tiles beyond, the worst heads and no more; and how
// much of a run goes into run.json.
#include "harness/error_map.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "harness/comparison.hpp"
#include "harness/run_record_example.hpp"
#include "harness/run_record_read.hpp"
#include "harness/summary.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double bound = 0.5;

bool is_beyond(char letter) {
    return letter == '!' || letter >= 'j';
}

TEST(ErrorMap, ALetterIsAnOctaveClosedAbove) {
    EXPECT_EQ(error_letter(0), '.');
    EXPECT_EQ(error_letter(std::numeric_limits<double>::denorm_min()), 'a');
    EXPECT_EQ(error_letter(std::numeric_limits<double>::max()), 'z');
    EXPECT_EQ(error_letter(infinity), '!');
    for (char letter = 'b'; letter < 'z'; ++letter) {
        const double above = std::ldexp(1.0, letter - 'a' - 9);
        EXPECT_EQ(error_letter(above), char(letter - 1)) << above;
        EXPECT_EQ(error_letter(std::nextafter(above, infinity)), letter) << above;
        EXPECT_EQ(error_letter(2 * above), letter) << above;
        EXPECT_EQ(is_beyond(letter), above >= 1);
    }
}

struct Place {
    int head;
    std::int64_t row;
    std::int64_t column;
    auto operator<=>(const Place&) const = default;
};

// A square op of which the elements named lie `ratio` of their bound off, and all others anywhere within it.
Comparison compared(const datasets::LayerShape& shape, int only_head, const std::set<Place>& planted,
                    double ratio, unsigned seed) {
    Comparison comparison(Op::scores, shape, only_head);
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> within(-1, 1);
    const int first = std::max(only_head, 0);
    for (int head = first; head < first + (only_head < 0 ? shape.heads : 1); ++head) {
        for (std::int64_t begin = 0; begin < shape.context; begin += datasets::block_rows) {
            const datasets::Rows rows{head, begin, std::min(datasets::block_rows, shape.context - begin)};
            const auto count = std::size_t(rows.count * shape.context);
            const Bounded expected{rows.count,
                                   shape.context,
                                   std::vector<double>(count, 0),
                                   std::vector<double>(count, bound),
                                   {}};
            std::vector<float> got(count);
            for (std::size_t i = 0; i < count; ++i) {
                const Place place{head, begin + std::int64_t(i) / shape.context,
                                  std::int64_t(i) % shape.context};
                got[i] = float(bound * (planted.contains(place) ? ratio : within(random)));
            }
            comparison.add(rows, {got.data(), rows.count, shape.context, shape.context}, expected, got);
        }
    }
    return comparison;
}

TEST(ErrorMap, ExactlyThePlantedTilesAreBeyond) {
    std::mt19937 random(1);
    for (int round = 0; round < 20; ++round) {
        const datasets::LayerShape shape{1 + std::int64_t(random() % 200), 3};
        std::set<Place> planted;
        std::set<Place> tiles;
        for (int i = 0; i <= round % 4; ++i) {
            const Place place{int(random() % 3), std::int64_t(random()) % shape.context,
                              std::int64_t(random()) % shape.context};
            planted.insert(place);
            tiles.insert({place.head, place.row / 64, place.column / 64});
        }
        const auto comparison = compared(shape, -1, planted, 3, unsigned(round));
        std::set<Place> beyond;
        for (const HeadErrorMap& map : comparison.error_maps(3)) {
            ASSERT_EQ(std::int64_t(map.tiles.size()), shape.blocks());
            for (std::size_t row = 0; row < map.tiles.size(); ++row) {
                ASSERT_EQ(std::int64_t(map.tiles[row].size()), shape.blocks());
                for (std::size_t column = 0; column < map.tiles[row].size(); ++column) {
                    const char letter = map.tiles[row][column];
                    if (is_beyond(letter)) {
                        EXPECT_EQ(letter, 'k') << "3 times the bound";
                        beyond.insert({map.head, std::int64_t(row), std::int64_t(column)});
                    }
                }
            }
        }
        EXPECT_EQ(beyond, tiles) << "T = " << shape.context;
        EXPECT_EQ(comparison.finish().rho, 3);
    }
}

TEST(ErrorMap, HoldsTheWorstHeadsOrTheNearest) {
    const datasets::LayerShape shape{65, 4};
    const auto heads = [](const std::vector<HeadErrorMap>& maps) {
        std::vector<int> out;
        for (const HeadErrorMap& map : maps) {
            out.push_back(map.head);
        }
        return out;
    };
    const auto worst = compared(shape, -1, {{1, 64, 64}, {3, 0, 0}}, 2, 1);
    EXPECT_THAT(heads(worst.error_maps(4)), ElementsAre(1, 3));
    EXPECT_THAT(heads(worst.error_maps(1)), ElementsAre(1));
    EXPECT_EQ(worst.error_maps(4)[0].rho, 2);
    EXPECT_EQ(worst.error_maps(4)[0].tiles[1][1], 'j');
    const auto near = compared(shape, -1, {{2, 5, 5}}, 1, 2);
    EXPECT_THAT(heads(near.error_maps(4)), ElementsAre(2)) << "at its bound, and nobody beyond";
    EXPECT_EQ(near.error_maps(4)[0].tiles[0][0], 'i');
    const auto single = compared(shape, 3, {{3, 0, 64}}, infinity, 3);
    EXPECT_THAT(heads(single.error_maps(4)), ElementsAre(3)) << "the head that ran";
    EXPECT_EQ(single.error_maps(4)[0].tiles[0][1], '!');
}

std::vector<OpRow> failed_rows(std::size_t count, std::size_t side) {
    std::vector<OpRow> rows(count);
    for (std::size_t i = 0; i < count; ++i) {
        rows[i].judgement.verdict = Verdict::failed;
        rows[i].layer = int(i);
        rows[i].error_maps = {{0, 2, std::vector<std::string>(side, std::string(side, 'j'))}};
    }
    return rows;
}

std::vector<int> mapped(const std::vector<OpRow>& rows) {
    std::vector<int> out;
    for (const OpRow& row : rows) {
        if (!row.error_maps.empty()) {
            out.push_back(row.layer);
        }
    }
    return out;
}

TEST(ErrorMap, ARunKeepsThoseOfItsFirstFailedRows) {
    auto rows = failed_rows(30, 2);
    rows[3].judgement.verdict = Verdict::mistrusted;
    keep_first_error_maps(rows);
    const auto kept = mapped(rows);
    EXPECT_EQ(kept.size(), most_mapped_rows);
    EXPECT_EQ(kept.back(), 20);
    EXPECT_TRUE(rows[3].error_maps.empty());
    // Of a very long clip fewer: run.json must not grow with the square of its length.
    auto large = failed_rows(30, 200);
    keep_first_error_maps(large);
    EXPECT_EQ(mapped(large).size(), most_map_letters / (200 * 200));
}

// However a run is dealt out, its parts together keep what the whole keeps.
TEST(ErrorMap, PartsKeepWhatTheWholeKeeps) {
    std::mt19937 random(2);
    for (int round = 0; round < 50; ++round) {
        const auto all = failed_rows(random() % 80, 1 + random() % 250);
        std::vector<OpRow> parts[3];
        std::vector<std::size_t> owner;
        for (const OpRow& row : all) {
            owner.push_back(random() % 3);
            parts[owner.back()].push_back(row);
        }
        std::vector<OpRow> merged;
        for (auto& part : parts) {
            keep_first_error_maps(part);
            merged.insert(merged.end(), part.begin(), part.end());
        }
        std::ranges::sort(merged, {}, &OpRow::layer);
        keep_first_error_maps(merged);
        auto whole = all;
        keep_first_error_maps(whole);
        EXPECT_EQ(mapped(merged), mapped(whole));
    }
}

TEST(ErrorMap, ComesBackFromRunJson) {
    RunRecord record = example_record();
    const std::string without = to_json(record);
    EXPECT_THAT(without, testing::Not(HasSubstr("error_maps")));
    EXPECT_TRUE(parse_run_record(without, "run.json").rows.back().error_maps.empty());
    record.rows.back().error_maps = {{3, infinity, {"ab", "!."}}, {4, 12.5, {"..", "mi"}}};
    const auto read = parse_run_record(to_json(record), "run.json").rows.back().error_maps;
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].head, 3);
    EXPECT_EQ(read[0].rho, infinity);
    EXPECT_THAT(read[0].tiles, ElementsAre("ab", "!."));
    EXPECT_EQ(read[1].rho, 12.5);
}

}  // namespace
}  // namespace harness
