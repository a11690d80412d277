// What the recorder writes is what the encoder blocks compute, layer after layer.
#include "harness/recorder.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "harness/certificate.hpp"
#include "reference/encoder_block.hpp"

namespace harness {
namespace {

class Recorder : public testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("recorder_test_" + std::to_string(getpid()));
};

RecordRequest small(std::int64_t context) {
    RecordRequest request;
    request.model.shape.context = context;
    request.model.layers = 3;
    return request;
}

TEST_F(Recorder, WritesEveryLayersInputAndItsAttention) {
    const std::string file = (folder_ / "r.h5").string();
    const RecordRequest request = small(70);
    record_synthetic(request, file, false);
    const datasets::Recording recording(file);
    EXPECT_EQ(recording.info().shape(), request.model.shape);
    EXPECT_EQ(recording.info().source, "synthetic");
    ASSERT_EQ(recording.info().clips.size(), 1U);
    EXPECT_DOUBLE_EQ(recording.info().clips[0].audio_seconds, 1.4);

    std::vector<float> residual = datasets::synthetic_embedding(request.model);
    for (int layer = 0; layer < 3; ++layer) {
        const datasets::LayerCase stored = recording.layer(recording.info().clips[0].id, layer);
        const auto block = datasets::synthetic_block(request.model, layer);
        const auto expected = reference::make_case(block, request.model.shape, residual, stored.clip, layer);
        EXPECT_EQ(stored.input, expected.input);
        EXPECT_EQ(stored.weights.attention.key.weight, block.attention.key.weight);
        EXPECT_TRUE(stored.weights.attention.key.bias.empty());
        EXPECT_EQ(stored.recorded, expected.recorded);
        EXPECT_EQ(stored.row_log_sum_exp, expected.row_log_sum_exp);
        const reference::GoldenSource golden(stored);
        EXPECT_EQ(certify(stored, golden, datasets::attention_ops, 1).fault, "");
        reference::advance(block, expected, residual);
    }
}

TEST_F(Recorder, IsDeterministic) {
    record_synthetic(small(65), (folder_ / "a.h5").string(), false);
    record_synthetic(small(65), (folder_ / "b.h5").string(), false);
    EXPECT_EQ(datasets::Recording((folder_ / "a.h5").string()).content_sha256(),
              datasets::Recording((folder_ / "b.h5").string()).content_sha256());
    RecordRequest other = small(65);
    other.model.seed = 2;
    record_synthetic(other, (folder_ / "c.h5").string(), false);
    EXPECT_NE(datasets::Recording((folder_ / "a.h5").string()).content_sha256(),
              datasets::Recording((folder_ / "c.h5").string()).content_sha256());
}

TEST_F(Recorder, NamesTheFileItCannotWrite) {
    try {
        record_synthetic(small(1), (folder_ / "no" / "such" / "r.h5").string(), false);
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("r.h5"), std::string::npos) << error.what();
    }
}

TEST(AudioSeconds, FollowTheStrideOfTheEncoder) {
    EXPECT_DOUBLE_EQ(audio_seconds_of(1500), 30.0);
    EXPECT_DOUBLE_EQ(audio_seconds_of(3001), 30.0);
    EXPECT_DOUBLE_EQ(audio_seconds_of(250), 5.0);
}

}  // namespace
}  // namespace harness
