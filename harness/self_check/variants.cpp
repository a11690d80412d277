#include "harness/self_check/variants.hpp"

#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "harness/self_check/decorated_path.hpp"
#include "harness/self_check/findings.hpp"
#include "harness/self_check/plain_kernels.hpp"
#include "npu_impl/design.hpp"

namespace harness {
namespace {

using datasets::Emulation;
using datasets::Op;
using datasets::OpRange;
using datasets::Rows;

// Collects the blocks of each op and passes them on, last block first.
class ReversedBlocks final : public datasets::Sink {
public:
    ReversedBlocks(datasets::Sink& inner, const datasets::LayerShape& shape) : inner_(inner), shape_(shape) {}

    bool wants(Op op) const override { return inner_.wants(op); }
    bool looks() const override { return inner_.looks(); }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        Block block{rows, values.columns, {}};
        for (std::int64_t row = 0; row < values.rows; ++row) {
            const auto from = values.row(row);
            block.values.insert(block.values.end(), from.begin(), from.end());
        }
        const std::scoped_lock lock(mutex_);
        std::vector<Block>& held = held_[op];
        held.push_back(std::move(block));
        const std::int64_t due = shape_.blocks() * (datasets::has_heads(op) ? shape_.heads : 1);
        if (std::ssize(held) == due) {
            for (auto last = held.rbegin(); last != held.rend(); ++last) {
                inner_.accept(op, last->rows,
                              {last->values.data(), last->rows.count, last->columns, last->columns});
            }
            held.clear();
        }
    }

private:
    struct Block {
        Rows rows;
        std::int64_t columns = 0;
        std::vector<float> values;
    };
    datasets::Sink& inner_;
    datasets::LayerShape shape_;
    std::mutex mutex_;
    std::map<Op, std::vector<Block>> held_;
};

Plant reversed_blocks() {
    Plant plant;
    plant.path = [](datasets::Path& path, const Ground& ground) {
        PathEdits edits;
        edits.sink = [shape = ground.layer.shape](datasets::Sink& sink) {
            return std::make_unique<ReversedBlocks>(sink, shape);
        };
        return std::make_unique<DecoratedPath>(path, std::move(edits));
    };
    return plant;
}

Plant kernels(std::function<void(kernels::KernelTable&)> edit) {
    Plant plant;
    plant.kernels = std::move(edit);
    return plant;
}

npu_impl::Design on_cores(std::string_view name, int cores) {
    npu_impl::Design design = npu_impl::compose(name);
    for (npu_impl::StepDesign& step : design.steps) {
        step.cores = cores;
    }
    return design;
}

npu_impl::Design in_launches_of(std::string_view name, std::int64_t tiles) {
    npu_impl::Design design = npu_impl::compose(name);
    for (npu_impl::StepDesign& step : design.steps) {
        step.tiles_per_launch = tiles;
    }
    return design;
}

std::vector<Variant> designs_as_declared() {
    using npu_impl::compose;
    return {
        {"unfused", "the default design, fast emulation", compose("unfused")},
        {"fused", "flash attention, fast emulation", compose("fused")},
        {"unfused_exact", "the bits of the array, by the AIE kernels", compose("unfused"), Emulation::exact},
        {"fused_exact", "the bits of the array, by the AIE kernels", compose("fused"), Emulation::exact},
        {"floor_stores", "all stores round by floor, and declare it",
         compose("gemm_array_floor,softmax_rows_floor,gelu_tiles_floor,norm_rows_floor")},
        {"floor_stores_fused", "the same with flash attention",
         compose("gemm_array_floor,attention_fused_floor,gelu_tiles_floor,norm_rows_floor")},
        {"rerounded_sums", "sums are rounded to bf16 after every k tile, as declared",
         compose("gemm_array_rerounded")},
        {"tile_per_launch", "one tile per launch, k tiles added by the host", compose("tile64")},
        {"batches_of_tiles", "8 tiles per launch on 8 cores", compose("tile64_batch")},
        {"first_port", "scalar tiles, truncated operands, partial sums stored by floor",
         compose("legacy_tile64")},
    };
}

std::vector<Variant> other_ways() {
    std::vector<Variant> out;
    const auto add = [&](std::string name, std::string says, npu_impl::Design design, Plant plant = {}) {
        out.push_back(
            {std::move(name), std::move(says), std::move(design), Emulation::fast, std::move(plant)});
    };
    add("one_core", "all tiles on one core: the plan's choice, not the arithmetic's", on_cores("unfused", 1));
    add("four_cores", "all tiles on four cores", on_cores("fused", 4));
    add("launches_of_16_tiles", "smaller launches give the same tiles", in_launches_of("unfused", 16));
    add("blocks_in_reverse", "a sink may be given blocks in any order", npu_impl::compose("unfused"),
        reversed_blocks());
    add("another_softmax", "a softmax in plain loops with the C library's exp: better than the table",
        npu_impl::compose("unfused"),
        kernels([](kernels::KernelTable& table) { replace_softmax(table, SoftmaxFlaw::none); }));
    add("another_flash_attention", "flash attention in plain loops", npu_impl::compose("fused"),
        kernels([](kernels::KernelTable& table) { replace_softmax(table, SoftmaxFlaw::none); }));
    add("another_norm_and_gelu", "norm in fp64 sums and GELU by erfc, in plain loops",
        npu_impl::compose("unfused"), kernels([](kernels::KernelTable& table) {
            replace_layer_norm(table, NormFlaw::none);
            replace_gelu(table, GeluFlaw::none);
        }));
    add("other_certified_rows", "another seed of the rows that certify the golden",
        npu_impl::compose("fused"));
    out.back().row_seed = 77;
    add("one_task", "one thread computes and judges", npu_impl::compose("unfused"));
    out.back().one_task = true;
    add("bf16_recording", "the recorded tensors were stored as bf16", npu_impl::compose("fused"));
    out.back().cut_recording = true;
    return out;
}

bool only_the_criterion(const Finding& finding) {
    return finding.quantity == Quantity::match || finding.quantity == Quantity::worst_row ||
           finding.quantity == Quantity::worst_tile;
}

// The ranges of a layer that the design computes, as far as the ground holds them.
std::vector<OpRange> places_of(const Variant& variant, const Ground& ground) {
    std::vector<OpRange> out;
    for (const OpRange place : {datasets::attention_ops, OpRange{Op::attention_norm, Op::attention_norm},
                                OpRange{Op::mlp_norm, Op::fc2}, datasets::end_ops}) {
        if (within_reach(variant.design, ground, place)) {
            out.push_back(place);
        }
    }
    return out;
}

void cut(datasets::LayerCase& layer) {
    layer.stored = datasets::DType::bf16;
    for (auto& [op, values] : layer.recorded) {
        for (float& value : values) {
            value = datasets::round_to_bf16(value, datasets::Rounding::nearest_even);
        }
    }
}

}  // namespace

