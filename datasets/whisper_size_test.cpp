#include "datasets/whisper_size.hpp"

#include <gtest/gtest.h>

namespace datasets {
namespace {

TEST(WhisperSize, NamesAndDimensionsBelongTogether) {
    for (const WhisperSize& size : whisper_sizes) {
        const auto parsed = parse_whisper_size(size.name);
        ASSERT_TRUE(parsed.has_value()) << size.name;
        EXPECT_EQ(parsed->name, size.name);
        const auto named = whisper_model_id(size.mels, size.heads, size.layers);
        const auto same = parse_whisper_size(named.substr(8));
        ASSERT_TRUE(same.has_value()) << named;
        EXPECT_EQ(same->mels, size.mels);
        EXPECT_EQ(same->heads, size.heads);
        EXPECT_EQ(same->layers, size.layers);
    }
    EXPECT_EQ(whisper_size_names(), "tiny, base, small, medium, large, large-v3, large-v3-turbo");
}

TEST(WhisperSize, KnownValues) {
    EXPECT_EQ(parse_whisper_size("base.en")->heads, 8);
    EXPECT_EQ(parse_whisper_size("base")->layers, 6);
    EXPECT_EQ(parse_whisper_size("large-v2")->mels, 80);
    EXPECT_EQ(parse_whisper_size("turbo")->mels, 128);
    EXPECT_EQ(whisper_model_id(80, 6, 4), "whisper-tiny");
    EXPECT_EQ(whisper_model_id(80, 7, 5), "whisper-80x7x5");
    EXPECT_FALSE(parse_whisper_size("huge").has_value());
    EXPECT_FALSE(parse_whisper_size("").has_value());
}

}  // namespace
}  // namespace datasets
