// How a kernel may round its operands, whatever its design declares: what a diagnosis tries.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"

namespace harness {

struct Habit {
    std::string_view name;
    datasets::DType operand;
    datasets::Rounding rounding;  // of bf16
};

inline constexpr std::array<Habit, 4> habits{
    {{"not rounded", datasets::DType::f32, datasets::Rounding::nearest_even},
     {"rounded nearest_even", datasets::DType::bf16, datasets::Rounding::nearest_even},
     {"rounded toward_zero", datasets::DType::bf16, datasets::Rounding::toward_zero},
     {"rounded floor", datasets::DType::bf16, datasets::Rounding::floor}}};

inline bool is_declared(const Habit& habit, const datasets::Arithmetic& declared) {
    return habit.operand == declared.operand &&
           (habit.operand == datasets::DType::f32 || habit.rounding == declared.operand_rounding);
}

template <typename Real>
void round_as(const Habit& habit, std::vector<Real>& values) {
    if (habit.operand == datasets::DType::bf16) {
        std::ranges::for_each(
            values, [&](Real& v) { v = datasets::round_to_bf16(static_cast<float>(v), habit.rounding); });
    }
}

}  // namespace harness
