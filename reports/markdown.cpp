#include "reports/markdown.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/clean_text.hpp"
#include "reports/regression_text.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

using harness::ComparedFigure;
using harness::Regression;
using harness::RegressionVerdict;
using harness::RunRecord;
using harness::Verdict;

// GitHub takes comments of 65,536 characters. Bytes are counted, which are no fewer: of all, of the failures,
// and of the rows of all sections, above the folded tables as well as in one of them.
constexpr std::size_t most_bytes = 60'000;
constexpr std::size_t failure_bytes = 24'000;
constexpr std::size_t section_bytes = 24'000;
constexpr std::size_t failures_shown = 20;
constexpr std::size_t rows_shown = 50;

// As text of a table's cell or a line: what Markdown or HTML would read as its own is escaped.
std::string plain(std::string_view text) {
    std::string out;
    for (const char c : one_line(text)) {
        if (c == '<') {
            out += "&lt;";
        } else if (c == '&') {
            out += "&amp;";
        } else {
            if (std::string_view("|\\`*_[]#~").find(c) != std::string_view::npos) {
                out += '\\';
            }
            out += c;
        }
    }
    return out;
}

// A block of code whose fence is longer than any in the text.
std::string code(std::string_view text) {
    const std::string clean = clean_lines(text);
    std::string fence = "```";
    while (clean.find(fence) != std::string::npos) {
        fence += '`';
    }
    return fmt::format("{0}\n{1}\n{0}\n", fence, clean);
}

const char* mark(bool good) {
    return good ? "✅" : "❌";
}

// ", 1 of 6 headlines" where one has no good verdict; nothing else.
std::string bad_of(const std::vector<Verdict>& verdicts, const char* what) {
    const auto bad = std::ranges::count_if(verdicts, [](Verdict one) { return !harness::is_good(one); });
    return bad > 0 ? fmt::format(", {} of {} {}", bad, verdicts.size(), what) : "";
}

// "3 failed, 1 not_run of 48 rows, 1 of 6 headlines": what is not good, in words. Of probes, where there is
// nothing else.
std::string counted(const RunRecord& record) {
    std::vector<Verdict> rows;
    std::vector<Verdict> headlines;
    std::vector<Verdict> probes;
    for (const harness::OpRow& row : record.rows) {
        rows.push_back(row.judgement.verdict);
    }
    for (const harness::LayerRow& layer : record.layers) {
        if (layer.headline.verdict != Verdict::not_run) {
            headlines.push_back(layer.headline.verdict);
        }
        for (const harness::ProbeRow& probe : layer.probes) {
            probes.push_back(probe.judgement.verdict);
        }
    }
    for (const harness::ProbeRow& probe : record.ragged_probes) {
        probes.push_back(probe.judgement.verdict);
    }
    const bool alone = rows.empty() && headlines.empty() && !probes.empty();
    const std::vector<Verdict>& judged = alone ? probes : rows;
    std::string out;
    for (const Verdict verdict :
         {Verdict::failed, Verdict::mistrusted, Verdict::unstable, Verdict::not_run}) {
        const auto count = std::ranges::count(judged, verdict);
        out +=
            count > 0 ? fmt::format("{}{} {}", out.empty() ? "" : ", ", count, harness::name(verdict)) : "";
    }
    const auto accepted = std::ranges::count(headlines, Verdict::accepted);
    out = fmt::format("{} of {} {}{}{}", out.empty() ? "none failed" : out, judged.size(),
                      alone ? "probes" : "rows", bad_of(headlines, "headlines"),
                      alone ? "" : bad_of(probes, "probes"));
    if (accepted > 0) {
        out +=
            fmt::format("; {} of {} headlines miss the match, which is accepted", accepted, headlines.size());
    }
    return out;
}

std::string verdict_line(const RunRecord& record) {
    std::string out = fmt::format("### {} {}: {}", mark(harness::is_good(record.verdict)),
                                  plain(harness::name(record.verdict)), counted(record));
    if (record.shard && !complete(*record.shard)) {
        out += fmt::format("; only shards {} of {}", harness::shard_list(record.shard->shards),
                           record.shard->of);
    }
    return out + "\n\n";
}

std::string verdict_line(const Regression& regression) {
    return fmt::format("### {} {}\n\n", mark(regression.exit_code() == 0),
                       plain(regression_verdict(regression)));
}

