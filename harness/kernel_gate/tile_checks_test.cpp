// The cases of every role are sound; a plain kernel that keeps its contract passes them, and each way to
// break it is found. Kernels of the AIE API and crashes: kernel_gate_test.py.
#include "harness/kernel_gate/tile_checks.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "harness/kernel_gate/tile_checks_test.hpp"
#include "npu_impl/kernel_device.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::bf16;
using datasets::Rounding;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(TileCases, ExistForEveryRoleWithValuesThatTheirTypesHold) {
    for (const std::string_view role : npu_impl::kernel_roles()) {
        SCOPED_TRACE(role);
        const std::vector<TileCase> cases = tile_cases(role);
        EXPECT_FALSE(cases.empty());
        std::set<std::string> names;
        for (const TileCase& one : cases) {
            SCOPED_TRACE(one.name);
            EXPECT_TRUE(names.insert(one.name).second) << "twice";
            for (const Operand& operand : one.operands) {
                EXPECT_EQ(operand.values.size(),
                          operand.use == Use::out ? 0U : static_cast<std::size_t>(operand.count()));
                std::set<int> places;
                for (int i = 0; i < operand.count(); ++i) {
                    places.insert(place(operand, i / operand.columns, i % operand.columns));
                }
                EXPECT_EQ(places.size(), static_cast<std::size_t>(operand.count()));
                EXPECT_EQ(*places.rbegin(), operand.count() - 1);
                for (const double value : operand.values) {
                    EXPECT_TRUE(std::isnan(value) || exact_in(operand.type, value) == value) << value;
                }
            }
        }
    }
    EXPECT_TRUE(tile_cases("matmul").empty());
}

class OurKernel : public testing::TestWithParam<std::string_view> {};

TEST_P(OurKernel, KeepsItsContract) {
    const npu_impl::RawKernel kernel(npu_impl::own_module(), std::string(GetParam()));
    std::vector<TileFaults> cases;
    for (const TileCase& one : tile_cases(GetParam())) {
        cases.push_back(
            check_tile(one, {kernel.function(), [&] { kernel.reset(); }, [&] { return kernel.rounding(); },
                             [&](unsigned mode) { kernel.set_rounding(mode); }}));
    }
    EXPECT_EQ(lines_of(cases), "");
}

INSTANTIATE_TEST_SUITE_P(Roles, OurKernel, testing::ValuesIn(npu_impl::kernel_roles()),
                         [](const auto& one) { return std::string(one.param); });

// c += a b in doubles: as good as any order of fp32 sums.
template <int k_begin, int k_end>
void multiply(const bf16* a, const bf16* b, float* c) {
    for (int i = 0; i < tile; ++i) {
        for (int j = 0; j < tile; ++j) {
            double sum = static_cast<double>(c[blocked(i, j, 4, 4)]);
            for (int k = k_begin; k < k_end; ++k) {
                sum += static_cast<double>(to_float(a[blocked(i, k, 4, 8)])) *
                       static_cast<double>(to_float(b[blocked(k, j, 8, 4)]));
            }
            c[blocked(i, j, 4, 4)] = static_cast<float>(sum);
        }
    }
}

TEST(TileChecks, PassAProductAndNameLostProducts) {
    EXPECT_EQ(complaints("matmul_tile", multiply<0, 64>), "");
    const std::vector<TileCase> cases = tile_cases("matmul_tile");
    const std::vector<TileFaults> faults = check_all("matmul_tile", multiply<0, 56>);
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const bool whole =
            cases[i].name.starts_with("products of k ") && cases[i].name != "products of k 56-63";
        EXPECT_EQ(faults[i].lines.empty(), whole) << cases[i].name;
    }
    // The other layout of b is another kernel.
    EXPECT_THAT(complaints("matmul_tile_nk", multiply<0, 64>), HasSubstr("wrong: "));
}

template <Rounding rounding>
void store(const float* c, float scale, bf16* out) {
    for (int i = 0; i < elements; ++i) {
        out[i] = datasets::to_bf16(scale * c[i], rounding);
    }
}

TEST(TileChecks, TellTheRoundings) {
    EXPECT_EQ(complaints("store_tile_even", store<Rounding::nearest_even>), "");
    EXPECT_EQ(complaints("store_tile_floor", store<Rounding::floor>), "");
    EXPECT_THAT(complaints("store_tile_even", store<Rounding::floor>),
                HasSubstr(": floor, where nearest_even"));
    EXPECT_THAT(complaints("store_tile_even", store<Rounding::toward_zero>),
                HasSubstr(": truncation, where"));
    EXPECT_THAT(complaints("store_tile_floor", store<Rounding::nearest_even>),
                HasSubstr(": not floor, where"));
    EXPECT_THAT(complaints("store_tile_floor", store<Rounding::toward_zero>),
                HasSubstr(": not floor, where"));
}

void scale(float* c, float factor) {
    for (int i = 0; i < elements; ++i) {
        c[i] *= factor;
        c[i] = std::abs(c[i]) < 0x1p-126F ? 0 : c[i];
    }
}

