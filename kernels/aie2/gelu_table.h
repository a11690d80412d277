// Phi(-a), the upper tail of the normal distribution, for 0 <= a < 5: a polynomial of degree 6 in a - centre
// on each of three pieces, the minimax fit of its values (error of GELU in units of max(|gelu|, 2^-8):
// 2^-17.9, 2^-12.5, 2^-12.9).
#pragma once

namespace kernels::aie2::gelu_table {

constexpr unsigned degree = 6;
constexpr unsigned pieces = 3;
constexpr float centres[pieces] = {0.75F, 2.375F, 4.125F};  // of [0, 1.5), [1.5, 3.25), [3.25, 5)

// coefficients[k][piece] of (a - centre)^k.
constexpr float coefficients[degree + 1][pieces] = {
    {0.226628245F, 0.00877325586F, 1.8544453e-05F},     {-0.301139471F, -0.0237756196F, -8.15504639e-05F},
    {0.112889239F, 0.0282801279F, 0.000166106796F},     {0.0220116868F, -0.0184183673F, -0.000204302839F},
    {-0.0227005344F, 0.0059850761F, 0.000192754916F},   {-0.000111740463F, 4.2072363e-05F, -0.000156000898F},
    {0.00256521943F, -0.000525401608F, 6.6664284e-05F},
};

}  // namespace kernels::aie2::gelu_table