// What has failed or is accepted: a line that says where and why, a block of details where there are some.
class FailureList {
public:
    void add(const harness::Judgement& judgement, std::string_view where, const std::string& details,
             const std::string& reproduce) {
        if (judgement.verdict != Verdict::accepted && harness::is_good(judgement.verdict)) {
            return;
        }
        std::string entry = fmt::format("**{}** {}: {}\n", harness::name(judgement.verdict), plain(where),
                                        plain(judgement.reason));
        std::string block = details;
        if (!reproduce.empty()) {
            block += fmt::format("reproduce: {}\n", reproduce);
        }
        if (!block.empty()) {
            block.pop_back();
            entry += code(block);
        }
        entry += "\n";
        const bool fits = shown_ < failures_shown && text_.size() + entry.size() <= failure_bytes;
        text_ += fits ? entry : "";
        ++(fits ? shown_ : left_out_);
    }
    [[nodiscard]] std::string text() const {
        return left_out_ == 0 ? text_ : fmt::format("{}... and {} more\n\n", text_, left_out_);
    }

private:
    std::string text_;
    std::size_t shown_ = 0;
    std::size_t left_out_ = 0;
};

void add_layer(FailureList& list, const harness::LayerRow& layer) {
    const std::string where = fmt::format("{} {}", layer.clip, piece_name(layer.layer));
    if (layer.headline.verdict != Verdict::not_run) {
        list.add(layer.headline, where + " match of the attention output",
                 layer.diagnosis ? diagnosis_text(*layer.diagnosis, "") : "", layer.reproduce);
    }
    if (layer.differing_elements > 0) {
        list.add(
            {Verdict::unstable, fmt::format("{} elements differ after A, B, A", layer.differing_elements)},
            where, "", layer.reproduce);
    }
    for (const harness::ProbeRow& row : layer.probes) {
        list.add(row.judgement, fmt::format("{} probe {}", where, harness::name(row.probe)), "",
                 row.reproduce);
    }
}

std::string failures(const RunRecord& record) {
    FailureList list;
    for (const harness::EncoderRow& row : record.encoders) {
        list.add(row.judgement, row.clip + " whole encoder", "", "");
    }
    for (const harness::OpRow& row : record.rows) {
        list.add(row.judgement,
                 fmt::format("{} {} {} ({})", row.clip, piece_name(row.layer), datasets::name(row.op),
                             harness::name(row.input)),
                 limits_text(row.judgement, "") + damage_text(row, ""), row.reproduce);
    }
    for (const harness::LayerRow& layer : record.layers) {
        add_layer(list, layer);
    }
    for (const harness::ProbeRow& row : record.ragged_probes) {
        list.add(row.judgement,
                 fmt::format("probe {} at T = {}", harness::name(row.probe), row.shape.context), "",
                 row.reproduce);
    }
    for (const harness::TrustRow& row : record.trust) {
        list.add(row.judgement, fmt::format("data cannot reveal {}", harness::name(row.fault)), "", "");
    }
    return list.text();
}

std::string compared_row(const ComparedFigure& one) {
    if (!one.candidate_verdict.empty()) {
        return fmt::format("| {} | verdict | computed | {} | {} | | |\n",
                           plain(harness::figure_name(one.figure)), one.baseline_verdict,
                           one.candidate_verdict);
    }
    return fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", plain(harness::figure_name(one.figure)),
                       one.figure.quantity, harness::name(one.figure.kind),
                       figure_text(one.figure, one.baseline), figure_text(one.figure, one.candidate),
                       change_ratio(one), plain(change_evidence(one)));
}

// Of every section whose figures `wanted` takes.
template <typename Wanted>
std::string section_tables(const Regression& regression, Wanted wanted) {
    std::string out;
    for (const RegressionSection& section : regression_sections()) {
        std::string rows;
        std::size_t count = 0;
        std::size_t shown = 0;
        for (const ComparedFigure& one : regression.figures) {
            if (one.verdict != section.verdict || !wanted(one)) {
                continue;
            }
            ++count;
            const std::string row = shown < rows_shown ? compared_row(one) : "";
            if (!row.empty() && out.size() + rows.size() + row.size() <= section_bytes) {
                rows += row;
                ++shown;
            }
        }
        if (count > 0) {
            out += fmt::format(
                "**{}** ({})\n\n| figure | quantity | kind | baseline | now | ratio | evidence |\n"
                "|---|---|---|---:|---:|---:|---|\n{}\n",
                section.heading, count, rows);
            out += count > shown ? fmt::format("... and {} more\n\n", count - shown) : "";
        }
    }
    return out;
}

bool is_regression(const ComparedFigure& one) {
    return one.verdict <= RegressionVerdict::worse || may_have_changed(one);
}

std::string folded(std::string_view title, const std::string& text) {
    return text.empty() ? text
                        : fmt::format("<details><summary>{}</summary>\n\n{}\n</details>\n\n", title, text);
}

