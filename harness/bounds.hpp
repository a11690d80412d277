// Level 1 of the gate: how far a correct kernel's result may lie from the fp64 result on the same operands.
//
// Every bound is derived from the arithmetic that the design declares; none is tuned. Notation: u_s the unit
// roundoff of the store (0 for fp32), r the fp64 result, n the number of roundings behind an element,
// gamma(n) = n 2^-24 / (1 - n 2^-24) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
//
//   sums      A(K), relative to sum |a||b|: gamma(K + 1) for a chain of fp32 additions, the bias included. A
//             VMAC adds eight products at a time: nine terms, each rounded to half of 2^-23 of the largest,
//             and the result, together no more than w = 5 2^-23 of sum |a||b| so far; n = ceil(K / 8) of
//             them give n w / (1 - n w), and each flushes what is below 2^-126. An addition on AIE2 rounds
//             twice: the smaller operand to half of 2^-23 of the larger, and the sum. An emulation in fp32
//             chains adds their A(K).
//   GEMM      |c - r| <= u_s |r| + (1 + u_s) A(K) sum |a||b|
//             A sum that leaves the accumulator after every k tile, by a store of unit u_t, errs by what
//             leaves. With a = A(k tile), M = sum |a||b|, T tiles and partial sums S_t in fp64, stores lie
//             within E_t = (1 + u_t)(E_(t-1) + a (M_t + |S_(t-1)| + E_(t-1))) + u_t |S_t|, so that before the
//             op's own store
//               E <= ((1 + u_t)(1 + a))^(T-1) ((1 + u_t) a (M + P) + u_t P),  P = sum |S_t| over t < T
//             and where the host adds up tiles whose products are d_t in fp64, with D = sum |d_t|,
//               E <= (1 + u_t) a M (1 + gamma(T)) + gamma(T) M + (u_t + (1 + u_t) gamma(T)) D
//   softmax   d = s - m, rounded to the exp argument's dtype (u_d), exp with relative error E. The weight of
//             key j errs by th_j = (1 + E) e^(u_d |d_j|) - 1, its share of the running sum by
//             tl_j = (1 + E)^(1 + R_j) e^(u_d |d_j|) - 1, where R_j counts the later growths of the running
//             max. With L = sum r_j tl_j + the error of T + 2 tiles additions, and 2^-15 for a reciprocal
//             kept as hi + lo:
//             |p_j - r_j| <= r_j ((1 + th_j)(1 + 2^-15)(1 + u_s) / (1 - L) - 1)
//   fused     scores err by s_j = A(64) |q||k_j| / 8 (Cauchy-Schwarz), so
//             th_j = (1 + E)^(1 + R_j) e^(u_d (|d_j| + s_j + s_m) + s_j) - 1. Sum and context hold the same
//             erring weights, so that th_j moves the result by what v_j differs from it; only the roundings
//             of the two sums, a = gamma(T + 4 tiles), are their own. With e_j = p_j (th_j + a (1 + th_j)),
//             L = sum e_j and any m (Bounds::Head::centre):
//             |c - r| <= (sum (e_j (|v_j - m| + |r - m|) - 2 p_j th_j b_j) + 2 a |m| (1 + L)) / (1 - L)
//                        + u_s |r|
//             where of a key that holds much of its row |v_j - r| itself is taken: b_j is the smaller of
//             |v_j - m| and |r - m| if both differences have one sign; else, and of any other key, 0.
//   GELU      with the declared E = function_error and f = function_floor, x being what the step was due to
//             read: |c - r| <= u_s |r| + (1 + u_s) E max(|r|, f)
//   norms     |c - r| <= u_s |r| + (1 + u_s) times the bound before the store (norm_bound.hpp)
#pragma once

#include <tbb/enumerable_thread_specific.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "datasets/path.hpp"
#include "reference/wide.hpp"

