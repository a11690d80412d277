#include "harness/second_run.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Op;

// Whether the values of the row's blocks may tell why it failed.
bool values_tell(const OpRow& row) {
    return row.judgement.verdict == Verdict::failed && row.statistics && row.statistics->damage;
}

}  // namespace

datasets::Rows block_of(const OpRow& row, const datasets::LayerShape& shape, int only_head) {
    const auto& damage = row.statistics->damage;
    const int first_head = datasets::has_heads(row.op) ? std::max(only_head, 0) : -1;
    const std::int64_t begin = damage ? damage->worst.row / datasets::block_rows * datasets::block_rows : 0;
    return {damage ? damage->worst.head : first_head, begin,
            std::min(datasets::block_rows, shape.context - begin)};
}

Scene scene_of(const SecondRun& run, const JudgedBlock& block, const OpStatistics& statistics) {
    return {
        run.piece,
        run.rounded,
        run.golden,
        run.shape,
        statistics,
        [&prepared = run.prepared, op = block.op](std::int64_t head, std::int64_t row, std::int64_t column) {
            const auto site = prepared.locate(op, static_cast<int>(head), row, column);
            return site && site->ran ? site : std::nullopt;
        }};
}

void diagnose_failures(std::span<OpRow> rows, const SecondRun& run) {
    std::map<Op, OpRow*> wanted;
    for (OpRow& row : rows) {
        if (values_tell(row) && run.work.ops.contains(row.op)) {
            wanted[row.op] = &row;
        }
    }
    if (wanted.empty()) {
        return;
    }
    std::mutex mutex;
    const auto judge = run.judge();
    judge->observe([&](const JudgedBlock& block) {
        const auto found = wanted.find(block.op);
        // What is due is not known where an operand is missing.
        if (found == wanted.end() || judge->missing_operand(block.op) ||
            block.rows != block_of(*found->second, run.shape, run.work.head)) {
            return;
        }
        const Scene scene = scene_of(run, block, *found->second->statistics);
        auto diagnosis = diagnose(block, scene);
        const std::scoped_lock lock(mutex);
        found->second->diagnosis = std::move(diagnosis);
    });
    try {
        run.prepared.compute(run.work, run.golden, *judge);
    } catch (const npu_impl::IntegrityError&) {
        // The first run's verdict names it; the blocks that came before were looked at.
        return;
    }
}

}  // namespace harness