std::string op_table(const RunRecord& record) {
    std::string out;
    for (const harness::OpRow& row : record.rows) {
        if (!row.statistics) {
            continue;
        }
        out += fmt::format("| {} | {} | {} | {} | {} | {:.3g} | {} | {} |\n", plain(row.clip),
                           piece_name(row.layer), datasets::name(row.op), harness::name(row.input),
                           harness::name(row.judgement.verdict), row.statistics->rho,
                           percent(row.statistics->match_percent), error(row.statistics->worst_row));
    }
    return out.empty() ? out
                       : "| clip | layer | op | input | verdict | rho | match % | worst row |\n"
                         "|---|---|---|---|---|---:|---:|---:|\n" +
                             out;
}

std::string time_table(const RunRecord& record) {
    std::string out;
    for (const harness::LayerRow& layer : record.layers) {
        for (const harness::StepTime& step : layer.steps) {
            out += fmt::format(
                "| {} | {} | {} | {} {} | {} {} | {} | {} |\n", plain(layer.clip), piece_name(layer.layer),
                harness::range_name(step.ops), milliseconds(step.cpu.seconds), kind(step.cpu.clock),
                milliseconds(step.npu.seconds), kind(step.npu.clock), ratio(step.speedup), step.launches);
        }
    }
    return out.empty() ? out
                       : "| clip | layer | ops | CPU ms | NPU ms | speedup | launches, counted |\n"
                         "|---|---|---|---:|---:|---:|---:|\n" +
                             out + fmt::format("\nspeedup: {}\n", plain(record.speedup_label));
}

// Without what the record does not say: one that was read back may lack its environment.
std::string provenance(const RunRecord& record) {
    const harness::CandidateFile candidate = record.candidate.value_or(harness::CandidateFile{});
    const harness::ProbeFiles probes = candidate.probes.value_or(harness::ProbeFiles{});
    const std::vector<std::pair<const char*, std::string>> lines{
        {"command", record.command},
        {"commit", record.environment.commit},
        {"created", record.created_utc},
        {"recording", record.recording.model_id},
        {"its sha256", record.recording_sha256},
        {"it proves", record.provenance_note},
        {"candidate", candidate.file},
        {"candidate's sha256", candidate.sha256},
        {"probes", probes.candidate},
        {"probes' sha256", probes.candidate_sha256},
        {"design", record.design},
        {"device", record.device},
        {"emulation", record.emulation},
        {"NPU times", record.cost_model},
        {"CPU", record.environment.cpu},
        {"tasks", record.environment.threads > 0 ? fmt::to_string(record.environment.threads) : ""},
        {"BLAS", record.environment.blas},
        {"BLAS kernels", record.environment.blas_core_type},
        {"compiler", record.environment.compiler},
        {"flags", record.environment.flags}};
    std::string out = "| | |\n|---|---|\n";
    for (const auto& [name, value] : lines) {
        out += value.empty() ? "" : fmt::format("| {} | {} |\n", name, plain(value));
    }
    return out;
}

// All but the regressions, which stand above.
std::string comparison(const Regression& regression) {
    std::string out;
    for (const std::string& line : regression_subject(regression)) {
        out += fmt::format("- {}\n", plain(line));
    }
    out += "\n";
    out += section_tables(regression, [](const ComparedFigure& one) {
        return one.verdict != RegressionVerdict::ambiguous && !is_regression(one);
    });
    for (const std::string& line : regression_counts(regression)) {
        out += fmt::format("- {}\n", plain(line));
    }
    return out;
}

// With as many of the tables as a comment holds.
std::string joined(std::string out, const std::vector<std::string>& tables) {
    std::size_t left_out = 0;
    for (const std::string& table : tables) {
        if (out.size() + table.size() <= most_bytes) {
            out += table;
        } else {
            ++left_out;
        }
    }
    if (left_out > 0) {
        out += fmt::format("{} tables left out: the comment would be too long; they are in run.json\n",
                           left_out);
    }
    return out;
}

}  // namespace

std::string markdown_report(const RunRecord& record, const Regression* regression) {
    std::string out = verdict_line(record);
    std::vector<std::string> tables;
    if (regression != nullptr) {
        out += verdict_line(*regression) + failures(record) + section_tables(*regression, is_regression);
        tables.push_back(folded("Comparison", comparison(*regression)));
    } else {
        out += failures(record);
    }
    tables.push_back(folded("Environment and provenance", provenance(record)));
    tables.push_back(folded("Accuracy, row by row", op_table(record)));
    tables.push_back(folded("Times, layer by layer", time_table(record)));
    return joined(std::move(out), tables);
}

std::string markdown_report(const Regression& regression) {
    return joined(verdict_line(regression) + section_tables(regression, is_regression),
                  {folded("Comparison", comparison(regression))});
}

}  // namespace reports
