// Which checks fired.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/encoder_record.hpp"
#include "harness/experiment.hpp"

namespace harness {

// Everything that a case was found guilty of: the certificate's findings, those of its rows and of the
// headline, and bits that differ. A check that is not a row's or the headline's is added here.
std::vector<Finding> findings_of(const CaseResult& result);
std::vector<Finding> findings_of(const EncoderRow& row);

// A check's name as one word, e.g. "non_finite_elements" and, of "A, B, A repeats", "a_b_a_repeats".
std::string word_of(Quantity check);

// Throws std::invalid_argument, one line, which lists the valid ones.
Quantity parse_check(std::string_view word);

}  // namespace harness
