// The bound of a layer norm: what the declared arithmetic may do lies inside, however bad the row; what it
// may not lies outside; and the bound is the formula that the kernel states, not idle slack.
#include "harness/norm_bound.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <random>

#include "datasets/bf16.hpp"

namespace harness {
namespace {

using datasets::Accumulation;
using datasets::Arithmetic;

Arithmetic declared(Accumulation accumulation) {
    Arithmetic arithmetic;
    arithmetic.accumulation = accumulation;
    arithmetic.store = datasets::DType::bf16;
    return arithmetic;
}

datasets::Norm random_norm(std::size_t width, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    datasets::Norm norm;
    for (std::size_t j = 0; j < width; ++j) {
        norm.gain.push_back(datasets::round_to_bf16(1 + 0.5F * normal(random), {}));
        norm.bias.push_back(datasets::round_to_bf16(0.2F * normal(random), {}));
    }
    return norm;
}

std::vector<double> exact(std::span<const float> x, const datasets::Norm& norm) {
    long double mean = 0;
    for (const float element : x) {
        mean += element;
    }
    mean /= static_cast<long double>(x.size());
    long double variance = 0;
    for (const float element : x) {
        variance += (element - mean) * (element - mean);
    }
    const long double deviation = sqrtl(variance / static_cast<long double>(x.size()) + 1e-5L);
    std::vector<double> out;
    for (std::size_t j = 0; j < x.size(); ++j) {
        out.push_back(static_cast<double>((x[j] - mean) / deviation * norm.gain[j] + norm.bias[j]));
    }
    return out;
}

// How an operation errs: given its result and the magnitude that its error is relative to, in units of 2^-24.
using Err = std::function<double(double result, double magnitude)>;

// The declared arithmetic of the kernel in doubles, every operation off by what it may be at most, as `err`
// says. Additions of the adder err by u of the larger operand and u of the result, a VMAC by 2 u of the
// largest.
std::vector<double> adverse(std::span<const float> x, const datasets::Norm& norm, const Err& err) {
    const auto add = [&](double a, double b) {
        const double sum = a + b;
        return err(sum, a == 0 || b == 0 ? 0 : std::max(std::abs(a), std::abs(b)) + std::abs(sum));
    };
    const auto round = [&](double value) { return err(value, std::abs(value)); };
    const auto fold = [&](std::array<double, 16>& lanes) {
        for (std::size_t half = 8; half > 0; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) {
                lanes[i] = add(lanes[i], lanes[i + half]);
            }
        }
        return lanes[0];
    };
    const auto count = static_cast<double>(x.size());
    std::array<double, 16> sums{};
    for (std::size_t j = 0; j < x.size(); ++j) {
        sums[j % 16] = add(sums[j % 16], x[j]);
    }
    const double mean = round(fold(sums) / count);
    std::vector<double> d;
    std::array<double, 16> squares{};
    for (std::size_t j = 0; j < x.size(); ++j) {
        d.push_back(add(x[j], -mean));
        // Six VMACs, whose largest addend is the sum so far, and what they leave out of the product.
        const double sum = squares[j % 16] + d[j] * d[j];
        squares[j % 16] = err(sum, 6 * 2 * sum + 4 * d[j] * d[j]);
    }
    const double variance = round(fold(squares) / count);
    const double root = round(variance + 1e-5);
    const double inverse = err(1 / std::sqrt(root), 4 / std::sqrt(root));
    std::vector<double> out;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double n = err(d[j] * inverse, 16 * std::abs(d[j] * inverse));
        const double scaled = n * double{norm.gain[j]};
        const double bias{norm.bias[j]};
        out.push_back(err(scaled + bias, 6 * (std::abs(scaled) + std::abs(bias))));
    }
    return out;
}

double rho(std::span<const float> x, const datasets::Norm& norm, const std::vector<double>& got,
           Accumulation accumulation = Accumulation::vmac_f32) {
    std::vector<double> errors(x.size());
    norm_errors(x, norm, declared(accumulation), errors);
    const std::vector<double> expected = exact(x, norm);
    double worst = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        worst = std::max(worst, std::abs(got[j] - expected[j]) / errors[j]);
    }
    return worst;
}

struct Row {
    const char* name;
    double mean;
    double deviation;
    double massive;  // of channel 3
};

constexpr std::array rows{
    Row{"plain", 0, 1, 0},           Row{"mean 8", 8, 1, 0},       Row{"mean 1000", 1000, 1, 0},
    Row{"large mean", 1e4, 1e-2, 0}, Row{"constant", 3, 0, 0},     Row{"zero", 0, 0, 0},
    Row{"tiny", 1, 1e-4, 0},         Row{"massive", 0.3, 1, 200},  Row{"massive, tiny", 0, 1e-3, -90},
    Row{"denormal", 0, 1e-39, 0},    Row{"drowned", 1e6, 1e-2, 0}, Row{"huge", 0, 1e15, 0},
};

std::vector<float> make(const Row& row, std::size_t width, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<float> x(width);
    for (float& element : x) {
        element = static_cast<float>(row.mean + row.deviation * normal(random));
    }
    if (row.massive != 0) {
        x[3] = static_cast<float>(row.massive);
    }
    return x;
}

