#include "datasets/sha256.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "datasets/recording.hpp"

namespace datasets {
namespace {

std::string hash_of(std::string_view text) {
    return sha256_hex(std::as_bytes(std::span(text)));
}

// FIPS 180-4 example values.
TEST(Sha256, KnownValues) {
    EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
    const std::string file = testing::TempDir() + "sha256_of_file";
    const std::string text((std::size_t{1} << 20U) + 7, 'x');  // more than it reads at once
    for (const std::string_view content : {std::string_view(), std::string_view(text)}) {
        std::ofstream(file, std::ios::binary) << content;
        EXPECT_EQ(sha256_of_file(file), hash_of(content));
    }
    std::filesystem::remove(file);
    EXPECT_THROW((void)sha256_of_file(file), ReadError);
    EXPECT_THROW((void)sha256_of_file(testing::TempDir()), ReadError) << "a folder";
}

TEST(Sha256, DoesNotDependOnThePieces) {
    const std::string text(1000, 'x');
    for (const std::size_t cut :
         {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, text.size()}) {
        Sha256 hash;
        hash.update(std::string_view(text).substr(0, cut));
        hash.update(std::string_view(text).substr(cut));
        EXPECT_EQ(hash.finish(), hash_of(text)) << cut;
    }
}

}  // namespace
}  // namespace datasets
