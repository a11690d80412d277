#include "harness/certificate.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "harness/index.hpp"
#include "reference/oracle.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

struct Energy {
    double error = 0;
    double reference = 0;

    [[nodiscard]] double relative() const {
        return reference > 0 ? std::sqrt(error / reference) : std::sqrt(error);
    }
};

// fp64 rows of an op, computed apart from the golden from the golden's own upstream.
using Oracle = std::function<void(Op, Rows, std::span<double>)>;

template <typename Piece>
Oracle oracle_of(const Piece& piece, const datasets::Source& golden) {
    return [&](Op op, Rows rows, std::span<double> expected) {
        reference::oracle_rows(op, rows, piece, golden, expected, {});
    };
}

// An op, and the rows of each of its heads on which it is checked.
struct Sampled {
    Op op;
    std::int64_t width;  // of one row, of one head where the op has heads
    int heads;
    std::vector<std::int64_t> rows;
};

Sampled sampled(Op op, const datasets::LayerShape& shape, std::uint64_t seed) {
    return {op, datasets::row_width(op, shape), datasets::has_heads(op) ? shape.heads : 1,
            certified_rows(shape.context, seed)};
}

Sampled sampled(Op op, const datasets::StemShape& shape, std::uint64_t seed) {
    return {op, datasets::row_width(op, shape), 1, certified_rows(datasets::row_count(op, shape), seed)};
}

Energy compare_row(std::int64_t width, const datasets::Source& golden, const Oracle& oracle, Op op,
                   Rows rows) {
    std::vector<float> got(index(width));
    std::vector<double> expected(index(width));
    golden.rows(op, rows, got);
    oracle(op, rows, expected);
    Energy energy;
    for (std::size_t c = 0; c < expected.size(); ++c) {
        const double difference = double{got[c]} - expected[c];
        energy.error += difference * difference;
        energy.reference += expected[c] * expected[c];
    }
    return energy;
}

void add_finding(Certificate& out, Quantity quantity, const std::string& text) {
    if (out.fault.empty()) {
        out.fault = text;
    }
    out.findings.push_back({quantity, text});
}

// Relative error of the golden over the sampled rows of each head, noted in `out`.
void check_op(const Sampled& sample, const datasets::Source& golden, const Oracle& oracle, Certificate& out) {
    const Op op = sample.op;
    std::vector<Energy> partial(sample.rows.size() * index(sample.heads));
    tbb::parallel_for(std::size_t{0}, partial.size(), [&](std::size_t i) {
        const int head = datasets::has_heads(op) ? int(i / sample.rows.size()) : -1;
        const std::int64_t row = sample.rows[i % sample.rows.size()];
        partial[i] = compare_row(sample.width, golden, oracle, op, {head, row, 1});
    });
    Energy sum;
    for (const Energy& energy : partial) {
        sum.error += energy.error;
        sum.reference += energy.reference;
    }
    const double error = sum.relative();
    const double allowed = limit(Quantity::golden_error).limit;
    out.oracle_error[op] = error;
    if (!(error <= allowed)) {
        add_finding(out, Quantity::golden_error,
                    fmt::format("golden {} differs from the fp64 oracle by {:.3g} (limit {:.0e})",
                                datasets::name(op), error, allowed));
    }
}

double relative_error(std::span<const float> got, std::span<const float> expected) {
    Energy sum;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double difference = double{got[i]} - double{expected[i]};
        sum.error += difference * difference;
        sum.reference += double{expected[i]} * double{expected[i]};
    }
    return sum.relative();
}

// What a recording holds must be what its input and weights give.
class RecordingCheck {
public:
    RecordingCheck(datasets::DType stored, Certificate& out)
        : quantity_(stored == datasets::DType::bf16 ? Quantity::rounded_recording_error
                                                    : Quantity::recording_error),
          out_(out) {}

    // Does nothing where nothing is recorded.
    void check(Op op, const datasets::Source& golden, const datasets::LayerShape& shape,
               const std::vector<float>& recorded) {
        if (recorded.empty()) {
            return;
        }
        std::vector<float> got(recorded.size());
        golden.rows(op, {-1, 0, shape.context}, got);
        out_.recording_error[op] = check(datasets::name(op), got, recorded);
    }

    double check(std::string_view what, std::span<const float> got, const std::vector<float>& recorded) {
        const double error = relative_error(got, recorded);
        const double allowed = limit(quantity_).limit;
        if (!(error <= allowed)) {
            add_finding(out_, quantity_,
                        fmt::format("golden {} differs from the recording by {:.3g} (limit {:.0e})", what,
                                    error, allowed));
        }
        return error;
    }

private:
    Quantity quantity_;
    Certificate& out_;
};

}  // namespace

std::vector<std::int64_t> certified_rows(std::int64_t context, std::uint64_t seed) {
    constexpr std::int64_t sampled = 64;
    std::vector<std::int64_t> rows{0, 1, 63, 64, 65, context - 2, context - 1};
    std::mt19937_64 random(seed);
    for (std::int64_t i = 0; i < sampled; ++i) {
        rows.push_back(std::int64_t(random() % std::uint64_t(context)));
    }
    std::erase_if(rows, [&](std::int64_t row) { return row < 0 || row >= context; });
    std::ranges::sort(rows);
    const auto repeated = std::ranges::unique(rows);
    rows.erase(repeated.begin(), repeated.end());
    // Distinct rows, so that the promise of 64 holds however the draw fell.
    for (std::int64_t row = 0; std::int64_t(rows.size()) < std::min(sampled, context); ++row) {
        if (!std::ranges::binary_search(rows, row)) {
            rows.insert(std::ranges::lower_bound(rows, row), row);
        }
    }
    return rows;
}

Certificate certify(const datasets::LayerCase& layer, const reference::GoldenSource& golden,
                    datasets::OpRange ops, std::uint64_t seed) {
    Certificate out;
    for (const datasets::OpInfo& info : datasets::ops_in(ops)) {
        check_op(sampled(info.op, layer.shape, seed), golden, oracle_of(layer, golden), out);
    }
    RecordingCheck recording(layer.stored, out);
    if (golden.ops().contains(Op::attention_norm)) {
        recording.check(Op::attention_norm, golden, layer.shape, layer.input);
    }
    for (const auto& [op, recorded] : layer.recorded) {
        if (ops.contains(op)) {
            recording.check(op, golden, layer.shape, recorded);
        }
    }
    if (!layer.row_max.empty()) {
        recording.check("row maximum", golden.row_statistics().max, layer.row_max);
    }
    if (!layer.row_log_sum_exp.empty()) {
        recording.check("row log-sum-exp", golden.row_statistics().log_sum_exp, layer.row_log_sum_exp);
    }
    return out;
}

Certificate certify(const datasets::StemCase& stem, const datasets::Source& golden, std::uint64_t seed) {
    Certificate out;
    for (const datasets::OpInfo& info : datasets::ops_in(datasets::stem_ops)) {
        check_op(sampled(info.op, stem.shape, seed), golden, oracle_of(stem, golden), out);
    }
    return out;
}

Certificate certify(const datasets::EndCase& end, const datasets::Source& golden, std::uint64_t seed) {
    Certificate out;
    check_op(sampled(Op::encoder, end.shape, seed), golden, oracle_of(end, golden), out);
    RecordingCheck(end.stored, out).check(Op::encoder, golden, end.shape, end.recorded);
    return out;
}

}  // namespace harness
