// The cases of every role are sound; a plain kernel that keeps its contract passes them, and each way to
// break it is found. Kernels of the AIE API and crashes: kernel_gate_test.py.
#include "harness/kernel_gate/tile_checks.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <set>

#include "npu_impl/kernel_device.hpp"

namespace harness::kernel_gate {
namespace {

using datasets::bf16;
using datasets::Rounding;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int elements = tile * tile;

template <typename Function>
std::vector<TileFaults> check_all(std::string_view role, Function* function) {
    std::vector<TileFaults> faults;
    for (const TileCase& one : tile_cases(role)) {
        faults.push_back(check_tile(one, {reinterpret_cast<void*>(function), [] {}}));
    }
    return faults;
}

// All lines of all cases.
template <typename Function>
std::string complaints(std::string_view role, Function* function) {
    std::string text;
    for (const TileFaults& faults : check_all(role, function)) {
        for (const std::string& line : faults.lines) {
            text += line + "\n";
        }
    }
    return text;
}

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

// The blocks of kernels/aie2/kernels.h.
int blocked(int i, int j, int rows, int columns) {
    return ((i / rows) * (tile / columns) + j / columns) * rows * columns + (i % rows) * columns +
           j % columns;
}

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
        row_max[row] = top;
    }
}

TEST(TileChecks, SeeThatPaddedKeysDoNotMatter) {
    EXPECT_EQ(complaints("softmax_update", update<0>), "");
    EXPECT_THAT(complaints("softmax_update", update<1>), HasSubstr("padded elements, which must not matter"));
}

}  // namespace
}  // namespace harness::kernel_gate