namespace harness {

// The fp64 result of one block and the bound of each element, both dense [rows, columns].
struct Bounded {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<double> value;
    std::vector<double> bound;
    // Of the store to bf16, where the bound is u_s |r| of it and the error before it; none for fp32 and where
    // other errors mix in.
    std::optional<datasets::Rounding> store{};
    // Of probabilities, per row: |sum p - 1|.
    std::vector<double> row_sum{};
};

// What a store to bf16 can give of a value that errs by no more than its bound leaves beside the store: with
// e = bound - u_s |r|, rounding being monotone, from round(r - e) to round(r + e), both ends included.
struct StoreRange {
    double low = 0;
    double high = 0;

    // Below 2^-126 bf16 keeps fewer bits and a core flushes: there, only the bound decides.
    [[nodiscard]] bool allows(double stored) const {
        return (low <= stored && stored <= high) || std::abs(stored) < 0x1p-126;
    }
};

StoreRange store_range(double value, double bound, datasets::Rounding rounding);

// The same of a value from `low` to `high`.
StoreRange stores_between(double low, double high, datasets::Rounding rounding);

// Relative error of a sum of `roundings` fp32 additions.
double gamma(double roundings);

// Unit roundoff of a store: 0 for fp32.
double store_unit(const datasets::Arithmetic& arithmetic);

// The parts of a bound of attention over so many keys, each relative to what it is an error of.
struct AttentionTerms {
    double product = 0;     // a sum of products, one term per key
    double all_tiles = 0;   // what leaving the accumulator between k tiles adds to it
    double one_tile = 0;    // the same where one tile holds all of the sum
    double row_sum = 0;     // the running sum of a softmax
    double context = 0;     // running sum and running context of a fused step
    double reciprocal = 0;  // 1 / row sum, times a weight
    double finish = 0;      // context / row sum of a fused step
};
AttentionTerms attention_terms(const datasets::Arithmetic& arithmetic, double keys);

// |sum p - 1| of a row of so many probabilities, `mismatch` being eta of probe_bound.hpp: what the weights in
// the sum differ by from those that it divides, relative to the sum.
double row_sum_bound(const datasets::Arithmetic& softmax, double keys, double mismatch);

// Derives bounds from the operands of one layer or of the end: weights from `layer` or `end`, upstream rows
// from `operands`, both already rounded as declared. Thread-safe; both must outlive it.
class Bounds {
public:
    Bounds(const datasets::LayerCase& layer, const datasets::Source& operands);
    Bounds(const datasets::EndCase& end, const datasets::Source& operands);

    // The bounds of `op` over `rows`. `fused`: the op ends a fused step, and the operands are query, key and
    // value instead of the op's own inputs. `into` is reused between calls.
    void of(datasets::Op op, datasets::Rows rows, const datasets::Arithmetic& arithmetic, bool fused,
            Bounded& into) const;

private:
    void product(datasets::Op op, datasets::Rows rows, const datasets::Arithmetic& arithmetic,
                 Bounded& into) const;
    void probabilities(datasets::Rows rows, const datasets::Arithmetic& arithmetic, Bounded& into) const;
    void fused_context(datasets::Rows rows, const datasets::Arithmetic& arithmetic, Bounded& into) const;
    void activation(datasets::Rows rows, const datasets::Arithmetic& arithmetic, Bounded& into) const;
    void norm(datasets::Op op, datasets::Rows rows, const datasets::Arithmetic& arithmetic,
              Bounded& into) const;

    class ScoreRow;
    struct FusedWeights;
    [[nodiscard]] FusedWeights fused_weights(datasets::Rows rows,
                                             const datasets::Arithmetic& arithmetic) const;

    // What the fused bound needs of all keys of a head.
    struct Head {
        std::once_flag once;
        std::vector<double> key_norms;
        std::vector<double> centre;     // [64]: the mean value, or 0 where the values lie nearer to that
        std::vector<float> deviations;  // |value - centre|, [time, 64]
    };
    [[nodiscard]] const Head& head(int index) const;

    datasets::LayerShape shape_;
    const datasets::Source& operands_;
    // Of one thread, which allocates once.
    struct Scratch {
        std::vector<float> narrow;
        std::vector<double> wide;
    };

    reference::WideReference reference_;
    mutable tbb::enumerable_thread_specific<Scratch> scratches_;
    std::unique_ptr<Head[]> heads_;
};

}  // namespace harness
