// The core of the array design row_softmax on the host: the bits of the kernels whose state it keeps,
// whatever the row block before left in it.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/aie2/aie2_kernels_test.hpp"

extern "C" {
void row_softmax_begin();
void row_softmax_update(const float* scores, int keys);
void row_softmax_finish(const float* scores, int keys, bfloat16* out);
}

namespace kernels::aie2_test {
namespace {

struct KeyTile {
    std::vector<float> scores;
    int keys = tile;
};

// A row block of three tiles, the last ragged; what pads it must not be read.
std::vector<KeyTile> row_block(unsigned seed, int last_keys, float offset) {
    std::vector<KeyTile> tiles;
    for (unsigned t = 0; t < 3; ++t) {
        tiles.push_back({normal_floats(seed + t, tile_size, 4.0F), t < 2 ? tile : last_keys});
        for (float& score : tiles.back().scores) {
            score += offset;
        }
    }
    for (int i = 0; i < tile; ++i) {
        for (int j = last_keys; j < tile; ++j) {
            tiles.back().scores[row_major(i, j)] = not_a_number;
        }
    }
    return tiles;
}

std::vector<std::uint16_t> bits_of_all(Halves& values) {
    std::vector<std::uint16_t> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
        out.push_back(bits_of(values[i]));
    }
    return out;
}

// As the design calls it: begin, every tile, every tile again.
std::vector<std::vector<std::uint16_t>> on_the_core(const std::vector<KeyTile>& tiles) {
    row_softmax_begin();
    for (const KeyTile& one : tiles) {
        Floats scores(one.scores);
        row_softmax_update(scores.data(), one.keys);
    }
    std::vector<std::vector<std::uint16_t>> out;
    for (const KeyTile& one : tiles) {
        Floats scores(one.scores);
        Halves p(static_cast<std::size_t>(tile_size));
        row_softmax_finish(scores.data(), one.keys, p.data());
        EXPECT_TRUE(p.intact());
        out.push_back(bits_of_all(p));
    }
    return out;
}

std::vector<std::vector<std::uint16_t>> by_the_kernels(const std::vector<KeyTile>& tiles) {
    Floats row_max(static_cast<std::size_t>(tile), -infinity);
    Floats row_sum(static_cast<std::size_t>(tile));
    for (const KeyTile& one : tiles) {
        Floats scores(one.scores);
        softmax_update(scores.data(), one.keys, row_max.data(), row_sum.data());
    }
    std::vector<std::vector<std::uint16_t>> out;
    for (const KeyTile& one : tiles) {
        Floats scores(one.scores);
        Halves p(static_cast<std::size_t>(tile_size));
        softmax_finish_even(scores.data(), one.keys, row_max.data(), row_sum.data(), p.data());
        out.push_back(bits_of_all(p));
    }
    return out;
}

// Blocks one after the other, each with larger scores than the next: what stayed of one would show.
TEST(RowSoftmax, HasTheBitsOfItsKernelsForEveryRowBlock) {
    unsigned seed = 1;
    for (const int keys : {0, 1, 17, 63, 64}) {
        for (const float offset : {40.0F, 0.0F, -40.0F}) {
            const std::vector<KeyTile> tiles = row_block(seed, keys, offset);
            EXPECT_EQ(on_the_core(tiles), by_the_kernels(tiles)) << keys << " keys, offset " << offset;
            seed += 3;
        }
    }
}

}  // namespace
}  // namespace kernels::aie2_test
