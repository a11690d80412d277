// Names for the cases of parameterised tests, made of their parameters.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>

namespace datasets::testing {

// Words, numbers, and whatever a function `name` beside its type has a word for.
template <typename T>
std::string case_word(const T& value) {
    std::string word;
    if constexpr (std::convertible_to<T, std::string_view>) {
        word = std::string_view(value);
    } else if constexpr (std::integral<T>) {
        word = std::to_string(value);
    } else {
        word = name(value);
    }
    const auto fits = [](unsigned char c) { return std::isalnum(c) != 0; };
    std::ranges::replace_if(word, std::not_fn(fits), '_');
    return word;
}

template <typename... T>
std::string case_word(const std::tuple<T...>& values) {
    std::string words = std::apply([](const auto&... one) { return (("_" + case_word(one)) + ...); }, values);
    return words.substr(1);
}

// The last argument of INSTANTIATE_TEST_SUITE_P.
struct CaseName {
    template <typename T>
    std::string operator()(const ::testing::TestParamInfo<T>& one) const {
        return case_word(one.param);
    }
};

}  // namespace datasets::testing
