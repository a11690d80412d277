#include "harness/candidate_path.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <utility>

#include "harness/index.hpp"
#include "npu_impl/layer_plan.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Part;
using datasets::Rows;
using datasets::Work;

// Columns of a row of all heads.
std::int64_t columns_of(Op op, const datasets::LayerShape& shape) {
    return datasets::has_heads(op) && !is_square(op) ? shape.width() : datasets::row_width(op, shape);
}

class DumpedLayer final : public datasets::PreparedLayer {
public:
    DumpedLayer(const datasets::Candidate& candidate, const npu_impl::Design& design, std::string clip,
                int layer, datasets::LayerShape shape, std::vector<Op> ops)
        : candidate_(candidate),
          plan_(npu_impl::plan_layer(design, shape, {0, shape.heads})),
          clip_(std::move(clip)),
          layer_(layer),
          shape_(shape),
          ops_(std::move(ops)) {}

    std::vector<Part> compute(Work work, const datasets::Source&, datasets::Sink& sink) override {
        std::vector<Op> inner;  // of the square part: a block of all of them before the next block
        for (const Op op : ops_) {
            if (!work.ops.contains(op)) {
                continue;
            }
            if (Op::scores <= op && op <= Op::context) {
                inner.push_back(op);
                continue;
            }
            push_square_part(std::exchange(inner, {}), work, sink);
            push_whole(op, work, sink);
        }
        push_square_part(inner, work, sink);
        return {};
    }

    [[nodiscard]] std::vector<Part> planned(Work) const override { return {}; }

    [[nodiscard]] std::optional<datasets::Site> locate(Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override {
        auto site = plan_.locate(op, head, row, column);
        if (site) {
            site->ran = false;
        }
        return site;
    }

private:
    // Rows of all heads, or of the one of `head`, whole.
    struct Whole {
        std::vector<float> values;
        std::int64_t columns = 0;
        int first_head = 0;
    };

    [[nodiscard]] Rows block(int head, std::int64_t index_of_block) const {
        const std::int64_t begin = index_of_block * datasets::block_rows;
        return {head, begin, std::min(datasets::block_rows, shape_.context - begin)};
    }

    [[nodiscard]] std::vector<int> heads_of(Op op, Work work) const {
        if (!datasets::has_heads(op)) {
            return {-1};
        }
        std::vector<int> heads;
        for (int head = 0; head < shape_.heads; ++head) {
            if (work.head < 0 || work.head == head) {
                heads.push_back(head);
            }
        }
        return heads;
    }

    [[nodiscard]] Whole read_whole(Op op, Work work) const {
        Whole whole;
        whole.columns = work.head < 0 ? columns_of(op, shape_) : datasets::row_width(op, shape_);
        whole.first_head = std::max(work.head, 0);
        whole.values.resize(index(shape_.context * whole.columns));
        candidate_.read(clip_, layer_, op, {work.head, 0, shape_.context}, whole.values);
        return whole;
    }

    static void push(Op op, Rows rows, const Whole& whole, datasets::Sink& sink) {
        const bool headed = rows.head >= 0;
        const std::int64_t offset =
            headed ? (rows.head - whole.first_head) * std::int64_t{datasets::head_width} : 0;
        sink.accept(op, rows,
                    {whole.values.data() + rows.begin * whole.columns + offset, rows.count,
                     headed ? std::int64_t{datasets::head_width} : whole.columns, whole.columns});
    }

    // Every block of every head, in parallel.
    template <typename Action>
    void for_blocks(const std::vector<int>& heads, Action action) const {
        const std::int64_t count = std::ssize(heads);
        tbb::parallel_for(std::int64_t{0}, shape_.blocks() * count,
                          [&](std::int64_t i) { action(block(heads[index(i % count)], i / count)); });
    }

    void push_whole(Op op, Work work, datasets::Sink& sink) const {
        const Whole whole = read_whole(op, work);
        for_blocks(heads_of(op, work), [&](Rows rows) { push(op, rows, whole, sink); });
    }

    void push_square_part(const std::vector<Op>& ops, Work work, datasets::Sink& sink) const {
        if (ops.empty()) {
            return;
        }
        Whole context;
        if (ops.back() == Op::context) {
            context = read_whole(Op::context, work);
        }
        for_blocks(heads_of(ops.front(), work), [&](Rows rows) {
            std::vector<float> slab;
            for (const Op op : ops) {
                if (!is_square(op)) {
                    push(op, rows, context, sink);
                    continue;
                }
                slab.resize(index(rows.count * shape_.context));
                candidate_.read(clip_, layer_, op, rows, slab);
                sink.accept(op, rows, {slab.data(), rows.count, shape_.context, shape_.context});
            }
        });
    }

    const datasets::Candidate& candidate_;
    npu_impl::LayerPlan plan_;
    std::string clip_;
    int layer_;
    datasets::LayerShape shape_;
    std::vector<Op> ops_;
};

}  // namespace

