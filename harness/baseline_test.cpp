// The note's own figures, added up.
#include "harness/baseline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace harness {
namespace {

using datasets::Clock;
using datasets::Op;

// Six layers, the second three times as slow as the first, the others as their mean.
EncoderRow six_layers() {
    EncoderRow row;
    row.heads = 8;
    row.layers = 6;
    row.context = 1500;
    row.mel.seconds = 0.01;
    row.warm = {0.5, Clock::host_wall, {}};
    for (int layer = 0; layer < 6; ++layer) {
        const double factor = layer == 0 ? 1 : (layer == 1 ? 3 : 2);
        const auto add = [&](Op op, double seconds) {
            row.stages.push_back({{Piece::layer, layer}, {op, op}, {factor * seconds, Clock::host_wall, {}}});
        };
        add(Op::query, 1);
        add(Op::key, 2);
        add(Op::value, 4);
        add(Op::scores, 8);
        add(Op::probabilities, 16);
        add(Op::context, 32);
        add(Op::output, 64);
        add(Op::fc1, 128);
    }
    row.stages.push_back({{Piece::stem, -1}, {Op::conv1, Op::conv1}, {1000, Clock::host_wall, {}}});
    return row;
}

TEST(DesignNote, ShowsTheMeanOfTheLayersBesideWhatWasPublished) {
    const PublishedBaseline note = design_note(six_layers());
    std::vector<double> here;
    for (const BaselineLine& line : note.lines) {
        ASSERT_TRUE(line.here) << line.what;
        here.push_back(line.here->seconds);
    }
    const std::vector<double> expected{14, 48, 64, 128, 254, 510, 0.5, 0.51};
    ASSERT_EQ(here.size(), expected.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
        EXPECT_NEAR(here[i], expected[i], 1e-9) << note.lines[i].what;
    }
    // Another size is not set beside it.
    EncoderRow tiny = six_layers();
    tiny.heads = 6;
    for (const BaselineLine& line : design_note(tiny).lines) {
        EXPECT_FALSE(line.here) << line.what;
    }
}

// The parts that the note adds up to its attention, and the sums that it does not.
TEST(DesignNote, CorrectsTheArithmetic) {
    const PublishedBaseline note = design_note(six_layers());
    EXPECT_NEAR(note.lines[0].published_seconds + note.lines[1].published_seconds +
                    note.lines[2].published_seconds + note.lines[3].published_seconds,
                note.lines[4].published_seconds, 1e-12);
    EXPECT_THAT(note.corrections,
                testing::ElementsAre(testing::HasSubstr("60 ms and 29 ms"), testing::HasSubstr("1244 ms"),
                                     testing::HasSubstr("4.50"),
                                     testing::HasSubstr("give 5.33 s, RTFx 0.94; not its 4.77 s and 1.05"),
                                     testing::HasSubstr("3.19 x"), testing::HasSubstr("55 GFLOP/s")));
}

}  // namespace
}  // namespace harness
