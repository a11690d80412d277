// What others wrote (names of files, clips and commits, reasons), made fit to be shown: valid UTF-8 without
// what breaks a table, moves a terminal's cursor, or is no XML. Each report cleans what it takes from a
// record.
#pragma once

#include <string>
#include <string_view>

namespace reports {

// One line: line breaks and tabs become blanks. U+FFFD for every other control character, for U+FFFE and
// U+FFFF, and for each byte that is not UTF-8.
std::string one_line(std::string_view text);

// The same with its line breaks and tabs. Every character is one of XML 1.0 (section 2.2).
std::string clean_lines(std::string_view text);

}  // namespace reports
