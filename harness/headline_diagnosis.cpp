#include "harness/headline_diagnosis.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace harness {
namespace {

using datasets::Op;

// In dataflow order; where an op failed both chained and isolated, the chain is what the headline is of.
const OpRow* first_failed(std::span<const OpRow> rows) {
    const OpRow* first = nullptr;
    for (const OpRow& row : rows) {
        if (row.judgement.verdict != Verdict::failed || !datasets::attention_ops.contains(row.op)) {
            continue;
        }
        const bool earlier = first == nullptr || row.op < first->op;
        if (earlier || (row.op == first->op && row.input == Input::chained)) {
            first = &row;
        }
    }
    return first;
}

void inherit(Diagnosis& out, const OpRow& row) {
    out.pattern = Pattern::inherited;
    const std::string op = fmt::format("{} ({})", datasets::name(row.op), name(row.input));
    if (row.diagnosis) {
        out.explained = row.diagnosis->explained;
        out.evidence = fmt::format("{} is the first op that fails: {}: {}", op, name(row.diagnosis->pattern),
                                   row.diagnosis->evidence);
    } else {
        out.evidence = fmt::format("{} is the first op that fails: {}", op, row.judgement.reason);
    }
}

// The ops of the chain whose rows say nothing.
std::vector<std::string_view> silent(std::span<const OpRow> rows) {
    std::vector<std::string_view> out;
    for (const OpRow& row : rows) {
        if (row.judgement.verdict == Verdict::not_run) {
            out.push_back(datasets::name(row.op));
        }
    }
    return out;
}

void weigh_prediction(Diagnosis& out, const ZStatistics& z) {
    const double ratio = z.measured_error > 0 ? z.predicted_error / z.measured_error : 0.0;
    out.explained = std::min(ratio * ratio, 1.0);
    const bool declared = out.explained >= least_explained;
    out.pattern = declared ? Pattern::declared_arithmetic : Pattern::unknown;
    out.evidence = fmt::format(
        "errors of {:.3e} relative to the golden, {:.3e} predicted from the declared roundings (match "
        "{:.4f}% "
        "predicted); {}",
        z.measured_error, z.predicted_error, z.predicted_match_percent,
        declared ? "harness what-if ranks the changes that buy it back"
                 : "more than they explain, and every op lies within its limits");
}

}  // namespace

Diagnosis diagnose_headline(const OpStatistics& output, std::span<const OpRow> rows) {
    Diagnosis out;
    out.tile_row = output.worst_tile_row;
    out.tile_column = output.worst_tile_column;
    if (const OpRow* row = first_failed(rows)) {
        inherit(out, *row);
        return out;
    }
    if (const auto unseen = silent(rows); !unseen.empty()) {
        out.evidence =
            fmt::format("no op that could be judged fails; not judged: {}", fmt::join(unseen, ", "));
    } else if (output.z) {
        weigh_prediction(out, *output.z);
    } else {
        out.evidence = "every op lies within its bound; no error was predicted to compare with";
    }
    return out;
}

}  // namespace harness
