#include "datasets/recording_block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "datasets/recording.hpp"

namespace datasets {
namespace {

class RecordingBlock : public testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string in(const char* name) const { return (folder_ / name).string(); }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("recording_block_test_" + std::to_string(getpid()));
};

TEST_F(RecordingBlock, ComesBackAsItWasWritten) {
    Block block;
    block.texts = {{"op", "query"}, {"clip", "a b"}};
    block.numbers = {{"row", 64}, {"head", -1}};
    block.tensors.push_back({"got", 1, 3, {1.5, std::numeric_limits<double>::infinity(), -0.0}, true});
    block.tensors.push_back({"expected", 2, 2, {1.0 / 3, 1e-300, 7, -2}, false});
    write_block(in("block.h5"), block);
    const Block read = read_block(in("block.h5"));
    EXPECT_EQ(read.texts, block.texts);
    EXPECT_EQ(read.numbers, block.numbers);
    ASSERT_EQ(read.tensors.size(), 2U);
    EXPECT_EQ(read.tensors[0].name, "expected");
    EXPECT_EQ(read.tensors[0].values, block.tensors[1].values);
    EXPECT_FALSE(read.tensors[0].single);
    EXPECT_EQ(read.tensors[1].values, block.tensors[0].values);
    EXPECT_TRUE(std::signbit(read.tensors[1].values[2]));
    EXPECT_TRUE(read.tensors[1].single);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "a temporary is left";
}

TEST_F(RecordingBlock, IsWrittenWholeOrNotAtAll) {
    Block block;
    block.tensors.push_back({"got", 2, 3, {1, 2, 3}, true});
    EXPECT_THROW(write_block(in("block.h5"), block), std::invalid_argument);
    block.tensors[0].rows = 1;
    EXPECT_THROW(write_block(in("missing/block.h5"), block), std::runtime_error);
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(RecordingBlock, RefusesWhatIsNone) {
    const auto refusal = [&](const char* name) -> std::string {
        try {
            (void)read_block(in(name));
        } catch (const ReadError& error) {
            return error.what();
        }
        return "no refusal";
    };
    EXPECT_THAT(refusal("absent.h5"), testing::HasSubstr("absent.h5"));
    std::ofstream(in("text.h5")) << "no HDF5";
    EXPECT_THAT(refusal("text.h5"), testing::HasSubstr("text.h5"));
}

}  // namespace
}  // namespace datasets
