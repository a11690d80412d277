#include "harness/probes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/probe_expectation.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Path;
using datasets::PreparedLayer;
using datasets::Source;

constexpr OpRange core{Op::scores, Op::context};
using datasets::head_width;

struct ProbeInfo {
    std::string_view name;
    Quantity quantity;
    std::string_view proves;
    std::string_view suspects;  // what a failure points to
};

constexpr std::array<ProbeInfo, probe_count> table{{
    {"ones", Quantity::probe_ones, "weights add up to 1, padding takes no part",
     "padding takes part, a maximum that starts at 0, or sum and weights disagree"},
    {"zero_keys", Quantity::probe_zero_keys, "every value counts as much",
     "keys left out or counted twice, or values of another head or column"},
    {"raised_keys", Quantity::probe_raised_keys,
     "logits beyond 100 and, in the rows between, below -100 stay finite and right",
     "no maximum subtracted or one that rows share, an exponent out of range, or large logits off: scale, "
     "operands, rounding"},
    {"deep_keys", Quantity::probe_deep_keys, "weights down to e^-65 are right",
     "logits of another scale, exp of another base, or small weights lost"},
    {"one_hot", Quantity::probe_one_hot, "each row finds its row of V", "rows or columns out of place"},
    {"integers", Quantity::probe_integers, "exact sums stay exact", "terms missing, doubled or exchanged"},
}};

const ProbeInfo& info(Probe probe) {
    return table[static_cast<std::size_t>(probe)];
}

bool has_step(const Path& path, OpRange step) {
    return std::ranges::find(path.steps(), step) != path.steps().end();
}

// The shifted operands of every head, V as it is or 1.
EditedSource shifted(const ProbeBase& base, ShiftTo to, bool ones) {
    constexpr double margin = 100;
    std::vector<Shift> shifts;
    std::vector<float> query(std::size_t(base.shape.context * head_width));
    std::vector<float> key(query.size());
    for (int head = 0; head < base.shape.heads; ++head) {
        base.upstream.rows(Op::query, {head, 0, base.shape.context}, query);
        base.upstream.rows(Op::key, {head, 0, base.shape.context}, key);
        shifts.push_back(shift_of(query, key, base.maxima[std::size_t(head)], to, margin));
    }
    return {&base.upstream, [shifts, ones](Op op, int head, std::int64_t row, std::span<float> values) {
                if (op == Op::value && ones) {
                    std::ranges::fill(values, 1.0F);
                } else if (op == Op::query || op == Op::key) {
                    const Shift& shift = shifts[std::size_t(head)];
                    values[std::size_t(shift.channel)] = op == Op::query ? shift.query_of(row) : shift.key;
                }
            }};
}

EditedSource zero_keys(const ProbeBase& base) {
    return {&base.upstream, [](Op op, int, std::int64_t, std::span<float> values) {
                if (op == Op::key) {
                    std::ranges::fill(values, 0.0F);
                }
            }};
}

EditedSource one_hot(std::int64_t keys) {
    return {nullptr, [keys](Op op, int head, std::int64_t row, std::span<float> values) {
                const std::int64_t index = op == Op::query ? hot_key(row, keys) : row;
                for (int channel = 0; channel < int(values.size()); ++channel) {
                    values[std::size_t(channel)] =
                        op == Op::value ? index_value(head, row, channel) : code(index, keys, channel);
                }
            }};
}

EditedSource deep_keys() {
    return {nullptr, [](Op op, int head, std::int64_t row, std::span<float> values) {
                const auto value = op == Op::query ? depth_query : op == Op::key ? depth_key : depth_value;
                for (int channel = 0; channel < int(values.size()); ++channel) {
                    values[std::size_t(channel)] = value(head, row, channel);
                }
            }};
}

EditedSource integers() {
    return {
        nullptr, [](Op op, int head, std::int64_t row, std::span<float> values) {
            if (op == Op::probabilities) {
                for (const std::int64_t key : integer_keys(row, std::ssize(values))) {
                    values[std::size_t(key)] = 1;
                }
                return;
            }
            const auto value = op == Op::query ? integer_query : op == Op::key ? integer_key : integer_value;
            for (int channel = 0; channel < int(values.size()); ++channel) {
                values[std::size_t(channel)] = value(head, row, channel);
            }
        }};
}

ProbeRow integer_row(PreparedLayer& prepared, const Path& path, const ProbeBase& base, ProbeRow row) {
    std::vector<OpRange> runs;
    for (const Op op : {Op::scores, Op::context}) {
        if (has_step(path, {op, op})) {
            runs.push_back({op, op});
        }
    }
    if (runs.empty()) {
        row.judgement = {
            Verdict::covered,
            fmt::format("scores and probabilities stay on the core: covered by {}", name(Probe::one_hot)),
            {}};
        return row;
    }
    const auto expectation = expect_integers(base.shape);
    return run_probe(prepared, integers(), *expectation, std::move(row), runs);
}

// What a group of four channels of an index-valued row says about itself.
std::string found_index(const std::array<float, 4>& group, datasets::LayerShape shape) {
    const bool whole = std::ranges::all_of(group, [](float value) {
        return std::abs(value - std::round(value)) <= value / 64 && value >= 0.5F && value <= 129;
    });
    const auto at = [&](std::size_t i) { return static_cast<std::int64_t>(std::lround(group[i])) - 1; };
    if (!whole || at(3) >= shape.heads || at(0) >= shape.blocks()) {
        return "the channels around it hold no index";
    }
    return fmt::format("the channels around it say: head {}, row {} of tile {}, channel {}", at(3), at(1),
                       at(0), at(2));
}

