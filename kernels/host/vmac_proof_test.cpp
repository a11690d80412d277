// Proof by comparison that the vector code of one VMAC, of a block product and of vadd.f gives the bits of
// the scalar model, and what follows from that arithmetic: its properties, and the error of a dot product.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "aie_api/aie.hpp"
#include "kernels/host/vmac_model_test.hpp"

namespace kernels::host {
namespace {

using model::Operands;
using model::sign_bit;

// Draw number n of stream s depends on (s, n) alone (the finaliser of SplitMix64).
class Draws {
public:
    explicit Draws(std::uint64_t stream) : state_(stream * 0xD1B5'4A32'D192'ED03) {}

    std::uint64_t next() {
        state_ += 0x9E37'79B9'7F4A'7C15;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
        z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
        return z ^ (z >> 31);
    }
    // 0 .. count - 1
    int below(int count) {
        return static_cast<int>((next() >> 32) * static_cast<std::uint64_t>(count) >> 32);
    }
    int between(int low, int high) { return low + below(high - low + 1); }
    bool one_in(int count) { return below(count) == 0; }
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    double normal() {
        const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

private:
    std::uint64_t state_;
};

struct Lane {
    std::uint32_t q = 0;
    Operands a{};
    Operands b{};
};

std::uint16_t bf16(bool negative, int field, int fraction) {
    return static_cast<std::uint16_t>((negative ? 0x8000 : 0) | field << 7 | fraction);
}
std::uint32_t fp32(bool negative, int field, std::uint32_t fraction) {
    return (negative ? sign_bit : 0) | static_cast<std::uint32_t>(field) << 23 | fraction;
}
std::uint16_t nearest_bf16(double value) {
    return model::to_bf16(std::bit_cast<std::uint32_t>(static_cast<float>(value)),
                          model::Rounding::conv_even);
}
double value_of(std::uint16_t bits) {
    return static_cast<double>(std::bit_cast<float>(model::widen(bits)));
}
double value_of(std::uint32_t bits) {
    return static_cast<double>(std::bit_cast<float>(bits));
}

std::uint16_t any_bf16(Draws& draws, int low_field, int high_field) {
    const auto bits = static_cast<int>(draws.next() >> 56);
    return bf16((bits & 1) != 0, draws.between(low_field, high_field), bits >> 1);
}
std::uint32_t any_fp32(Draws& draws, int low_field, int high_field) {
    const auto bits = static_cast<std::uint32_t>(draws.next() >> 40);
    return fp32((bits & 1) != 0, draws.between(low_field, high_field), bits >> 1);
}

// A pair of operands whose exponent fields add up to `sum` (2..510), wide apart as drawn; finite up to 508.
void set_product(Draws& draws, Lane& lane, std::size_t k, int sum) {
    const int top = sum <= 508 ? 254 : 255;
    const int field = draws.between(std::max(1, sum - top), std::min(top, sum - 1));
    lane.a[k] = any_bf16(draws, field, field);
    lane.b[k] = any_bf16(draws, sum - field, sum - field);
}

std::string describe(const Lane& lane, std::uint32_t host, std::uint32_t expected) {
    char text[64];
    std::snprintf(text, sizeof text, "q %08X host %08X model %08X a*b", lane.q, host, expected);
    std::string line = text;
    for (std::size_t k = 0; k < 8; ++k) {
        std::snprintf(text, sizeof text, " %04X*%04X", static_cast<unsigned>(lane.a[k]),
                      static_cast<unsigned>(lane.b[k]));
        line += text;
    }
    return line;
}

bool agrees(std::uint32_t host, const model::Result& expected) {
    return host == expected.bits || (expected.open_fraction && model::is_nan(host));
}

std::array<std::uint32_t, 16> host_vmac(const std::array<Lane, 16>& lanes) {
    alignas(64) float acc[16];
    alignas(64) std::uint16_t a[8][16];
    alignas(64) std::uint16_t b[8][16];
    for (std::size_t l = 0; l < 16; ++l) {
        acc[l] = std::bit_cast<float>(lanes[l].q);
        for (std::size_t k = 0; k < 8; ++k) {
            a[k][l] = lanes[l].a[k];
            b[k][l] = lanes[l].b[k];
        }
    }
    aie::detail::vmac8(acc, a, b);
    std::array<std::uint32_t, 16> bits;
    std::transform(acc, acc + 16, bits.begin(),
                   [](float value) { return std::bit_cast<std::uint32_t>(value); });
    return bits;
}

// Sixteen lanes against the model; tells of the first breaches only.
void expect_equal(const std::array<Lane, 16>& lanes, int& breaches) {
    const auto host = host_vmac(lanes);
    for (std::size_t l = 0; l < 16; ++l) {
        const model::Result expected = model::vmac(lanes[l].q, lanes[l].a, lanes[l].b);
        if (!agrees(host[l], expected) && ++breaches <= 4) {
            ADD_FAILURE() << "lane " << l << ": " << describe(lanes[l], host[l], expected.bits);
        }
    }
}

template <typename Make>
void prove(int cases, std::uint64_t stream, const Make& make) {
    Draws draws(stream);
    int breaches = 0;
    for (int done = 0; done < cases; done += 16) {
        std::array<Lane, 16> lanes;
        for (Lane& lane : lanes) {
            lane = Lane{};
            make(draws, lane);
        }
        expect_equal(lanes, breaches);
    }
    EXPECT_EQ(breaches, 0) << "of " << cases << " cases";
}

// ---- families of cases; each fills one lane

void uniform_bits(Draws& draws, Lane& lane) {
    lane.q = static_cast<std::uint32_t>(draws.next());
    for (std::size_t k = 0; k < 8; ++k) {
        const std::uint64_t bits = draws.next();
        lane.a[k] = static_cast<std::uint16_t>(bits);
        lane.b[k] = static_cast<std::uint16_t>(bits >> 16);
    }
}

void finite_bits(Draws& draws, Lane& lane) {
    lane.q = any_fp32(draws, 0, 254);
    for (std::size_t k = 0; k < 8; ++k) {
        lane.a[k] = any_bf16(draws, 0, 254);
        lane.b[k] = any_bf16(draws, 0, 254);
    }
}

// Fields of 1 +- 2^6, so that every lane keeps to the middle of the range.
void moderate(Draws& draws, Lane& lane) {
    lane.q = any_fp32(draws, 115, 139);
    for (std::size_t k = 0; k < 8; ++k) {
        lane.a[k] = any_bf16(draws, 121, 133);
        lane.b[k] = any_bf16(draws, 121, 133);
    }
}

// Fractions that fall on, beside and between the points of the rounding grid.
std::uint32_t edge_fraction(Draws& draws, int bits) {
    const std::uint32_t all = (1U << bits) - 1;
    const std::uint32_t one = 1U << draws.below(bits);
    const std::array<std::uint32_t, 8> choices = {
        0, 1, all, all - 1, one, one - 1, (one * 3) & all, static_cast<std::uint32_t>(draws.next()) & all};
    return choices[static_cast<std::size_t>(draws.below(8))];
}

// One leading term, the others 0..40 powers of two below it, the accumulator 40 below to 40 above; fractions
// at the edges of the grid, so that ties to even are common.
void alignment_edges(Draws& draws, Lane& lane) {
    const int sum = draws.between(180, 330);  // of the fields; 254 stands for products of about one
    for (std::size_t k = 0; k < 8; ++k) {
        const int lower = k == 0 ? 0 : draws.one_in(4) ? 40 : draws.between(0, 40);
        set_product(draws, lane, k, sum - lower);
        if (!draws.one_in(3)) {
            lane.a[k] = static_cast<std::uint16_t>((lane.a[k] & 0xFF80U) | edge_fraction(draws, 7));
            lane.b[k] = static_cast<std::uint16_t>((lane.b[k] & 0xFF80U) | edge_fraction(draws, 7));
        }
        if (k > 0 && draws.one_in(3)) {
            lane.a[k] = 0;
        }
    }
    const int field = std::clamp(sum + 1 - 128 + draws.between(-40, 40), 1, 254);
    lane.q = fp32(draws.one_in(2), field, edge_fraction(draws, 23));
}

// Products in pairs of opposite sign, exactly or one unit off, and an accumulator that undoes the rest.
void cancellation(Draws& draws, Lane& lane) {
    const int centre = draws.between(80, 170);
    for (std::size_t k = 0; k < 8; k += 2) {
        lane.a[k] = any_bf16(draws, centre - 5, centre + 5);
        lane.b[k] = any_bf16(draws, centre - 5, centre + 5);
        lane.a[k + 1] = static_cast<std::uint16_t>(lane.b[k] ^ 0x8000);
        lane.b[k + 1] = lane.a[k];
        if (draws.one_in(4)) {
            lane.b[k + 1] = static_cast<std::uint16_t>(lane.b[k + 1] ^ 1);
        }
    }
    const int kind = draws.below(3);
    if (kind == 1) {
        lane.q = any_fp32(draws, std::max(2 * centre - 160, 1), std::min(2 * centre - 100, 254));
    } else if (kind == 2) {
        lane.b[7] = static_cast<std::uint16_t>(lane.b[7] ^ draws.below(128));
        const std::uint32_t sum = model::vmac(0, lane.a, lane.b).bits;
        lane.q = model::is_zero(sum) ? 0 : (sum ^ sign_bit) + static_cast<std::uint32_t>(draws.below(2));
    }
}

void tiny_operands(Draws& draws, Lane& lane) {
    lane.q = draws.one_in(2) ? any_fp32(draws, 0, 0) : any_fp32(draws, 0, 40);
    for (std::size_t k = 0; k < 8; ++k) {
        lane.a[k] = any_bf16(draws, 0, draws.one_in(2) ? 0 : 3);
        lane.b[k] = any_bf16(draws, 0, draws.one_in(2) ? 254 : 130);
    }
}

void zeros(Draws& draws, Lane& lane) {
    moderate(draws, lane);
    const int share = draws.below(3);  // all, most or half of the operands
    for (std::size_t k = 0; k < 8; ++k) {
        auto& operand = draws.one_in(2) ? lane.a[k] : lane.b[k];
        if (share == 0 || !draws.one_in(share == 1 ? 8 : 2)) {
            operand = bf16(draws.one_in(2), 0, 0);
        }
    }
    if (draws.one_in(2)) {
        lane.q = draws.one_in(2) ? sign_bit : 0;
    }
}

// Ordinary numbers with one to three special operands among them.
void specials(Draws& draws, Lane& lane) {
    moderate(draws, lane);
    static constexpr std::uint16_t values[] = {0x7F80, 0xFF80, 0x7F80, 0xFF80, 0x7F81, 0xFFC0,
                                               0x7FFF, 0xFFFF, 0x0000, 0x8000, 0x0001, 0x807F,
                                               0x7F7F, 0xFF7F, 0x0080, 0x8080};
    for (int n = draws.between(1, 3); n > 0; --n) {
        const auto k = static_cast<std::size_t>(draws.below(8));
        (draws.one_in(2) ? lane.a[k] : lane.b[k]) = values[draws.below(16)];
    }
    if (draws.one_in(3)) {
        lane.q = model::widen(values[draws.below(16)]) | (draws.one_in(2) ? 0U : edge_fraction(draws, 16));
    }
    if (draws.one_in(8)) {
        for (std::size_t k = 0; k < 8; ++k) {
            (draws.one_in(2) ? lane.a[k] : lane.b[k]) = bf16(draws.one_in(2), 0, 0);
        }
    }
}

// Results beside the largest finite and the smallest normal number.
void range_ends(Draws& draws, Lane& lane) {
    const int sum = draws.one_in(2) ? draws.between(376, 384) : draws.between(122, 160);
    for (std::size_t k = 0; k < 8; ++k) {
        set_product(draws, lane, k, sum - draws.below(draws.one_in(2) ? 3 : 25));
    }
    lane.q =
        draws.one_in(4) ? 0 : any_fp32(draws, std::clamp(sum - 130, 0, 254), std::clamp(sum - 124, 0, 254));
}

// Emax from a product (3..511) or from the accumulator (129..383), the rest of the lane within 30 below it.
void lane_of_emax(Draws& draws, Lane& lane, int emax, bool from_accumulator) {
    const int reach = draws.one_in(2) ? 3 : 30;
    for (std::size_t k = 0; k < 8; ++k) {
        const int lower = k == 0 && !from_accumulator ? 0 : draws.below(reach);
        const int sum = emax - 1 - lower;
        if (sum >= 2 && sum <= 510) {
            set_product(draws, lane, k, sum);
        }
    }
    const int field = emax - 128 - (from_accumulator ? 0 : draws.below(reach));
    if (field >= 1 && field <= 255) {
        lane.q = fp32(draws.one_in(2), field, edge_fraction(draws, 23));
    }
}

constexpr int uniform_cases = 2'000'000;
constexpr int finite_cases = 2'000'000;
constexpr int moderate_cases = 2'000'000;
constexpr int edge_cases = 3'000'000;
constexpr int emax_repeats = 1'600;  // lanes of each Emax and kind
constexpr int small_family_cases = 500'000;
constexpr int mixed_cases = 1'000'000;
constexpr int block_cases = 1'000'000;
constexpr int block_emax_repeats = 128;  // blocks of sixteen lanes
static_assert(uniform_cases + finite_cases + moderate_cases + edge_cases + 2 * 512 * emax_repeats +
                  5 * small_family_cases + mixed_cases >=
              10'000'000);

TEST(VmacProof, UniformBits) {
    prove(uniform_cases, 1, uniform_bits);
}
TEST(VmacProof, FiniteBits) {
    prove(finite_cases, 2, finite_bits);
}
TEST(VmacProof, ModerateExponents) {
    prove(moderate_cases, 3, moderate);
}
TEST(VmacProof, AlignmentEdgesAndTies) {
    prove(edge_cases, 4, alignment_edges);
}
TEST(VmacProof, Cancellation) {
    prove(small_family_cases, 5, cancellation);
}
TEST(VmacProof, DenormalOperands) {
    prove(small_family_cases, 6, tiny_operands);
}
TEST(VmacProof, ZerosOfBothSigns) {
    prove(small_family_cases, 7, zeros);
}
TEST(VmacProof, InfinitiesAndNaNs) {
    prove(small_family_cases, 8, specials);
}
TEST(VmacProof, EndsOfTheRange) {
    prove(small_family_cases, 9, range_ends);
}

// All lanes of a call share their Emax, so that a whole vector stands on each side of every border between a
// fast and a slow path.
TEST(VmacProof, EveryLargestExponent) {
    Draws draws(10);
    int breaches = 0;
    for (int emax = 0; emax < 512; ++emax) {
        for (int done = 0; done < 2 * emax_repeats; done += 16) {
            std::array<Lane, 16> lanes;
            for (Lane& lane : lanes) {
                lane = Lane{};
                lane_of_emax(draws, lane, emax, done % 32 == 0);
            }
            expect_equal(lanes, breaches);
        }
    }
    EXPECT_EQ(breaches, 0);
}

// Lanes of all families side by side: a lane off the fast path must not touch its neighbours.
TEST(VmacProof, MixedLanes) {
    static constexpr std::array families = {uniform_bits,    finite_bits,  moderate,
                                            alignment_edges, cancellation, tiny_operands,
                                            zeros,           specials,     range_ends};
    prove(mixed_cases, 11, [](Draws& draws, Lane& lane) {
        const bool plain = draws.one_in(2);
        const auto family = static_cast<std::size_t>(draws.below(static_cast<int>(families.size())));
        (plain ? moderate : families[family])(draws, lane);
    });
}

// ---- the block product 4x8x4: sixteen VMACs of four rows with four columns, by a path of its own

struct Block {
    std::array<Operands, 4> rows;
    std::array<Operands, 4> columns;
    std::array<std::uint32_t, 16> q;
};

using HostBlock = aie::mmul<4, 8, 4, bfloat16, bfloat16, accauto>;

std::pair<aie::vector<bfloat16, 32>, aie::vector<bfloat16, 32>> operands_of(const Block& block) {
    aie::vector<bfloat16, 32> left;   // 4x8
    aie::vector<bfloat16, 32> right;  // 8x4
    for (unsigned i = 0; i < 32; ++i) {
        left.set(std::bit_cast<bfloat16>(block.rows[i / 8][i % 8]), i);
        right.set(std::bit_cast<bfloat16>(block.columns[i % 4][i / 4]), i);
    }
    return {left, right};
}

void expect_equal(const Block& block, const HostBlock& host, int& breaches) {
    const aie::vector<float, 16> result = host.to_vector<float>();
    for (unsigned l = 0; l < 16; ++l) {
        const Lane lane{block.q[l], block.rows[l / 4], block.columns[l % 4]};
        const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(result.get(l)));
        const model::Result expected = model::vmac(lane.q, lane.a, lane.b);
        if (!agrees(bits, expected) && ++breaches <= 4) {
            ADD_FAILURE() << "lane " << l << ": " << describe(lane, bits, expected.bits);
        }
    }
}

void expect_equal(const Block& block, int& breaches) {
    aie::vector<float, 16> start;
    for (unsigned l = 0; l < 16; ++l) {
        start.set(std::bit_cast<float>(block.q[l]), l);
    }
    HostBlock host(start);
    const auto [left, right] = operands_of(block);
    host.mac(left, right);
    expect_equal(block, host, breaches);
}

TEST(BlockProof, RowsAndColumnsOfAllFamilies) {
    static constexpr std::array families = {uniform_bits, finite_bits,   moderate, moderate, alignment_edges,
                                            cancellation, tiny_operands, zeros,    specials, range_ends};
    Draws draws(12);
    int breaches = 0;
    for (int n = 0; n < block_cases; n += 16) {
        const bool plain = draws.one_in(2);  // but for one row or column
        const int other = draws.below(8);
        Block block;
        for (int i = 0; i < 16; ++i) {
            const auto family = static_cast<std::size_t>(draws.below(static_cast<int>(families.size())));
            Lane lane;
            (plain && i != other ? moderate : families[family])(draws, lane);
            const auto at = static_cast<std::size_t>(i);
            block.q[at] = lane.q;
            if (i < 4) {
                block.rows[at] = lane.a;
            } else if (i < 8) {
                block.columns[at - 4] = lane.b;
            }
        }
        expect_equal(block, breaches);
    }
    EXPECT_EQ(breaches, 0);
}

// Rows around one exponent field, columns around another, accumulators around the exponent of the products.
TEST(BlockProof, EveryLargestExponent) {
    Draws draws(13);
    int breaches = 0;
    for (int n = 0; n < 511 * block_emax_repeats; ++n) {
        const int sum = n % 511;
        const int field = draws.between(std::max(0, sum - 255), std::min(255, sum));
        const int reach = draws.one_in(2) ? 2 : 16;
        const int top = draws.one_in(4) ? 255 : 254;
        const auto near = [&](int centre) { return std::clamp(centre - draws.below(reach), 0, top); };
        Block block;
        for (std::size_t i = 0; i < 4; ++i) {
            for (std::size_t k = 0; k < 8; ++k) {
                const int row_field = near(field);
                const int column_field = near(sum - field);
                block.rows[i][k] = any_bf16(draws, row_field, row_field);
                block.columns[i][k] = any_bf16(draws, column_field, column_field);
            }
        }
        for (auto& q : block.q) {
            const int q_field = std::clamp(sum + 1 - 128 + draws.between(-reach, reach), 0, top);
            q = fp32(draws.one_in(2), q_field, edge_fraction(draws, 23));
        }
        expect_equal(block, breaches);
    }
    EXPECT_EQ(breaches, 0);
}

// mul starts from zero, mac goes on from what is there: the steps of k follow one another.
TEST(BlockProof, StepsOfKFollowOneAnother) {
    Draws draws(14);
    int breaches = 0;
    for (int n = 0; n < 2'000; ++n) {
        HostBlock host;
        Block block;
        block.q.fill(0);
        for (int step = 0; step < 6; ++step) {
            for (std::size_t i = 0; i < 4; ++i) {
                Lane lane;
                (draws.one_in(2) ? moderate : zeros)(draws, lane);
                block.rows[i] = lane.a;
                block.columns[i] = lane.b;
            }
            const auto [left, right] = operands_of(block);
            step == 0 ? host.mul(left, right) : host.mac(left, right);
            expect_equal(block, host, breaches);
            for (std::size_t l = 0; l < 16; ++l) {
                block.q[l] = model::vmac(block.q[l], block.rows[l / 4], block.columns[l % 4]).bits;
            }
        }
    }
    EXPECT_EQ(breaches, 0);
}

// ---- lane by lane: mul, mac and msc are VMACs with one product, add and sub of accumulators are vadd.f

using Sixteen = std::array<std::uint32_t, 16>;

aie::accum<accfloat, 16> accumulator_of(const Sixteen& bits) {
    aie::vector<float, 16> values;
    for (unsigned l = 0; l < 16; ++l) {
        values.set(std::bit_cast<float>(bits[l]), l);
    }
    return aie::accum<accfloat, 16>(values);
}

void expect_lanes(const char* what, const aie::accum<accfloat, 16>& host,
                  const std::array<model::Result, 16>& expected, int& breaches) {
    const aie::vector<float, 16> result = host.to_vector<float>();
    for (unsigned l = 0; l < 16; ++l) {
        const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(result.get(l)));
        if (!agrees(bits, expected[l]) && ++breaches <= 4) {
            ADD_FAILURE() << what << " lane " << l << std::hex << ": host " << bits << ", model "
                          << expected[l].bits;
        }
    }
}

TEST(LaneProof, MulMacAndMscAreVmacsOfOneProduct) {
    static constexpr std::array families = {uniform_bits,  moderate, alignment_edges,
                                            tiny_operands, zeros,    specials};
    Draws draws(15);
    int breaches = 0;
    for (int n = 0; n < 30'000; ++n) {
        aie::vector<bfloat16, 16> left;
        aie::vector<bfloat16, 16> right;
        Sixteen q;
        std::array<model::Result, 16> mul;
        std::array<model::Result, 16> mac;
        std::array<model::Result, 16> msc;
        for (unsigned l = 0; l < 16; ++l) {
            Lane lane;
            families[static_cast<std::size_t>(n) % families.size()](draws, lane);
            const std::uint16_t a = lane.a[0];
            const std::uint16_t b = lane.b[0];
            left.set(std::bit_cast<bfloat16>(a), l);
            right.set(std::bit_cast<bfloat16>(b), l);
            q[l] = lane.q;
            mul[l] = model::vmac(0, Operands{a}, Operands{b});
            mac[l] = model::vmac(q[l], Operands{a}, Operands{b});
            msc[l] = model::vmac(q[l], Operands{static_cast<std::uint16_t>(a ^ 0x8000)}, Operands{b});
        }
        const auto start = accumulator_of(q);
        expect_lanes("mul", aie::mul(left, right), mul, breaches);
        expect_lanes("mac", aie::mac(start, left, right), mac, breaches);
        expect_lanes("msc", aie::msc(start, left, right), msc, breaches);
    }
    EXPECT_EQ(breaches, 0);
}

TEST(LaneProof, AddAndSubAreVadd) {
    Draws draws(16);
    int breaches = 0;
    for (int n = 0; n < 30'000; ++n) {
        Sixteen x;
        Sixteen y;
        std::array<model::Result, 16> sum;
        std::array<model::Result, 16> difference;
        for (std::size_t l = 0; l < 16; ++l) {
            x[l] = static_cast<std::uint32_t>(draws.next());
            const int field = static_cast<int>((x[l] >> 23) & 0xFF);
            const int other = std::clamp(field + draws.between(-26, 26), 0, 255);
            y[l] = fp32(draws.one_in(2), n % 2 == 0 ? other : draws.below(256), edge_fraction(draws, 23));
            sum[l] = model::vadd(x[l], y[l]);
            difference[l] = model::vadd(x[l], y[l] ^ sign_bit);
        }
        expect_lanes("add", aie::add(accumulator_of(x), accumulator_of(y)), sum, breaches);
        expect_lanes("sub", aie::sub(accumulator_of(x), accumulator_of(y)), difference, breaches);
    }
    EXPECT_EQ(breaches, 0);
}

// ---- properties of the arithmetic

std::uint32_t host_vmac_of(const Lane& lane) {
    std::array<Lane, 16> lanes{};
    lanes[5] = lane;
    return host_vmac(lanes)[5];
}

TEST(VmacProperty, TheOrderOfTheProductsDoesNotMatter) {
    Draws draws(20);
    for (int n = 0; n < 60'000; ++n) {
        Lane lane;
        static constexpr std::array families = {uniform_bits, moderate, alignment_edges, specials};
        families[static_cast<std::size_t>(n) % families.size()](draws, lane);
        Lane shuffled = lane;
        for (std::size_t k = 7; k > 0; --k) {
            const auto other = static_cast<std::size_t>(draws.below(static_cast<int>(k) + 1));
            std::swap(shuffled.a[k], shuffled.a[other]);
            std::swap(shuffled.b[k], shuffled.b[other]);
        }
        ASSERT_EQ(host_vmac_of(lane), host_vmac_of(shuffled)) << describe(lane, 0, 0);
    }
}

TEST(VmacProperty, OppositeOperandsGiveTheOppositeResult) {
    Draws draws(21);
    for (int n = 0; n < 60'000; ++n) {
        Lane lane;
        (n % 2 == 0 ? finite_bits : alignment_edges)(draws, lane);
        Lane opposite = lane;
        opposite.q ^= sign_bit;
        for (auto& a : opposite.a) {
            a = static_cast<std::uint16_t>(a ^ 0x8000);
        }
        const std::uint32_t result = host_vmac_of(lane);
        const std::uint32_t expected = model::is_zero(result) ? 0 : result ^ sign_bit;
        ASSERT_EQ(host_vmac_of(opposite), expected) << describe(lane, 0, 0);
    }
}

TEST(VmacProperty, SmallIntegersAreExact) {
    Draws draws(22);
    for (int n = 0; n < 30'000; ++n) {
        Lane lane;
        int exact = draws.between(-(1 << 20), 1 << 20);
        lane.q = std::bit_cast<std::uint32_t>(static_cast<float>(exact));
        for (std::size_t k = 0; k < 8; ++k) {
            const int a = draws.between(-256, 256);
            const int b = draws.between(-256, 256);
            lane.a[k] = nearest_bf16(a);
            lane.b[k] = nearest_bf16(b);
            exact += a * b;
        }
        ASSERT_EQ(std::bit_cast<float>(host_vmac_of(lane)), static_cast<float>(exact));
    }
}

// Results that neither fp32 additions one by one nor the exact sum rounded once would give, in percent.
std::pair<int, int> percent_unlike_plain_sums(Draws& draws, void (*fill)(Draws&, Lane&)) {
    constexpr int cases = 20'000;
    int not_sequential = 0;
    int not_exact = 0;
    for (int n = 0; n < cases; ++n) {
        Lane lane;
        fill(draws, lane);
        float sequential = std::bit_cast<float>(lane.q);
        double exact = value_of(lane.q);
        for (std::size_t k = 0; k < 8; ++k) {
            const double product = value_of(lane.a[k]) * value_of(lane.b[k]);
            sequential += static_cast<float>(product);
            exact += product;
        }
        const float result = std::bit_cast<float>(host_vmac_of(lane));
        not_sequential += result != sequential ? 1 : 0;
        not_exact += result != static_cast<float>(exact) ? 1 : 0;
    }
    return {100 * not_sequential / cases, 100 * not_exact / cases};
}

void standard_normals(Draws& draws, Lane& lane) {
    lane.q = std::bit_cast<std::uint32_t>(static_cast<float>(draws.normal()));
    for (std::size_t k = 0; k < 8; ++k) {
        lane.a[k] = nearest_bf16(draws.normal());
        lane.b[k] = nearest_bf16(draws.normal());
    }
}

// Neither plain sum may pass for the arithmetic, though for one VMAC of standard normals both often give the
// same bits, since a product of bf16 has 16 bits and most fit on the grid whole; less so with a wider spread.
TEST(VmacProperty, NeitherSequentialFp32NorTheRoundedExactSum) {
    Draws draws(23);
    const auto [sequential, exact] = percent_unlike_plain_sums(draws, moderate);
    const auto [sequential_normals, exact_normals] = percent_unlike_plain_sums(draws, standard_normals);
    std::printf("unlike sequential fp32 %d %%, unlike the rounded sum %d %%; with normals %d %% and %d %%\n",
                sequential, exact, sequential_normals, exact_normals);
    EXPECT_GT(sequential, 25);
    EXPECT_GT(exact, 25);
    EXPECT_GT(sequential_normals, 5);
    EXPECT_GT(exact_normals, 5);
}

// ---- vadd.f

void expect_vadd(std::uint32_t x, std::uint32_t y, int& breaches) {
    const float sum = aie::detail::vadd(std::bit_cast<float>(x), std::bit_cast<float>(y));
    const auto host = std::bit_cast<std::uint32_t>(sum);
    const model::Result expected = model::vadd(x, y);
    if (!agrees(host, expected) && ++breaches <= 4) {
        ADD_FAILURE() << std::hex << x << " + " << y << ": host " << host << ", model " << expected.bits;
    }
}

TEST(VaddProof, RandomBitsAndEdges) {
    Draws draws(30);
    int breaches = 0;
    for (int n = 0; n < 1'000'000; ++n) {
        const auto x = static_cast<std::uint32_t>(draws.next());
        expect_vadd(x, static_cast<std::uint32_t>(draws.next()), breaches);
        const int field = static_cast<int>((x >> 23) & 0xFF);  // neighbours in exponent: ties, cancellation
        const int other = std::clamp(field + draws.between(-40, 40) / draws.between(1, 30), 0, 255);
        expect_vadd(x, fp32(draws.one_in(2), other, edge_fraction(draws, 23)), breaches);
        expect_vadd((x & 0xFF80'0000U) | edge_fraction(draws, 23),
                    fp32(draws.one_in(2), other, edge_fraction(draws, 23)), breaches);
    }
    EXPECT_EQ(breaches, 0);
}

TEST(VaddProof, EveryPairOfSpecialValues) {
    static constexpr std::uint32_t magnitudes[] = {
        0x0000'0000, 0x0000'0001, 0x0000'0002, 0x003F'FFFF, 0x0040'0000, 0x007F'FFFF, 0x0080'0000,
        0x0080'0001, 0x00FF'FFFF, 0x0100'0000, 0x3380'0000, 0x3400'0000, 0x3F7F'FFFF, 0x3F80'0000,
        0x3F80'0001, 0x3FFF'FFFF, 0x4B80'0000, 0x7E80'0000, 0x7F00'0000, 0x7F7F'FFFF, 0x7F80'0000,
        0x7F80'0001, 0x7F83'4567, 0x7FC0'0000, 0x7FC6'0000, 0x7FFF'FFFF};
    int breaches = 0;
    for (const std::uint32_t x : magnitudes) {
        for (const std::uint32_t y : magnitudes) {
            for (const std::uint32_t signs : {0U, 1U, 2U, 3U}) {
                expect_vadd(x | signs << 31, y | (signs & 2) << 30, breaches);
            }
        }
    }
    EXPECT_EQ(breaches, 0);
}

// ---- the model itself

struct HandCase {
    const char* what;
    std::uint32_t q;
    std::vector<std::pair<int, int>> products;  // bits of bf16; the rest of the eight are zero
    std::uint32_t expected;
};

TEST(VmacModel, CasesWorkedOutByHand) {
    constexpr int one = 0x3F80;
    constexpr int two = 0x4000;
    constexpr int minus_one = 0xBF80;
    constexpr int half_step = 0x3380;       // 2^-24: half a step of the grid under 1
    constexpr int more_than_half = 0x33C0;  // 1.5 * 2^-24
    const std::vector<HandCase> cases = {
        {"3 - 1 * 1", 0x4040'0000, {{minus_one, one}}, 0x4000'0000},
        {"a tie stays at even", 0x3F80'0000, {{one, half_step}}, 0x3F80'0000},
        {"the term is rounded, not the sum", 0x3F80'0001, {{one, half_step}}, 0x3F80'0001},
        {"each term by itself", 0x3F80'0000, {{one, half_step}, {one, half_step}}, 0x3F80'0000},
        {"each term upwards", 0x3F80'0000, {{one, more_than_half}, {more_than_half, one}}, 0x3F80'0002},
        {"a tie of three halves", 0x3F80'0000, {{one, 0x3440}}, 0x3F80'0002},
        {"the accumulator loses its last bit", 0x3F80'0001, {{two, one}}, 0x4040'0000},
        {"or rounds it up to even", 0x3F80'0003, {{two, one}}, 0x4040'0002},
        {"2.25 stands at the exponent of 1", 0x3F80'0001, {{0x3FC0, 0x3FC0}}, 0x4050'0000},
        {"cancelled to zero", 0xBF80'0000, {{one, one}}, 0},
        {"what lies below the grid is gone", 0x3F80'0000, {{0x5F80, 0x5F80}, {0x5F80, 0xDF80}}, 0},
        {"smallest normal number", 0, {{0x2000, 0x2000}}, 0x0080'0000},
        {"below it: zero without a sign", 0, {{0x9F80, 0x2000}}, 0},
        {"largest power of two twice", 0x7F00'0000, {{0x5F80, 0x5F00}}, 0x7F80'0000},
        {"a denormal times 2^127", 0, {{0x0001, 0x7F00}}, 0x3C80'0000},
        {"a denormal accumulator is lost", 0x0040'0000, {}, 0},
        {"infinity", 0x3F80'0000, {{0xFF80, two}}, 0xFF80'0000},
        {"infinity times a denormal", 0, {{0x7F80, 0x0001}}, 0x7F80'0000},
        {"infinity times zero", 0, {{0x7F80, 0x8000}}, 0x7F80'0001},
        {"infinity against infinity", 0x7F80'0000, {{0xFF80, one}}, 0x7F80'0001},
        {"NaN of the accumulator alone", 0xFFC1'2345, {}, 0xFFC1'2345},
        {"NaN times 1 overflows the fraction", 0, {{0x7FC0, one}}, 0x7F80'0001},
        {"NaN times 1/2 shows it", 0, {{0x7FC0, 0xBF00}}, 0xFFC0'0001},
    };
    for (const HandCase& hand : cases) {
        Lane lane;
        lane.q = hand.q;
        for (std::size_t k = 0; k < hand.products.size(); ++k) {
            lane.a[k] = static_cast<std::uint16_t>(hand.products[k].first);
            lane.b[k] = static_cast<std::uint16_t>(hand.products[k].second);
        }
        EXPECT_EQ(model::vmac(lane.q, lane.a, lane.b).bits, hand.expected) << hand.what;
        EXPECT_EQ(host_vmac_of(lane), hand.expected) << hand.what;
    }
}

// Values that xdna-emu records from silicon (vector_float.rs, bf16_pipeline.rs).
TEST(VmacModel, PublishedValues) {
    const Operands a = {0xEBD7, 0xB13B, 0x4F6C, 0x8D21, 0x6080, 0x39C6, 0x107E, 0xD6A6};
    const Operands b = {0x0802, 0x7B38, 0x6983, 0x2273, 0x33A8, 0x1130, 0xE493, 0x18EC};
    EXPECT_EQ(model::vmac(0, a, b).bits, 0x7971'87FFU);
    EXPECT_EQ(model::vadd(0x8052'0000, 0x807E'0000).bits, 0x80D0'0000U);
    EXPECT_EQ(model::vadd(0x8045'0000, 0x0071'0000).bits, 0U);
    EXPECT_EQ(model::vadd(0x806B'0000, 0x002F'0000).bits, 0x8000'0000U);
    EXPECT_EQ(model::vadd(0x8000'0000, 0xFFC0'0000).bits, 0xFF80'0001U);
    EXPECT_EQ(model::vadd(0x7F80'0000, 0xFFC6'0000).bits, 0xFF8C'0001U);
    EXPECT_EQ(model::vadd(0x7F80'0000, 0xFF80'0000).bits, 0x7F80'0001U);
}

// The same definition in floating point: scale to the grid, round each term, add, round the sum.
float vmac_in_double(const Lane& lane) {
    std::array<double, 9> terms;
    int largest = -1000;
    for (std::size_t k = 0; k < 8; ++k) {
        const double a = value_of(lane.a[k]);
        const double b = value_of(lane.b[k]);
        terms[k] = a * b;
        largest = std::max(largest, std::ilogb(a) + std::ilogb(b));
    }
    terms[8] = value_of(lane.q);
    largest = std::max(largest, std::ilogb(terms[8]));
    double sum = 0;
    for (const double term : terms) {
        sum += std::nearbyint(std::ldexp(term, 23 - largest));
    }
    return static_cast<float>(std::ldexp(static_cast<double>(static_cast<float>(sum)), largest - 23));
}

TEST(VmacModel, TheSameDefinitionInDoublesAgrees) {
    Draws draws(31);
    for (int n = 0; n < 300'000; ++n) {
        Lane lane;
        (n % 2 == 0 ? moderate : alignment_edges)(draws, lane);
        for (auto& a : lane.a) {
            a = model::is_zero(model::widen(a)) ? std::uint16_t{0x3F80} : a;
        }
        const float model_result = std::bit_cast<float>(model::vmac(lane.q, lane.a, lane.b).bits);
        ASSERT_EQ(model_result, vmac_in_double(lane)) << describe(lane, 0, 0);
    }
}

// ---- error of a dot product of length K: ceil(K / 8) VMACs one after another
//
// One VMAC on normal numbers. T is the sum of the magnitudes of its nine terms, G = 2^(Emax - 278) the step
// of the grid. Emax is a sum of exponent fields, not the exponent of the product: but a product 1.x * 1.y of
// that sum (1.0 to 3.97 times 2^23 G), like an accumulator 1.z, has a magnitude of at least 2^23 G, so that
// G <= 2^-23 T. The term at Emax is on the grid; each of the eight others is off by at most G / 2, together
// 4 G. The last rounding drops nothing from a sum below 2^24 G and at most 2^-24 of a larger one.
//   sum below 2^24 G:   error <= 4 G <= 4 * 2^-23 T
//   otherwise:          T >= (2^24 - 4) G, error <= 4 G + 2^-24 (T + 4 G) <= (2 + 0.5 + tiny) * 2^-23 T
// So 4 * 2^-23 T holds for one VMAC. (Without these distinctions, nine terms at half a step each and half a
// step for the last rounding make the 5 of the gate.) For m VMACs in sequence the T of each, computed
// accumulator included, is at most (1 + 4 * 2^-23)^m * sum |a||b|, a factor below 1.0002 for m = 376. Hence,
// while neither underflow nor denormal operands occur,
//   error <= 4.001 * 2^-23 * ceil(K / 8) * sum |a||b|       for K <= 3008,
// and the constant 5 keeps a fifth in reserve (it holds up to m = 400,000). The swamped rows come within two
// percent of 4: every VMAC loses eight halves of a step.
constexpr double gate_constant = 5.0;
constexpr double proven_constant = 4.001;

// Error of the chain in units of 2^-23 * ceil(K / 8) * sum |a||b|. The double sums are exact to 2^-50.
double error_constant(const std::vector<std::uint16_t>& left, const std::vector<std::uint16_t>& right) {
    std::uint32_t q = 0;
    double exact = 0;
    double magnitude = 0;
    for (std::size_t k = 0; k < left.size(); k += 8) {
        Operands a;
        Operands b;
        for (std::size_t i = 0; i < 8; ++i) {
            a[i] = left[k + i];
            b[i] = right[k + i];
            const double product = value_of(a[i]) * value_of(b[i]);
            exact += product;
            magnitude += std::abs(product);
        }
        q = model::vmac(q, a, b).bits;
    }
    const auto steps = static_cast<double>(left.size() / 8);
    return std::abs(value_of(q) - exact) / (0x1p-23 * steps * magnitude);
}

// 1, then a tail of which every product is the same part of the first.
double swamped(std::size_t length, double tail) {
    std::vector<std::uint16_t> left(length, nearest_bf16(tail));
    left[0] = nearest_bf16(1.0);
    return error_constant(left, std::vector<std::uint16_t>(length, nearest_bf16(1.0)));
}

// A row of softmax with `peak` in one place and the rest spread evenly, against values of either kind.
double peaked_row(Draws& draws, std::size_t length, double peak, bool equal_values) {
    std::vector<std::uint16_t> left(length, nearest_bf16((1.0 - peak) / static_cast<double>(length - 1)));
    left[static_cast<std::size_t>(draws.below(static_cast<int>(length)))] = nearest_bf16(peak);
    std::vector<std::uint16_t> right(length, nearest_bf16(1.0));
    for (auto& value : right) {
        value = equal_values ? value : nearest_bf16(draws.normal());
    }
    return error_constant(left, right);
}

double random_row(Draws& draws, std::size_t length) {
    std::vector<std::uint16_t> left(length);
    std::vector<std::uint16_t> right(length);
    std::generate(left.begin(), left.end(), [&] { return nearest_bf16(draws.normal()); });
    std::generate(right.begin(), right.end(), [&] { return nearest_bf16(draws.normal()); });
    return error_constant(left, right);
}

class DotProduct : public testing::TestWithParam<std::size_t> {};

TEST_P(DotProduct, ErrorStaysBelowTheProvenBoundAndComesNearIt) {
    const std::size_t length = GetParam();
    Draws draws(40 + length);
    double worst_swamped = 0;
    for (const double tail : {0x1p-24, 0x1.02p-24, 0x1.8p-24, 0x1p-25, 0x1.8p-25, 0x1.04p-23, 0x1p-20}) {
        worst_swamped = std::max(worst_swamped, swamped(length, tail));
    }
    double worst_peaked = 0;
    double worst_random = 0;
    for (int n = 0; n < 200; ++n) {
        const double peak = 1.0 - std::exp2(-draws.uniform() * 24);
        worst_peaked = std::max(worst_peaked, peaked_row(draws, length, peak, n % 2 == 0));
        worst_random = std::max(worst_random, random_row(draws, length));
    }
    const double worst = std::max({worst_swamped, worst_peaked, worst_random});
    std::printf("K %4zu: constant %.4f swamped, %.4f peaked softmax, %.4f random; proven %.3f, gate %.1f\n",
                length, worst_swamped, worst_peaked, worst_random, proven_constant, gate_constant);
    RecordProperty("worst_constant", std::to_string(worst));
    EXPECT_LE(worst, proven_constant);
    EXPECT_LE(proven_constant, gate_constant);
    EXPECT_GT(worst, 0.75 * gate_constant);
    EXPECT_GT(std::max(worst_peaked, worst_random), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Lengths, DotProduct, testing::Values(64, 512, 2048, 3008),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kernels::host
