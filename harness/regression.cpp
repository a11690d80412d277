#include "harness/regression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

namespace harness {
namespace {

// One figure on both sides, run by run.
struct Sides {
    std::vector<const Figure*> runs;
    std::vector<const Figure*> baseline;
    std::set<const RunFigures*> judged_by;  // the runs
    bool was_asked_for = false;             // a run of the baseline over the same layers has it
};

bool equal_bits(double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
           (std::isnan(a) && std::isnan(b));
}

// In the order of the first run that has them, those of the baseline last.
class Pairing {
public:
    explicit Pairing(std::string_view scope) : scope_(scope) {}

    void add(const RunFigures& run, std::vector<const Figure*> Sides::*side) {
        const bool same_layers = run.scope == scope_;
        std::set<std::pair<std::string, std::string>> rows;
        for (const Figure& figure : run.figures) {
            if (figure_quantity(figure.quantity).nature == FigureNature::derived) {
                continue;
            }
            const auto [at, is_new] = index_.try_emplace(identity_of(figure), sides_.size());
            if (is_new) {
                sides_.emplace_back();
            }
            Sides& sides = sides_[at->second];
            (sides.*side).push_back(&figure);
            if (side == &Sides::runs) {
                sides.judged_by.insert(&run);
            }
            sides.was_asked_for |= side == &Sides::baseline && same_layers;
            rows.emplace(figure.row, figure.input);
        }
        if (side == &Sides::runs && same_layers) {
            judged_.push_back({&run, std::move(rows)});
        }
    }
    [[nodiscard]] const std::vector<Sides>& sides() const { return sides_; }

    // Whether a run should have judged what only the baseline, or another run, has.
    [[nodiscard]] bool lacks(const Sides& sides) const {
        if (sides.baseline.empty() || !sides.was_asked_for) {
            return false;
        }
        const Figure& figure = *sides.baseline.back();
        if (figure_quantity(figure.quantity).nature != FigureNature::verdict || !is_good(*figure.verdict)) {
            return false;
        }
        return std::ranges::any_of(judged_, [&](const JudgedRows& run) {
            return run.rows.contains({figure.row, figure.input}) && !sides.judged_by.contains(run.run);
        });
    }

private:
    // A run over the layers in question, and the rows and inputs that it has anywhere.
    struct JudgedRows {
        const RunFigures* run;
        std::set<std::pair<std::string, std::string>> rows;
    };

