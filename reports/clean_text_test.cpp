#include "reports/clean_text.hpp"

#include <gtest/gtest.h>

namespace reports {
namespace {

const std::string no_character = "\xEF\xBF\xBD";  // U+FFFD

TEST(CleanText, KeepsWhatCanBeShown) {
    for (const std::string text : {"", "plain ~", "\xC3\xA4 \xE6\xBC\xA2 \xF0\x9F\x98\x80", "\xEF\xBF\xBD"}) {
        EXPECT_EQ(one_line(text), text);
        EXPECT_EQ(clean_lines(text), text);
    }
}

TEST(CleanText, MakesOneLineOrKeepsThem) {
    EXPECT_EQ(one_line("a\nb\r\tc"), "a b  c");
    EXPECT_EQ(clean_lines("a\nb\r\tc"), "a\nb\r\tc");
}

TEST(CleanText, ReplacesControlCharactersAndWhatIsNoXml) {
    for (const std::string& bad : {std::string(1, '\0'), std::string("\x01"), std::string("\x1B"),
                                   std::string("\x7F"), std::string("\xC2\x9B"), std::string("\xE2\x80\xA8"),
                                   std::string("\xEF\xBF\xBE"), std::string("\xEF\xBF\xBF")}) {
        EXPECT_EQ(one_line("a" + bad + "b"), "a" + no_character + "b");
        EXPECT_EQ(clean_lines("a" + bad + "b"), "a" + no_character + "b");
    }
}

TEST(CleanText, ReplacesEveryByteThatIsNotUtf8) {
    EXPECT_EQ(one_line("a\xFF"), "a" + no_character);
    EXPECT_EQ(one_line("\xC3"), no_character) << "cut short";
    EXPECT_EQ(one_line("\xC3("), no_character + "(") << "and not what follows";
    EXPECT_EQ(one_line("\x80"), no_character) << "a continuation of nothing";
    EXPECT_EQ(one_line("\xC0\xAF"), no_character + no_character) << "longer than it need be";
    EXPECT_EQ(one_line("\xED\xA0\x80"), no_character + no_character + no_character) << "a surrogate";
    EXPECT_EQ(one_line("\xF4\x90\x80\x80").size(), 4 * no_character.size()) << "beyond U+10FFFF";
}

}  // namespace
}  // namespace reports