std::vector<Variant> healthy_variants(bool every_composition) {
    std::vector<Variant> out = designs_as_declared();
    std::ranges::move(other_ways(), std::back_inserter(out));
    if (every_composition) {
        for (const npu_impl::Design& design : npu_impl::designs()) {
            if (std::ranges::none_of(out,
                                     [&](const Variant& one) { return one.design.name == design.name; })) {
                out.push_back({design.name, "a composition of the manifest", design});
            }
        }
    }
    return out;
}

std::vector<Finding> findings_of(const Variant& variant, const Ground& ground) {
    std::vector<Finding> out;
    const auto run = [&] {
        for (const OpRange place : places_of(variant, ground)) {
            Candidate candidate(variant.plant, ground, variant.design, variant.emulation);
            datasets::LayerCase layer = ground.case_for(place);
            if (variant.cut_recording) {
                cut(layer);
            }
            const CaseResult result =
                run_trial(layer, ground, variant.design, candidate.path(),
                          {place, {Input::isolated, Input::chained}, {}, variant.row_seed});
            std::vector<Finding> found = findings_of(result);
            if (std::ranges::all_of(found, only_the_criterion)) {
                found.clear();
            }
            std::ranges::move(found, std::back_inserter(out));
        }
    };
    if (variant.one_task) {
        tbb::task_arena(1).execute(run);
    } else {
        run();
    }
    return out;
}

}  // namespace harness