    std::string_view scope_;  // of the runs
    std::vector<JudgedRows> judged_;
    std::map<FigureIdentity, std::size_t> index_;
    std::vector<Sides> sides_;
};

ComparedFigure described(const Sides& sides, const Pairing& pairing) {
    ComparedFigure out;
    const Figure& shown = sides.runs.empty() ? *sides.baseline.back() : *sides.runs.back();
    out.figure = shown;
    out.figure.samples.clear();
    if (pairing.lacks(sides)) {
        out.verdict = RegressionVerdict::lost;
        out.baseline_verdict = name(*sides.baseline.back()->verdict);
        out.candidate_verdict = "absent";
        return out;
    }
    if (sides.runs.empty() || sides.baseline.empty()) {
        out.verdict = RegressionVerdict::no_data;
        out.reason = sides.runs.empty() ? "only in the baseline" : "not in the baseline";
        return out;
    }
    out.baseline = sides.baseline.back()->value;
    out.candidate = sides.runs.back()->value;
    return out;
}

// A verdict that is worth less than before is lost: what passed and is only accepted now, too.
int worth(Verdict verdict) {
    return verdict == Verdict::accepted ? 1 : is_good(verdict) ? 2 : 0;
}

void compare_verdicts(ComparedFigure& out, const Sides& sides) {
    const auto word = [](const Figure& figure) { return std::string(name(*figure.verdict)); };
    // The worst of the runs decides, for what fails in one of them has not passed; and the best of the
    // baseline, or a loss would be told for one night only.
    const Figure& now =
        **std::ranges::min_element(sides.runs, {}, [](const Figure* f) { return worth(*f->verdict); });
    const Figure& before =
        **std::ranges::max_element(sides.baseline, {}, [](const Figure* f) { return worth(*f->verdict); });
    out.baseline_verdict = word(before);
    out.candidate_verdict = word(now);
    if (worth(*before.verdict) > worth(*now.verdict)) {
        out.verdict = RegressionVerdict::lost;
    } else if (worth(*before.verdict) < worth(*now.verdict)) {
        out.verdict = RegressionVerdict::better;
    } else {
        out.verdict = before.verdict == now.verdict ? RegressionVerdict::same : RegressionVerdict::changed;
    }
}

// Of an accuracy figure. One that says nothing any more is a loss, one that says something now is none.
bool is_worse(double now, double before, const FigureQuantity& quantity) {
    if (std::isnan(now) || std::isnan(before)) {
        return !std::isnan(before);
    }
    return quantity.better == Better::lower ? now > before : now < before;
}

void compare_exactly(ComparedFigure& out, const Sides& sides, const FigureQuantity& quantity) {
    const bool is_accuracy = quantity.nature == FigureNature::accuracy;
    bool runs_differ = false;
    for (const Figure* run : sides.runs) {
        runs_differ |= !equal_bits(run->value, out.candidate);
        if (is_accuracy && is_worse(run->value, out.candidate, quantity)) {
            out.candidate = run->value;  // what one of the runs lost is lost
        }
    }
    if (runs_differ) {
        out.verdict = is_accuracy && is_worse(out.candidate, out.baseline, quantity)
                          ? RegressionVerdict::worse
                          : RegressionVerdict::ambiguous;
        out.reason = "runs of one build differ, which this kind of figure never should";
        return;
    }
    if (equal_bits(out.baseline, out.candidate)) {
        out.verdict = RegressionVerdict::same;
        return;
    }
    switch (quantity.nature) {
        case FigureNature::accuracy:
            out.verdict = is_worse(out.candidate, out.baseline, quantity) ? RegressionVerdict::worse
                                                                          : RegressionVerdict::better;
            break;
        case FigureNature::time:
            out.verdict = out.candidate > (1 + plan_tolerance) * out.baseline   ? RegressionVerdict::slower
                          : out.baseline > (1 + plan_tolerance) * out.candidate ? RegressionVerdict::faster
                                                                                : RegressionVerdict::changed;
            break;
        default:
            out.verdict = RegressionVerdict::changed;
    }
}

SamplesOfRuns samples_of(const std::vector<const Figure*>& figures) {
    SamplesOfRuns out;
    for (const Figure* figure : figures) {
        out.push_back(times_of(*figure));
    }
    return out;
}

RegressionVerdict verdict_of(TimeVerdict verdict) {
    switch (verdict) {
        case TimeVerdict::same:
            return RegressionVerdict::same;
        case TimeVerdict::faster:
            return RegressionVerdict::faster;
        case TimeVerdict::slower:
            return RegressionVerdict::slower;
        case TimeVerdict::ambiguous:
            return RegressionVerdict::ambiguous;
        case TimeVerdict::no_data:
            return RegressionVerdict::no_data;
    }
    return RegressionVerdict::no_data;
}

void compare_times(std::vector<ComparedFigure>& figures, const std::vector<std::size_t>& measured,
                   const std::vector<Sides>& sides, const TimeRule& rule) {
    std::vector<TimeRow> rows;
    for (const std::size_t index : measured) {
        rows.push_back({samples_of(sides[index].baseline), samples_of(sides[index].runs)});
    }
    const std::vector<TimeChange> changes = judge_times(rows, rule);
    for (std::size_t i = 0; i < measured.size(); ++i) {
        ComparedFigure& figure = figures[measured[i]];
        figure.change = changes[i];
        figure.verdict = verdict_of(changes[i].verdict);
        figure.reason = changes[i].reason;
        figure.baseline = changes[i].baseline;
        figure.candidate = changes[i].candidate;
    }
}

void require_comparable(std::span<const RunFigures> runs, std::span<const RunFigures> baseline,
                        Baseline kind) {
    if (runs.empty() || baseline.empty()) {
        throw std::invalid_argument(runs.empty() ? "no run to compare" : "the baseline has no run");
    }
    const RunFigures& first = runs.front();
    const auto require = [&](const RunFigures& other, KeyFields fields) {
        if (const std::string difference = key_difference(first.key, other.key, fields);
            !difference.empty()) {
            throw std::invalid_argument(
                fmt::format("{} and {} cannot be compared: {}; run both in the same environment", first.file,
                            other.file, difference));
        }
    };
    for (const RunFigures& run : baseline) {
        require(run, kind == Baseline::earlier ? KeyFields::all : KeyFields::not_of_build);
        if (std::ranges::find(runs, run.sha256, &RunFigures::sha256) != runs.end()) {
            throw std::invalid_argument(fmt::format("{} is its own baseline: name another run", run.file));
        }
    }
    for (const RunFigures& run : runs) {
        if (!run.missing.empty()) {
            throw std::invalid_argument(fmt::format(
                "{} {}: what it lacks cannot be compared; see harness merge", run.file, run.missing));
        }
        require(run, KeyFields::all);
        if (run.commit != first.commit) {
            throw std::invalid_argument(fmt::format("{} and {} are of two builds, commit {} and {}",
                                                    first.file, run.file, first.commit, run.commit));
        }
    }
}

}  // namespace

std::string_view name(RegressionVerdict verdict) {
    switch (verdict) {
        case RegressionVerdict::lost:
            return "lost";
        case RegressionVerdict::slower:
            return "slower";
        case RegressionVerdict::crept:
            return "crept up";
        case RegressionVerdict::worse:
            return "worse";
        case RegressionVerdict::ambiguous:
            return "ambiguous";
        case RegressionVerdict::faster:
            return "faster";
        case RegressionVerdict::better:
            return "better";
        case RegressionVerdict::changed:
            return "changed";
        case RegressionVerdict::no_data:
            return "no data";
        case RegressionVerdict::same:
            return "same";
    }
    return "unknown";
}

std::size_t Regression::count(RegressionVerdict verdict) const {
    return static_cast<std::size_t>(std::ranges::count(figures, verdict, &ComparedFigure::verdict));
}

int Regression::exit_code() const {
    constexpr int failed = 1;
    constexpr int regressed = 4;
    if (count(RegressionVerdict::lost) > 0) {
        return failed;
    }
    return count(RegressionVerdict::slower) + count(RegressionVerdict::crept) > 0 ? regressed : 0;
}

Regression compare_with_baseline(std::span<const RunFigures> runs, std::span<const RunFigures> baseline,
                                 std::string baseline_words, Baseline kind) {
    require_comparable(runs, baseline, kind);
    Pairing pairing(runs.back().scope);
    for (const RunFigures& run : runs) {
        pairing.add(run, &Sides::runs);
    }
    for (const RunFigures& run : baseline) {
        pairing.add(run, &Sides::baseline);
    }
    Regression out;
    out.baseline = std::move(baseline_words);
    out.baseline_commit = baseline.back().commit;
    out.commit = runs.back().commit;
    out.differences = key_difference(runs.back().key, baseline.back().key);
    std::ranges::transform(runs, std::back_inserter(out.runs), &RunFigures::file);
    std::vector<std::size_t> measured;
    for (const Sides& sides : pairing.sides()) {
        ComparedFigure figure = described(sides, pairing);
        const FigureQuantity& quantity = figure_quantity(figure.figure.quantity);
        if (!sides.runs.empty() && !sides.baseline.empty() && !pairing.lacks(sides)) {
            if (quantity.nature == FigureNature::verdict) {
                compare_verdicts(figure, sides);
            } else if (figure.figure.kind == FigureKind::measured) {
                measured.push_back(out.figures.size());
            } else {
                compare_exactly(figure, sides, quantity);
            }
        }
        out.figures.push_back(std::move(figure));
    }
    compare_times(out.figures, measured, pairing.sides(), out.rule);
    out.measured_rows = measured.size();
    if (out.count(RegressionVerdict::no_data) == out.figures.size()) {
        throw std::invalid_argument(
            fmt::format("{} and its baseline ({}) have no figure in common", runs.back().file, out.baseline));
    }
    std::ranges::stable_sort(out.figures, {}, &ComparedFigure::verdict);
    return out;
}

bool noise_hides(const Regression& regression) {
    return std::ranges::any_of(regression.figures, [&](const ComparedFigure& figure) {
        return figure.change && noise_hides(*figure.change, regression.rule);
    });
}

Regression reproduced_by(const Regression& first, Regression second) {
    const auto is_in = [&](const Regression& other, const ComparedFigure& figure) {
        return std::ranges::any_of(other.figures, [&](const ComparedFigure& one) {
            return one.verdict == figure.verdict && identity_of(one.figure) == identity_of(figure.figure);
        });
    };
    for (ComparedFigure& figure : second.figures) {
        if (figure.verdict == RegressionVerdict::slower && figure.change && !is_in(first, figure)) {
            figure.verdict = RegressionVerdict::ambiguous;
            figure.reason = "may be slower: not in the rounds before";
        }
    }
    for (const ComparedFigure& figure : first.figures) {
        if (figure.verdict == RegressionVerdict::lost && !is_in(second, figure)) {
            std::erase_if(second.figures, [&](const ComparedFigure& one) {
                return identity_of(one.figure) == identity_of(figure.figure);
            });
            second.figures.push_back(figure);
            second.figures.back().reason = "not in the rounds after";
        }
    }
    std::ranges::stable_sort(second.figures, {}, &ComparedFigure::verdict);
    return second;
}

std::string figure_name(const Figure& figure) {
    std::string out = figure.row;
    for (const std::string& word : {figure.part, figure.clip, figure.input}) {
        out += word.empty() ? "" : " " + word;
    }
    return out;
}

}  // namespace harness