TEST(NormBound, HoldsHoweverTheDeclaredArithmeticErrs) {
    double closest = 0;
    for (const std::size_t width : {64U, 384U, 512U, 1280U}) {
        for (const Row& row : rows) {
            const std::vector<float> x = make(row, width, 3);
            const datasets::Norm norm = random_norm(width, 4);
            std::mt19937 random(5);
            std::bernoulli_distribution coin;
            for (const double sign : {1.0, -1.0, 0.0}) {
                const auto got = adverse(x, norm, [&](double result, double magnitude) {
                    const double side = sign != 0 ? sign : (coin(random) ? 1.0 : -1.0);
                    return result + side * 0x1p-24 * magnitude;
                });
                const double found = rho(x, norm, got);
                EXPECT_LE(found, 1.0) << row.name << " " << width << " " << sign;
                closest = std::max(closest, found);
            }
        }
    }
    EXPECT_GT(closest, 0.3) << "the bound is more than three times what can happen";
}

// The formula in the header of kernels/aie2/layer_norm.cc, which counts the products of the squares as one
// rounding each.
TEST(NormBound, IsTheFormulaThatTheKernelStatesWithinAFactorOfFour) {
    for (const std::size_t width : {384U, 512U, 1280U}) {
        for (const Row& row : {rows[0], rows[1], rows[2], rows[7]}) {
            const std::vector<float> x = make(row, width, 6);
            const datasets::Norm norm = random_norm(width, 7);
            std::vector<double> errors(width);
            norm_errors(x, norm, declared(Accumulation::vmac_f32), errors);
            double mean = 0;
            double magnitude = 0;
            for (const float element : x) {
                mean += double{element} / double(width);
                magnitude += std::abs(double{element}) / double(width);
            }
            double variance = 0;
            for (const float element : x) {
                variance += (double{element} - mean) * (double{element} - mean) / double(width);
            }
            const double deviation = std::sqrt(variance + 1e-5);
            for (std::size_t j = 0; j < width; ++j) {
                const double n = std::abs(double{x[j]} - mean) / deviation;
                const double stated =
                    (double(width) / 16 + 8) * 0x1p-23 * (1 + magnitude / deviation) *
                    double{std::abs(norm.gain[j]) * (1 + static_cast<float>(n)) + std::abs(norm.bias[j])};
                EXPECT_LT(errors[j], 4 * stated) << row.name << " " << j;
                EXPECT_GT(errors[j], 0) << row.name << " " << j;
            }
        }
    }
}

// Not vacuous: for rows as an encoder has them the store, 2^-8 of the result, exceeds what comes before it.
TEST(NormBound, IsSmallBesideTheStoreForAnEncodersRows) {
    for (const Row& row : {rows[0], rows[1], rows[7]}) {
        const std::vector<float> x = make(row, 512, 8);
        datasets::Norm norm = random_norm(512, 9);
        std::vector<double> errors(512);
        norm_errors(x, norm, declared(Accumulation::vmac_f32), errors);
        for (std::size_t j = 0; j < x.size(); ++j) {
            const double n = 1 + std::abs(double{x[j]} - row.mean) / 1;
            EXPECT_LT(errors[j],
                      0x1p-8 / 16 * (std::abs(double{norm.gain[j]}) * n + std::abs(double{norm.bias[j]})))
                << row.name << " " << j;
        }
    }
}

TEST(NormBound, SeesAMissingEpsilonAnUnbiasedVarianceAndALostTerm) {
    const datasets::Norm norm = random_norm(512, 10);
    const auto flawed = [&](std::span<const float> x, double epsilon, double divisor, std::size_t terms) {
        double mean = 0;
        for (std::size_t j = 0; j < terms; ++j) {
            mean += double{x[j]} / double(x.size());
        }
        double squares = 0;
        for (const float element : x) {
            squares += (double{element} - mean) * (double{element} - mean);
        }
        std::vector<double> out;
        for (std::size_t j = 0; j < x.size(); ++j) {
            const double n = (double{x[j]} - mean) / std::sqrt(squares / divisor + epsilon);
            out.push_back(n * double{norm.gain[j]} + double{norm.bias[j]});
        }
        return out;
    };
    const std::vector<float> plain = make(rows[0], 512, 11);
    const std::vector<float> nearly_constant = make(rows[6], 512, 12);
    EXPECT_LE(rho(plain, norm, flawed(plain, 1e-5, 512, 512)), 1e-3) << "the healthy one";
    EXPECT_GT(rho(nearly_constant, norm, flawed(nearly_constant, 0, 512, 512)), 100);
    EXPECT_GT(rho(plain, norm, flawed(plain, 1e-5, 511, 512)), 10);
    EXPECT_GT(rho(plain, norm, flawed(plain, 1e-5, 512, 496)), 100);
    EXPECT_GT(rho(nearly_constant, norm, flawed(nearly_constant, 1e-12, 512, 512)), 100);
}

// A host path in plain fp32 has no lanes and no adder: sums of any order.
TEST(NormBound, HoldsForPlainFp32) {
    for (const Row& row : rows) {
        const std::vector<float> x = make(row, 512, 13);
        const datasets::Norm norm = random_norm(512, 14);
        float sum = 0;
        for (const float element : x) {
            sum += element;
        }
        const float mean = sum / 512;
        float squares = 0;
        for (const float element : x) {
            squares += (element - mean) * (element - mean);
        }
        const float inverse = 1 / std::sqrt(squares / 512 + 1e-5F);
        std::vector<double> got;
        for (std::size_t j = 0; j < x.size(); ++j) {
            got.push_back(double{(x[j] - mean) * inverse * norm.gain[j] + norm.bias[j]});
        }
        EXPECT_LE(rho(x, norm, got, Accumulation::blas_f32), 1.0) << row.name;
    }
}

}  // namespace
}  // namespace harness
