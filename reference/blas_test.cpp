#include "reference/blas.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "reference/layers_for_tests.hpp"

namespace reference {
namespace {

template <typename T>
class Gemm : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Gemm, Scalars);

// Every transposition, shapes below and above the library's blocks, strides wider than the rows: against
// plain loops.
TYPED_TEST(Gemm, AgreesWithPlainLoops) {
    using T = TypeParam;
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-15;
    for (const auto& [m, n, k] : {std::array{1, 1, 1}, {3, 5, 7}, {64, 65, 63}, {130, 200, 257}}) {
        for (const bool left : {false, true}) {
            for (const bool right : {false, true}) {
                const auto random = [](int rows, int stride, std::uint32_t seed) {
                    const auto values = random_tensor(rows * stride, 1, seed);
                    return std::vector<T>(values.begin(), values.end());
                };
                const int a_stride = (left ? m : k) + 3;
                const int b_stride = (right ? k : n) + 2;
                const int c_stride = n + 1;
                const std::vector<T> a = random(left ? k : m, a_stride, 1);
                const std::vector<T> b = random(right ? n : k, b_stride, 2);
                std::vector<T> c = random(m, c_stride, 3);
                const std::vector<T> before = c;
                gemm(left ? Transpose::yes : Transpose::no, right ? Transpose::yes : Transpose::no, T(0.5),
                     {a.data(), left ? k : m, left ? m : k, a_stride},
                     {b.data(), right ? n : k, right ? k : n, b_stride}, T(2), {c.data(), m, n, c_stride});
                for (int i = 0; i < m; ++i) {
                    for (int j = 0; j < n; ++j) {
                        double sum = 0;
                        double magnitude = 0;
                        for (int p = 0; p < k; ++p) {
                            const double product =
                                double(a[std::size_t(left ? p * a_stride + i : i * a_stride + p)]) *
                                double(b[std::size_t(right ? j * b_stride + p : p * b_stride + j)]);
                            sum += 0.5 * product;
                            magnitude += 0.5 * std::abs(product);
                        }
                        const auto at = std::size_t(i * c_stride + j);
                        const double old = 2 * double(before[at]);
                        ASSERT_NEAR(double(c[at]), sum + old, tolerance * (magnitude + std::abs(old)))
                            << m << " " << n << " " << k << " at " << i << " " << j;
                    }
                    const auto gap = std::size_t(i * c_stride + n);
                    ASSERT_EQ(c[gap], before[gap]) << "written beside the matrix";
                }
            }
        }
    }
}

// Shapes that are cut into rows, into columns, and not at all; strides wider than the rows.
TYPED_TEST(Gemm, InPartsAgreesWithTheWhole) {
    using T = TypeParam;
    const double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-14;
    for (const auto& [m, n, k] : {std::array{64, 1500, 64},
                                  {64, 64, 1500},
                                  {64, 64, 3001},
                                  {61, 64, 512},
                                  {64, 512, 512},
                                  {7, 3, 5},
                                  {0, 5, 3}}) {
        const auto random = [](int rows, int stride, std::uint32_t seed) {
            const auto values = random_tensor(std::max(rows, 1) * stride, 1, seed);
            return std::vector<T>(values.begin(), values.end());
        };
        const std::vector<T> a = random(m, k + 3, 1);
        const std::vector<T> b = random(k, n + 2, 2);
        std::vector<T> whole = random(m, n + 1, 3);
        std::vector<T> parts = whole;
        const ConstMatrix<T> left{a.data(), m, k, k + 3};
        const ConstMatrix<T> right{b.data(), k, n, n + 2};
        gemm(Transpose::no, Transpose::no, T(0.5), left, right, T(2), {whole.data(), m, n, n + 1});
        gemm_in_parts(T(0.5), left, right, T(2), {parts.data(), m, n, n + 1});
        for (std::size_t i = 0; i < whole.size(); ++i) {
            ASSERT_NEAR(double(parts[i]), double(whole[i]), tolerance * k) << m << " " << n << " " << k;
        }
        EXPECT_THROW(gemm_in_parts(T(1), left, right, T(0), {parts.data(), m + 1, n, n + 1}),
                     std::invalid_argument);
        EXPECT_THROW(
            gemm_in_parts(T(1), left, {b.data(), k + 1, n, n + 2}, T(0), {parts.data(), m, n, n + 1}),
            std::invalid_argument);
        EXPECT_THROW(gemm_in_parts(T(1), left, right, T(0), {parts.data(), m, n - 1, n + 1}),
                     std::invalid_argument);
    }
}

TYPED_TEST(Gemm, BetaZeroOverwritesNaN) {
    using T = TypeParam;
    const std::vector<T> a{1, 2};
    const std::vector<T> b{3, 4};
    std::vector<T> c{std::numeric_limits<T>::quiet_NaN()};
    gemm(Transpose::no, Transpose::no, T(1), dense(a.data(), 1, 2), dense(b.data(), 2, 1), T(0),
         dense(c.data(), 1, 1));
    EXPECT_EQ(c.front(), T(11));
}

TYPED_TEST(Gemm, RefusesShapesThatDoNotFit) {
    using T = TypeParam;
    std::vector<T> values(12);
    const auto matrix = [&](int rows, int columns) { return dense(values.data(), rows, columns); };
    const auto call = [&](Matrix<T> a, Matrix<T> b, Matrix<T> c) {
        gemm(Transpose::no, Transpose::no, T(1), a, b, T(0), c);
    };
    EXPECT_THROW(call(matrix(2, 3), matrix(2, 2), matrix(2, 2)), std::invalid_argument);
    EXPECT_THROW(call(matrix(2, 3), matrix(3, 2), matrix(3, 2)), std::invalid_argument);
    EXPECT_THROW(call(matrix(2, 3), matrix(3, 2), matrix(2, 3)), std::invalid_argument);
    EXPECT_NO_THROW(call(matrix(0, 3), matrix(3, 2), matrix(0, 2)));
}

// A CPU that the library does not know must not drop to the kernels of its oldest ancestor.
TEST(Blas, UsesTheVectorUnitsOfThisCpu) {
    const BlasInfo info = blas_info();
    EXPECT_EQ(info.name.rfind("OpenBLAS ", 0), 0U) << info.name;
    EXPECT_NE(info.config.find(info.core_type), std::string::npos) << info.config;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
        EXPECT_NE(info.core_type, "Prescott");
        EXPECT_NE(info.core_type, "Barcelona");
    }
}

}  // namespace
}  // namespace reference
