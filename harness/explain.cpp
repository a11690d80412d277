#include "harness/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <stdexcept>

#include "harness/diagnosis_tile.hpp"
#include "harness/error_collector.hpp"

namespace harness {
namespace {

constexpr std::size_t worst_rows_shown = 10;
constexpr std::size_t rows_listed = 12;

datasets::BlockTensor tensor(std::string name, std::int64_t rows, std::int64_t columns,
                             std::vector<double> values, bool single) {
    return {std::move(name), rows, columns, std::move(values), single};
}

datasets::Block dumped(const JudgedBlock& block, const OpRow& row, const datasets::LayerShape& shape) {
    datasets::Block out;
    out.texts = {{"clip", row.clip},
                 {"op", std::string(datasets::name(row.op))},
                 {"input", std::string(name(row.input))}};
    out.numbers = {{"layer", row.layer}, {"head", block.rows.head}, {"first_row", block.rows.begin}};
    for (const OperandRows& operand : operand_rows(block, shape)) {
        std::vector<float> values(static_cast<std::size_t>(operand.rows.count * operand.columns));
        block.operands.rows(operand.op, operand.rows, values);
        out.tensors.push_back(tensor(fmt::format("input_{}", datasets::name(operand.op)), operand.rows.count,
                                     operand.columns, {values.begin(), values.end()}, true));
    }
    const std::int64_t rows = block.rows.count;
    const std::int64_t columns = block.expected.columns;
    std::vector<double> got;
    std::vector<double> difference;
    for (std::int64_t r = 0; r < rows; ++r) {
        for (const float value : block.got.row(r)) {
            difference.push_back(double{value} - block.expected.value[got.size()]);
            got.push_back(double{value});
        }
    }
    out.tensors.push_back(tensor("golden", rows, columns, {block.golden.begin(), block.golden.end()}, true));
    out.tensors.push_back(tensor("expected", rows, columns, block.expected.value, false));
    out.tensors.push_back(tensor("bound", rows, columns, block.expected.bound, false));
    out.tensors.push_back(tensor("got", rows, columns, std::move(got), true));
    out.tensors.push_back(tensor("difference", rows, columns, std::move(difference), false));
    return out;
}

std::string layer_name(int layer) {
    return layer < 0 ? std::string("end") : fmt::to_string(layer);
}

// Rows that were judged, failed ones first, for a message.
std::string listed(const RunRecord& record) {
    std::vector<std::string> failed;
    std::vector<std::string> others;
    for (std::size_t i = 0; i < record.rows.size(); ++i) {
        const OpRow& row = record.rows[i];
        if (row.statistics) {
            (row.judgement.verdict == Verdict::passed ? others : failed)
                .push_back(fmt::format("{} = {}", i, row_name(row)));
        }
    }
    failed.insert(failed.end(), others.begin(), others.end());
    if (failed.empty()) {
        return "the record has no judged rows";
    }
    const std::size_t more = failed.size() - std::min(failed.size(), rows_listed);
    failed.resize(failed.size() - more);
    return fmt::format("rows: {}{}", fmt::join(failed, ", "),
                       more > 0 ? fmt::format(" and {} more", more) : "");
}

bool named(const OpRow& row, const std::string& text) {
    const std::string whole = row_name(row);
    return text == whole || text == whole.substr(0, whole.rfind('/'));
}

}  // namespace

std::string row_name(const OpRow& row) {
    return fmt::format("{}/{}/{}", layer_name(row.layer), datasets::name(row.op), name(row.input));
}

std::size_t find_row(const RunRecord& record, const std::string& text) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    const bool number = error == std::errc() && end == text.data() + text.size() && !text.empty();
    if (!number) {
        std::optional<std::size_t> first;
        for (std::size_t i = 0; i < record.rows.size(); ++i) {
            if (!record.rows[i].statistics || !named(record.rows[i], text)) {
                continue;
            }
            if (record.rows[i].judgement.verdict == Verdict::failed) {
                return i;
            }
            first = first.value_or(i);
        }
        index = first.value_or(record.rows.size());
    }
    if (index >= record.rows.size() || !record.rows[index].statistics) {
        const bool covered = index < record.rows.size();
        throw std::invalid_argument(
            fmt::format("row {}: {}; {}", text,
                        covered ? fmt::format("was not judged ({})", record.rows[index].judgement.reason)
                                : "there is none",
                        listed(record)));
    }
    return index;
}

Explanation explain(const OpRow& row, const SecondRun& run, const ErrorModel* errors) {
    Explanation out;
    ErrorCollector collector(row.op, run.shape, run.work.head);
    const auto first = run.judge();
    if (const auto missing = first->missing_operand(row.op)) {
        throw std::invalid_argument(
            fmt::format("{}: what is due is not known, for it reads {}, which is not "
                        "in the file: dump it too",
                        row_name(row), datasets::name(*missing)));
    }
    first->observe([&](const JudgedBlock& block) {
        Predicted predicted;
        if (errors != nullptr && block.op == row.op) {
            errors->of(block.op, block.rows, row.input, predicted);
        }
        collector.add(block, errors != nullptr ? &predicted : nullptr);
    });
    run.prepared.compute(run.work, run.golden, *first);
    out.statistics = first->statistics(row.op);
    if (!run.poisons) {
        out.statistics.poisoned = 0;
    }
    out.picture = collector.finish(worst_rows_shown);
    out.picture.title = fmt::format("clip {}, layer {}, {} ({})", row.clip, layer_name(row.layer),
                                    datasets::name(row.op), name(row.input));
    if (out.statistics.damage) {
        const Element& worst = out.statistics.damage->worst;
        out.site = run.prepared.locate(row.op, worst.head, worst.row, worst.column);
    }
    OpRow again = row;
    again.statistics = out.statistics;
    const datasets::Rows wanted = block_of(again, run.shape, run.work.head);
    std::mutex mutex;
    bool seen = false;
    const auto second = run.judge();
    second->observe([&](const JudgedBlock& block) {
        if (block.op != row.op || block.rows != wanted) {
            return;
        }
        auto diagnosis = diagnose(block, scene_of(run, block, out.statistics));
        auto dump = dumped(block, row, run.shape);
        const std::scoped_lock lock(mutex);
        out.diagnosis = std::move(diagnosis);
        out.block = std::move(dump);
        seen = true;
    });
    run.prepared.compute(run.work, run.golden, *second);
    if (!seen) {
        throw std::runtime_error(
            fmt::format("{}: run again, the path yielded no block of row {}", row_name(row), wanted.begin));
    }
    return out;
}

}  // namespace harness