CandidatePath::CandidatePath(const datasets::Candidate& candidate, std::string clip, int layer,
                             const npu_impl::Design& design)
    : candidate_(candidate), clip_(std::move(clip)), layer_(layer), design_(design) {
    const auto held = candidate.ops(clip_, layer);
    for (const Op op : held) {
        if (!design.emits(op)) {
            const OpRange step = design.step_of(op).ops;
            throw datasets::ReadError(
                candidate.file(), fmt::format("/clips/{}/layer_{}/{}", clip_, layer, datasets::name(op)),
                fmt::format("never leaves the core in design {}, whose {}..{} is one step: leave it out, or "
                            "declare a design that is not fused",
                            design.name, datasets::name(step.first), datasets::name(step.last)));
        }
    }
    for (const npu_impl::StepDesign& step : design.steps) {
        if (std::ranges::find(held, step.ops.last) != held.end()) {
            steps_.push_back(step.ops);
        }
    }
}

bool CandidatePath::emits(Op op) const {
    return std::ranges::any_of(steps_, [op](OpRange step) { return step.last == op; });
}

datasets::Arithmetic CandidatePath::arithmetic(Op op) const {
    return design_.arithmetic_of(op);
}

std::unique_ptr<datasets::PreparedLayer> CandidatePath::prepare(const datasets::LayerCase& layer) {
    std::vector<Op> ops;
    std::ranges::transform(steps_, std::back_inserter(ops), &OpRange::last);
    return std::make_unique<DumpedLayer>(candidate_, design_, clip_, layer_, layer.shape, std::move(ops));
}

RecordedSource::RecordedSource(const datasets::LayerCase& layer, const datasets::Source& golden)
    : shape_(layer.shape), golden_(golden) {
    for (const auto& [op, values] : layer.recorded) {
        tensors_[op] = values;
    }
    if (!layer.input.empty()) {
        tensors_[Op::attention_norm] = layer.input;
    }
    if (!layer.stream.empty()) {
        tensors_[Op::embedding] = layer.stream;
    }
}

void RecordedSource::rows(Op op, Rows rows, std::span<float> out) const {
    const auto found = tensors_.find(op);
    if (found == tensors_.end()) {
        golden_.rows(op, rows, out);
        return;
    }
    const std::int64_t width = columns_of(op, shape_);
    const std::int64_t columns = rows.head < 0 ? width : datasets::head_width;
    const std::int64_t offset = std::max(rows.head, 0) * std::int64_t{datasets::head_width};
    if (std::cmp_not_equal(out.size(), rows.count * columns) || rows.begin < 0 ||
        rows.begin + rows.count > shape_.context || offset + columns > width) {
        throw std::invalid_argument(fmt::format("no such rows of {}", datasets::name(op)));
    }
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const auto from = found->second.begin() + (rows.begin + row) * width + offset;
        std::copy_n(from, columns, out.begin() + row * columns);
    }
}

}  // namespace harness