TEST(TileChecks, NameEveryStrayWrite) {
    EXPECT_EQ(complaints("scale_tile", scale), "");
    const auto past = [](float* c, float factor) {
        scale(c, factor);
        c[elements + 100] = 0;
    };
    EXPECT_THAT(complaints("scale_tile", +past), HasSubstr("element 4196 of c, which has 4096"));
    const auto before = [](float* c, float factor) {
        scale(c, factor);
        c[-1] = 0;
    };
    EXPECT_THAT(complaints("scale_tile", +before), HasSubstr("element -1 of c, before its start"));
    for (const TileFaults& faults : check_all("scale_tile", +past)) {
        EXPECT_TRUE(faults.unsafe);
    }
    const auto input = [](const float* c, float factor, bf16* out) {
        store<Rounding::nearest_even>(c, factor, out);
        const_cast<float*>(c)[9] += 1;
    };
    EXPECT_THAT(complaints("store_tile_even", +input), HasSubstr("changes its input c"));
}

// Copies even what lies around its tiles: the store of 64 elements too many is the same value or another's.
TEST(TileChecks, NameStrayWritesOfWhatWasRead) {
    const auto more = [](const float* c, float factor, bf16* out) {
        for (int i = 0; i < elements + 64; ++i) {
            out[i] = datasets::to_bf16(factor * c[i], Rounding::nearest_even);
        }
    };
    for (const TileFaults& faults : check_all("store_tile_even", +more)) {
        EXPECT_TRUE(faults.unsafe);
    }
}

TEST(TileChecks, NameModesThatAreLeftBehind) {
    const auto flushing = [](float* c, float factor) {
        scale(c, factor);
        _mm_setcsr(_mm_getcsr() | 0x8000U);
    };
    EXPECT_THAT(complaints("scale_tile", +flushing), HasSubstr("changes the CPU's floating-point mode"));
    EXPECT_EQ(_mm_getcsr() & 0x8000U, 0U);
    unsigned mode = 0;
    const TileKernel kernel{reinterpret_cast<void*>(&scale), [] {}, [&] { return mode; }};
    const TileCase one = tile_cases("scale_tile").front();
    EXPECT_THAT(check_tile(one, kernel).lines, IsEmpty());
    mode = 12;
    EXPECT_THAT(check_tile(one, kernel).lines,
                testing::ElementsAre("it leaves rounding mode conv_even behind; contract: floor"));
}

// A kernel that rounds by whatever mode it finds.
unsigned found_mode = 0;
void store_as_found(const float* c, float factor, bf16* out) {
    found_mode == 0 ? store<Rounding::floor>(c, factor, out) : store<Rounding::nearest_even>(c, factor, out);
    found_mode = 0;
}

TEST(TileChecks, NameKernelsThatDoNotSetTheirMode) {
    const TileKernel kernel{reinterpret_cast<void*>(&store_as_found),
                            [] { found_mode = 0; },
                            {},
                            [](unsigned mode) { found_mode = mode; }};
    EXPECT_THAT(check_tile(tile_cases("store_tile_floor").front(), kernel).lines,
                testing::ElementsAre(HasSubstr("depend on the rounding mode before the call")));
}

// What no rounding explains comes before a rounding.
TEST(TileChecks, NameAPlainlyWrongElementFirst) {
    const auto wrong = [](const float* c, float factor, bf16* out) {
        store<Rounding::floor>(c, factor, out);
        out[9] = datasets::to_bf16(7 * factor * c[9], Rounding::floor);
    };
    EXPECT_THAT(check_all("store_tile_even", +wrong).front().lines,
                testing::ElementsAre(HasSubstr("wrong: "), HasSubstr("floor, where nearest_even")));
}

TEST(TileChecks, NameProcessesThatAreStartedAndEndThem) {
    const auto forks = [](float* c, float factor) {
        fork();
        scale(c, factor);
    };
    const TileFaults faults =
        check_tile(tile_cases("scale_tile").front(), {reinterpret_cast<void*>(+forks), [] {}});
    EXPECT_THAT(faults.lines, testing::ElementsAre("it starts a process"));
    EXPECT_TRUE(faults.unsafe);
    // The copy ends by itself, and may be reaped by the check already.
    int left = 0;
    while (wait(nullptr) > 0) {
        ++left;
    }
    EXPECT_LE(left, 1);
}

TEST(TileChecks, CountElementsWhoseBitsDiffer) {
    const auto other = [](float* c, float factor) {
        scale(c, factor);
        c[7] = -1;
        c[9] = std::nextafter(c[9], 0.0F);
    };
    const TileKernel ours{reinterpret_cast<void*>(&scale), [] {}};
    const TileCase one = tile_cases("scale_tile").front();
    EXPECT_EQ(difference(one, ours, ours).differing, 0);
    const Difference found = difference(one, ours, {reinterpret_cast<void*>(+other), [] {}});
    EXPECT_EQ(found.differing, 2);
    EXPECT_EQ(found.elements, elements);
}

