#include "reports/regression_text.hpp"

#include <fmt/color.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "reports/clean_text.hpp"

namespace reports {
namespace {

using harness::ComparedFigure;
using harness::FigureNature;
using harness::Regression;
using harness::RegressionVerdict;

constexpr std::array sections{
    RegressionSection{RegressionVerdict::lost, "verdicts lost"},
    RegressionSection{RegressionVerdict::slower, "slower"},
    RegressionSection{RegressionVerdict::crept, "crept up over many nights"},
    RegressionSection{RegressionVerdict::worse, "less accurate"},
    RegressionSection{RegressionVerdict::ambiguous, "may have changed"},
    RegressionSection{RegressionVerdict::faster, "faster"},
    RegressionSection{RegressionVerdict::better, "more accurate"},
    RegressionSection{RegressionVerdict::changed, "changed"},
};

// Rows of one section beyond this many are counted, not printed.
constexpr std::size_t figures_shown = 40;

std::string row_text(const ComparedFigure& one) {
    const harness::Figure& figure = one.figure;
    const std::string name = one_line(harness::figure_name(figure));
    if (!one.candidate_verdict.empty()) {
        return fmt::format("  {:<48} {} -> {}\n", name, one.baseline_verdict, one.candidate_verdict);
    }
    std::string out = fmt::format("  {:<38} {:<16} {:<9} {:>10} {:>10} {:>8}\n", name, figure.quantity,
                                  harness::name(figure.kind), figure_text(figure, one.baseline),
                                  figure_text(figure, one.candidate), change_ratio(one));
    if (const std::string evidence = change_evidence(one); !evidence.empty()) {
        out += fmt::format("      {}\n", one_line(evidence));
    }
    return out;
}

std::string section_text(const Regression& regression, const RegressionSection& section) {
    std::string out;
    std::size_t count = 0;
    for (const ComparedFigure& figure : regression.figures) {
        if (figure.verdict != section.verdict ||
            (section.verdict == RegressionVerdict::ambiguous && !may_have_changed(figure))) {
            continue;
        }
        out += ++count <= figures_shown ? row_text(figure) : "";
    }
    if (count == 0) {
        return out;
    }
    if (count > figures_shown) {
        out += fmt::format("  ... and {} more\n", count - figures_shown);
    }
    return fmt::format("{} ({})\n{}\n", section.heading, count, out);
}

}  // namespace

std::span<const RegressionSection> regression_sections() {
    return sections;
}

std::string regression_verdict(const Regression& regression) {
    const std::size_t lost = regression.count(RegressionVerdict::lost);
    const std::size_t slower = regression.count(RegressionVerdict::slower);
    const std::size_t worse = regression.count(RegressionVerdict::worse);
    const auto maybe = std::ranges::count_if(regression.figures, may_have_changed);
    const auto vague = std::ranges::count_if(regression.figures, [](const ComparedFigure& figure) {
        return figure.verdict == RegressionVerdict::ambiguous && !may_have_changed(figure);
    });
    const std::size_t crept = regression.count(RegressionVerdict::crept);
    std::string out = lost > 0     ? fmt::format("ACCURACY LOST: {} verdicts lost", lost)
                      : slower > 0 ? fmt::format("SLOWER: {} figures", slower)
                      : crept > 0  ? fmt::format("SLOWER: {} figures crept up over many nights", crept)
                                   : "NO REGRESSION: no verdict lost, nothing slower";
    if (lost > 0 && slower > 0) {
        out += fmt::format(", {} figures slower", slower);
    }
    if (lost + slower > 0 && crept > 0) {
        out += fmt::format(", {} crept up over many nights", crept);
    }
    if (worse > 0) {
        out += fmt::format("; {} less accurate", worse);
    }
    if (maybe > 0) {
        out += fmt::format("; {} may have changed", maybe);
    }
    if (vague > 0) {
        out += fmt::format("; {} of {} measured not judged", vague, regression.measured_rows);
    }
    return fmt::format("{}; exit code {}", out, regression.exit_code());
}

std::vector<std::string> regression_subject(const Regression& regression) {
    std::vector<std::string> out{
        fmt::format("baseline: {}, commit {}", regression.baseline, regression.baseline_commit),
        fmt::format("compared: {}, commit {}", fmt::join(regression.runs, ", "), regression.commit)};
    if (!regression.differences.empty()) {
        out.push_back(fmt::format("the builds differ: {}", regression.differences));
    }
    out.push_back(
        fmt::format("measured: slower or faster beyond max({:.0f}%, {:g} x A/A spread), Mann-Whitney over {} "
                    "rows at {:g}% (Holm), reproduced",
                    100 * regression.rule.least_effect, regression.rule.spread_factor,
                    regression.measured_rows, 100 * regression.rule.alpha));
    if (!regression.creep.empty()) {
        out.push_back("creep: " + regression.creep);
    }
    return out;
}

std::string figure_text(const harness::Figure& figure, double value) {
    if (std::isnan(value)) {
        return "-";
    }
    switch (harness::figure_quantity(figure.quantity).nature) {
        case FigureNature::count:
            return fmt::format("{:.0f}", value);
        case FigureNature::accuracy:
            return fmt::format("{:.8g}", value);
        default:
            return fmt::format("{:.4g}", value);
    }
}

std::string change_ratio(const ComparedFigure& figure) {
    const double ratio = figure.candidate / figure.baseline;
    return figure.baseline != 0 && std::isfinite(ratio) ? fmt::format("{:.3f}x", ratio) : "-";
}

std::string change_evidence(const ComparedFigure& figure) {
    if (!figure.change) {
        return figure.reason;
    }
    const harness::TimeChange& change = *figure.change;
    std::string out =
        fmt::format("threshold {:.1f}%, A/A spread {}, p {:.2g}", 100 * change.threshold,
                    change.spread ? fmt::format("{:.1f}%", 100 * *change.spread) : "unknown", change.p);
    return figure.reason.empty() ? out : out + "; " + figure.reason;
}

bool may_have_changed(const ComparedFigure& figure) {
    return figure.verdict == RegressionVerdict::ambiguous &&
           (!figure.change || figure.reason.starts_with("may be"));
}

std::vector<std::string> regression_counts(const Regression& regression) {
    std::map<std::string, int> reasons;
    for (const ComparedFigure& figure : regression.figures) {
        const bool is_vague = figure.verdict == RegressionVerdict::ambiguous && !may_have_changed(figure);
        if (is_vague || figure.verdict == RegressionVerdict::no_data) {
            ++reasons[fmt::format("{}: {}", harness::name(figure.verdict), figure.reason)];
        }
    }
    std::vector<std::string> out;
    for (const auto& [reason, count] : reasons) {
        out.push_back(fmt::format("{} {}", count, reason));
    }
    out.push_back(fmt::format("{} same", regression.count(RegressionVerdict::same)));
    return out;
}

std::string regression_report(const Regression& regression, bool color) {
    const std::string verdict = regression_verdict(regression);
    const auto style = regression.exit_code() == 0 ? fg(fmt::terminal_color::green)
                                                   : fg(fmt::terminal_color::red) | fmt::emphasis::bold;
    std::string out = color ? fmt::format(style, "{}", verdict) : verdict;
    out += "\n";
    for (const std::string& line : regression_subject(regression)) {
        out += one_line(line) + "\n";
    }
    out += "\n";
    for (const RegressionSection& section : sections) {
        out += section_text(regression, section);
    }
    for (const std::string& line : regression_counts(regression)) {
        out += one_line(line) + "\n";
    }
    return out;
}

}  // namespace reports
