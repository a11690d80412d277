#include "harness/self_check/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace harness {

std::vector<Finding> findings_of(const CaseResult& result) {
    std::vector<Finding> out = result.layer.certificate.findings;
    for (const OpRow& row : result.rows) {
        for (const Finding& finding : row.judgement.findings) {
            out.push_back({finding.quantity, fmt::format("{} ({}): {}", datasets::name(row.op),
                                                         name(row.input), finding.text)});
        }
    }
    for (const ProbeRow& row : result.layer.probes) {
        out.insert(out.end(), row.judgement.findings.begin(), row.judgement.findings.end());
    }
    const auto& headline = result.layer.headline.findings;
    out.insert(out.end(), headline.begin(), headline.end());
    if (result.layer.differing_elements > 0) {
        out.push_back({Quantity::repeatability,
                       fmt::format("{} of {} elements lie in blocks that differ after A, B, A",
                                   result.layer.differing_elements, result.layer.repeated_elements)});
    }
    return out;
}

std::vector<Finding> findings_of(const EncoderRow& row) {
    std::vector<Finding> out;
    for (const auto& [stage, certificate] : row.certificates) {
        out.insert(out.end(), certificate.findings.begin(), certificate.findings.end());
    }
    out.insert(out.end(), row.judgement.findings.begin(), row.judgement.findings.end());
    return out;
}

std::string word_of(Quantity check) {
    std::string out;
    for (const char letter : limit(check).name) {
        const auto c = static_cast<unsigned char>(letter);
        if (std::isalnum(c) != 0) {
            out += static_cast<char>(std::tolower(c));
        } else if (!out.empty() && out.back() != '_') {
            out += '_';
        }
    }
    return out;
}

Quantity parse_check(std::string_view word) {
    std::string valid;
    for (const Limit& one : limits()) {
        if (word_of(one.quantity) == word) {
            return one.quantity;
        }
        valid += (valid.empty() ? "" : ", ") + word_of(one.quantity);
    }
    throw std::invalid_argument(fmt::format("unknown check '{}'; valid: {}", word, valid));
}

}  // namespace harness