std::string deviation(const ProbeRow& row) {
    return fmt::format("{} at {}row {}, column {} is {:.6g} where {:.6g} +- {:.2g} is due",
                       datasets::name(row.op),
                       row.worst.head < 0 ? "" : fmt::format("head {}, ", row.worst.head), row.worst.row,
                       row.worst.column, row.worst.got, row.worst.expected, row.worst.bound);
}

}  // namespace

std::string_view name(Probe probe) {
    return info(probe).name;
}

std::string_view proves(Probe probe) {
    return info(probe).proves;
}

Quantity quantity(Probe probe) {
    return info(probe).quantity;
}

std::vector<Finding> judge_probe(const ProbeRow& row, const ProbeSink::Figures& figures) {
    std::vector<Finding> out;
    const Quantity own = quantity(row.probe);
    const std::string_view suspects = info(row.probe).suspects;
    if (row.nonfinite > 0) {
        out.push_back({own, fmt::format("probe {}: {} of {} elements are unwritten, NaN or infinite: {}",
                                        name(row.probe), row.nonfinite, row.elements, suspects)});
    }
    if (figures.row_sum_rho > limit(Quantity::probe_row_sum).limit) {
        const Element& worst = figures.worst_row_sum;
        out.push_back(
            {Quantity::probe_row_sum,
             fmt::format("probe {}: probabilities of head {}, row {} add up to {:.6g}, due 1 +- {:.2g}",
                         name(row.probe), worst.head, worst.row, worst.got, worst.bound)});
    }
    if (row.rho > limit(own).limit && std::isfinite(row.worst.got)) {
        std::string text = fmt::format("probe {}: {}: {}", name(row.probe), deviation(row), suspects);
        if (row.probe == Probe::one_hot) {
            const std::int64_t due = hot_key(row.worst.row, row.shape.context);
            text += fmt::format("; due: row {} of tile {}; {}", due % datasets::block_rows,
                                due / datasets::block_rows, found_index(figures.group, row.shape));
        }
        out.push_back({own, std::move(text)});
    }
    return out;
}

ProbeRow run_probe(PreparedLayer& prepared, const Source& source, Expectation& expectation, ProbeRow row,
                   const std::vector<OpRange>& runs) {
    ProbeSink sink(expectation);
    std::vector<Finding> findings;
    try {
        for (const OpRange range : runs) {
            prepared.compute({range, datasets::has_heads(range.last) ? row.head : -1}, source, sink);
        }
    } catch (const npu_impl::IntegrityError& error) {
        findings.push_back({Quantity::guards, error.what()});
    }
    const ProbeSink::Figures& figures = sink.figures();
    row.elements = figures.elements;
    row.judged = figures.judged;
    row.nonfinite = figures.nonfinite;
    row.rho = figures.rho;
    row.row_sum_rho = figures.row_sum_rho;
    row.op = figures.rho > 0 ? figures.op : runs.back().last;
    row.worst = figures.worst;
    for (Finding& finding : judge_probe(row, figures)) {
        findings.push_back(std::move(finding));
    }
    row.judgement = judged(std::move(findings));
    if (row.judgement.verdict == Verdict::failed && row.rho > 0) {
        row.site = prepared.locate(row.op, row.worst.head, row.worst.row, row.worst.column);
    }
    return row;
}

std::vector<LogitMaxima> logit_maxima(std::span<const float> row_max, datasets::LayerShape shape) {
    std::vector<LogitMaxima> out;
    for (int head = 0; head < shape.heads; ++head) {
        const auto rows = row_max.subspan(std::size_t(head * shape.context), std::size_t(shape.context));
        const auto [lowest, highest] = std::ranges::minmax_element(rows);
        out.push_back({double{*lowest}, double{*highest}});
    }
    return out;
}

bool probes_apply(const Path& path) {
    const auto computed = [&](Op op) {
        return std::ranges::any_of(path.steps(), [&](OpRange step) {
            return step.contains(op) && core.contains(step.first) && core.contains(step.last);
        });
    };
    return computed(Op::scores) && computed(Op::probabilities) && computed(Op::context);
}

std::vector<ProbeRow> run_probes(PreparedLayer& prepared, const Path& path, const ProbeBase& base,
                                 int only_head) {
    std::vector<ProbeRow> out;
    const auto run = [&](Probe probe, const Source& source) {
        ProbeRow row;
        row.probe = probe;
        row.shape = base.shape;
        row.head = only_head;
        const auto expectation =
            expectation_of(probe, path, {base.shape, source, only_head, Blocks::sampled});
        out.push_back(run_probe(prepared, source, *expectation, std::move(row), {core}));
    };
    run(Probe::ones, shifted(base, ShiftTo::below, true));
    run(Probe::zero_keys, zero_keys(base));
    run(Probe::raised_keys, shifted(base, ShiftTo::above, false));
    run(Probe::deep_keys, deep_keys());
    run(Probe::one_hot, one_hot(base.shape.context));
    ProbeRow row;
    row.probe = Probe::integers;
    row.shape = base.shape;
    row.head = only_head;
    out.push_back(integer_row(prepared, path, base, std::move(row)));
    return out;
}

std::vector<ProbeRow> run_layer_probes(PreparedLayer& prepared, const Path& path,
                                       const reference::GoldenSource& golden, datasets::LayerShape shape,
                                       int only_head, const std::string& reproduce) {
    std::vector<ProbeRow> rows = run_probes(
        prepared, path, {shape, golden, logit_maxima(golden.row_statistics().max, shape)}, only_head);
    for (ProbeRow& row : rows) {
        if (row.judgement.verdict == Verdict::failed) {
            row.reproduce = reproduce + " --op context";
        }
    }
    return rows;
}

}  // namespace harness
