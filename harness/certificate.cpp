#include "harness/certificate.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "harness/gate.hpp"
#include "reference/oracle.hpp"
#include "reference/wide.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;

std::size_t index(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

struct Energy {
    double error = 0;
    double reference = 0;

    [[nodiscard]] double relative() const {
        return reference > 0 ? std::sqrt(error / reference) : std::sqrt(error);
    }
};

// fp64 rows of an op, computed apart from the golden.
using Reference = std::function<void(Op, Rows, std::span<double>)>;

Energy compare_row(const datasets::LayerShape& shape, const datasets::Source& golden,
                   const Reference& reference, Op op, Rows rows) {
    const auto width = index(datasets::row_width(op, shape));
    std::vector<float> got(width);
    std::vector<double> expected(width);
    golden.rows(op, rows, got);
    reference(op, rows, expected);
    Energy energy;
    for (std::size_t c = 0; c < width; ++c) {
        const double difference = double{got[c]} - expected[c];
        energy.error += difference * difference;
        energy.reference += expected[c] * expected[c];
    }
    return energy;
}

// Relative error of the golden over `rows` of each head, noted in `out`.
void check_op(const datasets::LayerShape& shape, const datasets::Source& golden, const Reference& reference,
              Op op, const std::vector<std::int64_t>& rows, Certificate& out) {
    const int heads = datasets::has_heads(op) ? shape.heads : 1;
    std::vector<Energy> partial(rows.size() * index(heads));
    tbb::parallel_for(std::size_t{0}, partial.size(), [&](std::size_t i) {
        const int head = datasets::has_heads(op) ? int(i / rows.size()) : -1;
        partial[i] = compare_row(shape, golden, reference, op, {head, rows[i % rows.size()], 1});
    });
    Energy sum;
    for (const Energy& energy : partial) {
        sum.error += energy.error;
        sum.reference += energy.reference;
    }
    const double error = sum.relative();
    const double allowed = limit(Quantity::golden_error).limit;
    out.oracle_error[op] = error;
    if (!(error <= allowed) && out.fault.empty()) {
        out.fault = fmt::format("golden {} differs from the fp64 oracle by {:.3g} (limit {:.0e})",
                                datasets::name(op), error, allowed);
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

void check_statistics(const datasets::LayerCase& layer, const reference::GoldenSource& golden,
                      Certificate& out) {
    const double allowed = limit(Quantity::recording_error).limit;
    const auto check = [&](std::span<const float> got, const std::vector<float>& recorded,
                           std::string_view what) {
        if (recorded.empty() || !out.fault.empty()) {
            return;
        }
        const double error = relative_error(got, recorded);
        if (!(error <= allowed)) {
            out.fault = fmt::format("golden {} differs from the recording by {:.3g} (limit {:.0e})", what,
                                    error, allowed);
        }
    };
    check(golden.row_statistics().max, layer.row_max, "row maximum");
    check(golden.row_statistics().log_sum_exp, layer.row_log_sum_exp, "row log-sum-exp");
}

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
    const auto rows = certified_rows(layer.shape.context, seed);
    const Reference oracle = [&](Op op, Rows of, std::span<double> expected) {
        reference::oracle_rows(op, of, layer, golden, expected, {});
    };
    for (const datasets::OpInfo& info : datasets::ops_in(ops)) {
        check_op(layer.shape, golden, oracle, info.op, rows, out);
    }
    for (const auto& [op, recorded] : layer.recorded) {
        if (!ops.contains(op)) {
            continue;
        }
        std::vector<float> got(recorded.size());
        golden.rows(op, {-1, 0, layer.shape.context}, got);
        const double error = relative_error(got, recorded);
        out.recording_error[op] = error;
        const double allowed = limit(Quantity::recording_error).limit;
        if (!(error <= allowed) && out.fault.empty()) {
            out.fault = fmt::format("golden {} differs from the recording by {:.3g} (limit {:.0e})",
                                    datasets::name(op), error, allowed);
        }
    }
    check_statistics(layer, golden, out);
    return out;
}

Certificate certify(const datasets::EndCase& end, const datasets::Source& golden, std::uint64_t seed) {
    Certificate out;
    const reference::WideReference wide(end, golden);
    const Reference rows_of = [&](Op op, Rows of, std::span<double> expected) {
        wide.rows(op, of, expected, {});
    };
    check_op(end.shape, golden, rows_of, Op::encoder, certified_rows(end.shape.context, seed), out);
    return out;
}

}  // namespace harness
