// The probes on layers that are known throughout: small integers at ragged lengths, and those of a recording
// of probes.
#include <utility>

#include "harness/probe_expectation.hpp"
#include "harness/probe_layer.hpp"
#include "harness/probes.hpp"

namespace harness {
namespace {

using datasets::Op;

ProbeRow row_of(Probe probe, const KnownLayer& known, int only_head) {
    ProbeRow row;
    row.probe = probe;
    row.shape = known.layer().shape;
    row.head = only_head;
    return row;
}

// A projection on its own, from integers to integers.
ProbeRow exact_row(datasets::PreparedLayer& prepared, const KnownLayer& known, Op op, int only_head) {
    const auto expectation = expect_exactly(op, known.tensor(op), known.layer().shape.width());
    return run_probe(prepared, known, *expectation, row_of(Probe::integers, known, only_head), {{op, op}});
}

// Every op of the integers that the path emits.
std::vector<ProbeRow> integer_rows(datasets::PreparedLayer& prepared, const datasets::Path& path,
                                   const KnownLayer& known, const ProbeSelection& selection) {
    std::vector<ProbeRow> out;
    for (const Op op : {Op::query, Op::key, Op::value}) {
        if (path.emits(op) && selection.judges(op)) {
            out.push_back(exact_row(prepared, known, op, selection.head));
        }
    }
    if (path.emits(Op::scores) && selection.judges(Op::scores)) {
        const auto expectation = expect_exact_scores(known.layer().shape, known);
        out.push_back(run_probe(prepared, known, *expectation, row_of(Probe::integers, known, selection.head),
                                {{Op::scores, Op::scores}}));
    }
    return out;
}

}  // namespace

bool ProbeSelection::judges(Op op) const {
    return ops.empty() || ops.contains(op);
}

bool ProbeSelection::judges_core() const {
    return judges(Op::scores) || judges(Op::probabilities) || judges(Op::context);
}

std::vector<ProbeRow> run_ragged_probes(datasets::Path& path, std::int64_t context) {
    const KnownLayer known(integer_layer({context, ragged_heads}));
    const auto prepared = path.prepare(known.layer());
    std::vector<ProbeRow> out =
        run_probes(*prepared, path, {known.layer().shape, known, known.largest_logits()}, -1);
    for (const Op op : {Op::query, Op::key, Op::value, Op::output}) {
        out.push_back(exact_row(*prepared, known, op, -1));
    }
    return out;
}

std::vector<ProbeRow> run_known_probe(datasets::PreparedLayer& prepared, const datasets::Path& path,
                                      const KnownLayer& known, Probe probe, const ProbeSelection& selection) {
    if (probe == Probe::integers) {
        return integer_rows(prepared, path, known, selection);
    }
    if (!probes_apply(path) || !selection.judges_core()) {
        return {};
    }
    const auto expectation =
        expectation_of(probe, path, {known.layer().shape, known, selection.head, Blocks::all});
    return {run_probe(prepared, known, *expectation, row_of(probe, known, selection.head),
                      {{Op::scores, Op::context}})};
}

}  // namespace harness
