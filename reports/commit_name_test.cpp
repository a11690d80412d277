#include "reports/commit_name.hpp"

#include <gtest/gtest.h>

namespace reports {
namespace {

const std::string hash = "212a10f0640e30142a3b553df17d8ac2f083b9eb";

TEST(CommitName, IsTheSameBeforeAndAfterATag) {
    EXPECT_EQ(commit_name("v1.0-0-g" + hash), commit_name(hash));
    EXPECT_EQ(commit_name("v1.0-3-g" + hash + "-dirty"), commit_name(hash + "-dirty"));
    EXPECT_NE(commit_name(hash), commit_name(hash + "-dirty"));
    EXPECT_EQ(commit_name("too-good-to-be-true").hash, "too-good-to-be-true") << "no hash follows -g";
}

TEST(CommitName, IsAskedForByHashTagOrWhole) {
    const std::string tagged = "v1.0-0-g" + hash;
    for (const std::string& asked : {hash, hash.substr(0, 7), std::string("v1.0"), tagged}) {
        EXPECT_TRUE(is_of_commit(tagged, asked)) << asked;
        EXPECT_FALSE(is_of_commit(tagged + "-dirty", asked)) << asked;
    }
    EXPECT_TRUE(is_of_commit(hash, tagged)) << "built before the tag";
    EXPECT_FALSE(is_of_commit("v1.0-1-g" + hash, "v1.0"));
    EXPECT_FALSE(is_of_commit(hash, hash.substr(0, 6)));
    EXPECT_FALSE(is_of_commit(hash, hash + "-dirty"));
    EXPECT_TRUE(is_of_commit(tagged + "-dirty", hash + "-dirty"));
}

TEST(CommitName, IsShownByFewDigits) {
    EXPECT_EQ(short_commit("v1.0-3-g" + hash), "212a10f0640e");
    EXPECT_EQ(short_commit(hash + "-dirty"), "212a10f0640e-dirty");
}

}  // namespace
}  // namespace reports