// c = bf16(c + a b), its ties to even, away from zero, or to odd.
enum class Ties : std::uint8_t { even, away, odd };
template <Ties ties>
void multiply_stored(const bf16* a, const bf16* b, bf16* c) {
    std::vector<float> sums(elements);
    std::transform(c, c + elements, sums.begin(), [](bf16 value) { return to_float(value); });
    multiply<0, 64>(a, b, sums.data());
    for (int i = 0; i < elements; ++i) {
        const float sum = sums[static_cast<std::size_t>(i)];
        std::uint32_t bits = 0;
        std::memcpy(&bits, &sum, sizeof bits);
        c[i] = datasets::to_bf16(sum, Rounding::nearest_even);
        if (ties != Ties::even && std::isfinite(sum) && (bits & 0xFFFFU) == 0x8000U) {
            const std::uint32_t up = ties == Ties::away ? 1U : 1U - (bits >> 16U & 1U);
            c[i].bits = static_cast<std::uint16_t>((bits >> 16U) + up);
        }
    }
}

TEST(TileChecks, TellWhereTiesGo) {
    const auto ties_of = [](auto* function) {
        std::string text;
        for (const TileCase& one : tile_cases("matmul_tile_bf16_even")) {
            const TileFaults faults = check_tile(one, {reinterpret_cast<void*>(function), [] {}});
            text += faults.lines.empty() ? "" : one.name + "\n";
        }
        return text;
    };
    EXPECT_EQ(ties_of(multiply_stored<Ties::even>), "");
    EXPECT_THAT(ties_of(multiply_stored<Ties::away>), HasSubstr("ties\n"));
    EXPECT_THAT(ties_of(multiply_stored<Ties::odd>), HasSubstr("ties\n"));
}

TEST(TileChecks, NameWhatIsNotWrittenOrNotGiven) {
    const auto partial = [](const float* c, float factor, bf16* out) {
        const bf16 kept = out[blocked(63, 10, 4, 4)];
        store<Rounding::nearest_even>(c, factor, out);
        out[blocked(63, 10, 4, 4)] = kept;
    };
    EXPECT_THAT(complaints("store_tile_even", +partial),
                HasSubstr("leaves unwritten 1 of 4096 elements of out (row 63, column 10)"));
    const auto beyond = [](const float* c, float factor, bf16* out) {
        store<Rounding::nearest_even>(c, factor, out);
        out[5] = datasets::to_bf16(c[elements + 3], Rounding::nearest_even);
    };
    EXPECT_THAT(complaints("store_tile_even", +beyond), HasSubstr("reads outside of them"));
    const auto own = [](const float* c, float factor, bf16* out) {
        const float held = to_float(out[0]);
        store<Rounding::nearest_even>(c, factor, out);
        out[5] = datasets::to_bf16(held * 2, Rounding::nearest_even);
    };
    EXPECT_THAT(complaints("store_tile_even", +own), HasSubstr("what its output held before"));
    const auto count = [](float* c, float factor) {
        static float calls = 0;
        scale(c, factor);
        c[0] = calls++;
    };
    EXPECT_THAT(complaints("scale_tile", +count), HasSubstr("same call twice"));
    const auto third = [](float* c, float factor) {
        static int calls = 0;
        scale(c, ++calls % 3 == 0 ? 2 * factor : factor);
    };
    EXPECT_THAT(check_all("scale_tile", +third).front().lines,
                testing::ElementsAre(HasSubstr("other bits after more calls: it keeps state")));
    const auto thrower = [](float*, float) { throw 1; };
    EXPECT_THAT(complaints("scale_tile", +thrower), HasSubstr("throws an exception"));
}

// Softmax state by exp in double: within the table's error. `padded`: keys that it takes too many.
template <int padded>
void update(const float* scores, int keys, float* row_max, float* row_sum) {
    for (int row = 0; row < tile; ++row) {
        const float* s = scores + row * tile;
        const int count = std::min(keys + padded, tile);
        float top = row_max[row];
        double sum = 0;
        for (int key = 0; key < count; ++key) {
            top = std::max(top, s[key]);
        }
        for (int key = 0; key < count; ++key) {
            sum += std::exp(static_cast<double>(s[key]) - static_cast<double>(top));
        }
        const double before = static_cast<double>(row_sum[row]);
        const double factor = std::exp(static_cast<double>(row_max[row]) - static_cast<double>(top));
        row_sum[row] = static_cast<float>((before == 0 ? 0 : before * factor) + sum);
        row_max[row] = top + 0.0F;
    }
}

TEST(TileChecks, SeeThatPaddedKeysDoNotMatter) {
    EXPECT_EQ(complaints("softmax_update", update<0>), "");
    EXPECT_THAT(complaints("softmax_update", update<1>), HasSubstr("padded elements, which must not matter"));
}

}  // namespace
}  // namespace harness::kernel_gate
