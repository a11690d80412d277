// Hypotheses about a layer norm: which formula was computed, and how gain, bias and rows were rounded.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"
#include "harness/rounding_habit.hpp"

namespace harness {
namespace {

using datasets::Norm;

// What a kernel may compute instead of (x - mean) / sqrt(var + epsilon) gain + bias.
struct Formula {
    double mean = 1;  // times that are taken off
    double epsilon = 1e-5;
    double fewer = 0;  // elements, by which the sum of squares is divided
    bool gain = true;
    double bias = 1;  // times that are added
};

struct NormRows {
    std::int64_t width = 0;
    std::vector<float> values;  // [row, width]
};

NormRows rows_of(const datasets::Source& source, const JudgedBlock& block, std::int64_t width) {
    NormRows out{width, std::vector<float>(index(block.rows.count * width))};
    source.rows(datasets::info(block.op).inputs.front(), block.rows, out.values);
    return out;
}

std::vector<double> normalised(const ErrorTile& tile, const JudgedBlock& block, const NormRows& rows,
                               const Norm& norm, const Formula& formula) {
    std::vector<double> out(tile.got.size());
    const auto count = static_cast<double>(rows.width);
    for (std::int64_t r = 0; r < tile.rows; ++r) {
        const std::span row(rows.values.data() + r * rows.width, index(rows.width));
        double mean = 0;
        for (const float x : row) {
            mean += double{x} / count;
        }
        mean *= formula.mean;
        double squares = 0;
        for (const float x : row) {
            squares += (double{x} - mean) * (double{x} - mean);
        }
        const double deviation = std::sqrt(squares / (count - formula.fewer) + formula.epsilon);
        for (std::int64_t c = 0; c < tile.columns; ++c) {
            const std::size_t j = index(tile.first_column + c);
            const double gain = formula.gain ? double{norm.gain[j]} : 1;
            out[tile.at(r, c)] =
                (double{row[j]} - mean) / deviation * gain + formula.bias * double{norm.bias[j]};
        }
    }
    return stored(block.arithmetic, std::move(out));
}

Norm rounded(const Habit& habit, Norm norm) {
    round_as(habit, norm.gain);
    round_as(habit, norm.bias);
    return norm;
}

}  // namespace

void suspect_norm(Hypotheses& hypotheses, const ErrorTile& tile, const JudgedBlock& block,
                  const Scene& scene) {
    const Norm* const came = datasets::norm_of(scene.piece, block.op);
    if (came == nullptr) {
        return;
    }
    const Norm& declared = *datasets::norm_of(scene.rounded, block.op);
    const NormRows rows = rows_of(block.operands, block, scene.shape.width());
    const auto suspect = [&](Pattern pattern, std::string text, const Formula& formula) {
        hypotheses.add({pattern, std::move(text), normalised(tile, block, rows, declared, formula), 0});
    };
    suspect(Pattern::bias_missing, "the norm's bias is missing", {.bias = 0});
    suspect(Pattern::bias_doubled, "the norm's bias came twice", {.bias = 2});
    suspect(Pattern::norm_formula, "the norm's gain is not applied", {.gain = false});
    suspect(Pattern::norm_formula, "the mean is not taken off", {.mean = 0});
    suspect(Pattern::norm_formula, "the variance is divided by n - 1", {.fewer = 1});
    suspect(Pattern::norm_formula, "epsilon is not added to the variance", {.epsilon = 0});
    const NormRows raw = rows_of(block.upstream, block, scene.shape.width());
    datasets::Arithmetic of_norm = block.arithmetic;
    of_norm.operand = of_norm.store;  // gain and bias come as wide as what leaves (operands.hpp)
    const auto add = [&](const Habit& habit, std::string_view which, const NormRows& read, const Norm& with) {
        hypotheses.add({Pattern::operand_rounding, fmt::format("{} {}", which, habit.name),
                        normalised(tile, block, read, with, {}), 0});
    };
    for (const Habit& habit : habits) {
        if (!is_declared(habit, block.arithmetic)) {
            NormRows other = raw;
            round_as(habit, other.values);
            add(habit, "rows are", other, declared);
        }
        if (!is_declared(habit, of_norm)) {
            add(habit, "gain and bias are", rows, rounded(habit, *came));
        }
    }
}

}  // namespace harness
