// Faults of what a path reads (upstream tensors of the wrong clip, rows, rounding) and of what it pushes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <set>

#include "harness/self_check/decorated_path.hpp"
#include "harness/self_check/faults.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using datasets::Rows;
using datasets::Source;

const std::vector<OpRange> headed = each_of({Op::query, Op::key, Op::value, Op::scores, Op::context});

using Read = std::function<std::unique_ptr<Source>(const Source& upstream, const Ground& ground)>;

Fault source_fault(std::string name, std::string says, std::vector<OpRange> places, Read read) {
    Fault fault{std::move(name), std::move(says), Seam::source, Quantity::bound, std::move(places), {}};
    fault.plant.path = [read = std::move(read)](datasets::Path& path, const Ground& ground) {
        PathEdits edits;
        edits.source = [read, &ground](const Source& upstream) { return read(upstream, ground); };
        return std::make_unique<DecoratedPath>(path, std::move(edits));
    };
    return fault;
}

Read edited(EditingSource::Edit edit) {
    return [edit = std::move(edit)](const Source& upstream, const Ground&) {
        return std::make_unique<EditingSource>(upstream, edit);
    };
}

Read rounded(datasets::Rounding rounding) {
    return edited([rounding](Op, Rows, std::span<float> out) {
        for (float& value : out) {
            value = datasets::round_to_bf16(value, rounding);
        }
    });
}

// Upstream of another clip, by the same golden.
class OtherClip final : public Source {
public:
    explicit OtherClip(const datasets::LayerCase& other) : golden_(other) {}
    void rows(Op op, Rows rows, std::span<float> out) const override { golden_.rows(op, rows, out); }

private:
    reference::GoldenSource golden_;
};

// Rows that begin at another place, around the end.
class ShiftedRows final : public Source {
public:
    ShiftedRows(const Source& inner, std::int64_t context, std::int64_t shift)
        : inner_(inner), context_(context), shift_(shift) {}

    void rows(Op op, Rows rows, std::span<float> out) const override {
        if (rows.count == 0) {
            return;
        }
        const std::size_t columns = out.size() / static_cast<std::size_t>(rows.count);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t from = (rows.begin + row + shift_) % context_;
            inner_.rows(op, {rows.head, from, 1},
                        out.subspan(static_cast<std::size_t>(row) * columns, columns));
        }
    }

private:
    const Source& inner_;
    std::int64_t context_;
    std::int64_t shift_;
};

Read shifted(std::int64_t shift) {
    return [shift](const Source& upstream, const Ground& ground) {
        return std::make_unique<ShiftedRows>(upstream, ground.layer.shape.context, shift);
    };
}

class KeyForValue final : public Source {
public:
    explicit KeyForValue(const Source& inner) : inner_(inner) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        inner_.rows(op == Op::value ? Op::key : op, rows, out);
    }

private:
    const Source& inner_;
};

bool rounds_to_nearest(const Setting& scene) {
    const datasets::Arithmetic& arithmetic = scene.design.arithmetic_of(scene.place.last);
    return arithmetic.operand == datasets::DType::bf16 &&
           arithmetic.operand_rounding == datasets::Rounding::nearest_even;
}

// What a step reads is on the bf16 grid already where the step before stored it so, but the golden's is not.
std::vector<Fault> source_faults() {
    std::vector<Fault> out;
    out.push_back(source_fault(
        "wrong_clip", "activations of another clip are read", every_op(),
        [](const Source&, const Ground& ground) { return std::make_unique<OtherClip>(ground.other); }));
    out.push_back(
        source_fault("rows_read_one_late", "every row is read one row late", every_op(), shifted(1)));
    out.push_back(source_fault("stale_row_blocks_read", "every block of 64 rows is read one block late",
                               every_op(), shifted(datasets::block_rows)));
    out.push_back(source_fault("operands_truncated", "activations are truncated to bf16 instead of rounded",
                               products(), rounded(datasets::Rounding::toward_zero)));
    out.back().needs = "operands that the design rounds to nearest";
    out.back().visible = rounds_to_nearest;
    out.push_back(source_fault("operands_floored", "activations are rounded down instead of to nearest",
                               products(), rounded(datasets::Rounding::floor)));
    out.back().needs = "operands that the design rounds to nearest";
    out.back().visible = rounds_to_nearest;
    out.push_back(source_fault("fp32_operands_cut_to_bf16", "fp32 rows reach a norm, softmax or GELU as bf16",
                               each_of({Op::attention_norm, Op::probabilities, Op::mlp_norm, Op::gelu}),
                               rounded(datasets::Rounding::nearest_even)));
    out.push_back(source_fault("operands_saturated", "activations are clamped to -1 .. 1", products(),
                               edited([](Op, Rows, std::span<float> values) {
                                   for (float& value : values) {
                                       value = std::clamp(value, -1.0F, 1.0F);
                                   }
                               })));
    out.back().needs = "an op whose activations leave -1 .. 1";
    out.back().visible = [](const Setting& scene) {
        return scene.place.last != Op::context || scene.design.fused();
    };
    out.push_back(source_fault(
        "value_is_key", "the buffer of k is bound in the place of v", each_of({Op::context}),
        [](const Source& upstream, const Ground&) { return std::make_unique<KeyForValue>(upstream); }));
    return out;
}

Fault sink_fault(std::string name, std::string says, Quantity own, std::vector<OpRange> places,
                 std::function<std::unique_ptr<datasets::Sink>(datasets::Sink&)> wrap) {
    Fault fault{std::move(name), std::move(says), Seam::sink, own, std::move(places), {}};
    fault.plant.path = [wrap = std::move(wrap)](datasets::Path& path, const Ground&) {
        PathEdits edits;
        edits.sink = wrap;
        return std::make_unique<DecoratedPath>(path, std::move(edits));
    };
    return fault;
}

auto pushed(EditingSink::Edit edit) {
    return
        [edit = std::move(edit)](datasets::Sink& sink) { return std::make_unique<EditingSink>(sink, edit); };
}

// Leaves out the first block of every op, or pushes it twice.
class Miscounting final : public datasets::Sink {
public:
    Miscounting(datasets::Sink& inner, int times) : inner_(inner), times_(times) {}

    bool wants(Op op) const override { return inner_.wants(op); }
    bool looks() const override { return inner_.looks(); }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        const bool first = rows.begin == 0 && rows.head <= 0;
        for (int i = 0; i < (first ? times_ : 1); ++i) {
            inner_.accept(op, rows, values);
        }
    }

private:
    datasets::Sink& inner_;
    int times_;
};

std::span<float> row_of(std::vector<float>& values, std::int64_t columns, std::int64_t row) {
    return std::span(values).subspan(static_cast<std::size_t>(row * columns),
                                     static_cast<std::size_t>(columns));
}

bool has_tail(const Setting& scene) {
    return scene.ground.layer.shape.context % datasets::block_rows > 1;
}

std::vector<Fault> sink_faults() {
    std::vector<Fault> out;
    const auto wrong = [&](std::string name, std::string says, std::vector<OpRange> places,
                           EditingSink::Edit edit) {
        out.push_back(sink_fault(std::move(name), std::move(says), Quantity::bound, std::move(places),
                                 pushed(std::move(edit))));
    };
    wrong("heads_swapped", "the results of the first two heads are exchanged", headed,
          [](Op, Rows& rows, std::vector<float>&, std::int64_t) {
              rows.head = rows.head == 0 ? 1 : rows.head == 1 ? 0 : rows.head;
          });
    wrong("rows_swapped", "two rows next to each other are exchanged", every_op(),
          [](Op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
              if (rows.begin == 0 && rows.count > 1) {
                  std::ranges::swap_ranges(row_of(values, columns, 0), row_of(values, columns, 1));
              }
          });
    wrong("row_stuck", "a row holds the row before it", every_op(),
          [](Op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
              if (rows.begin == 0 && rows.count > 1) {
                  std::ranges::copy(row_of(values, columns, 0), row_of(values, columns, 1).begin());
              }
          });
    wrong("channels_rotated", "every row starts one channel late", every_op(),
          [](Op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
              for (std::int64_t row = 0; row < rows.count; ++row) {
                  const auto one = row_of(values, columns, row);
                  std::ranges::rotate(one, one.begin() + 1);
              }
          });
    wrong("ragged_tail_stuck", "the rows behind the last whole tile repeat its first row", every_op(),
          [](Op, Rows& rows, std::vector<float>& values, std::int64_t columns) {
              for (std::int64_t row = 1; rows.count < datasets::block_rows && row < rows.count; ++row) {
                  std::ranges::copy(row_of(values, columns, 0), row_of(values, columns, row).begin());
              }
          });
    out.back().needs = "a last tile of 2 to 63 rows";
    out.back().visible = has_tail;
    wrong("ragged_tail_zero", "the rows behind the last whole tile are dropped: they come back as zeros",
          every_op(), [](Op, Rows& rows, std::vector<float>& values, std::int64_t) {
              if (rows.count < datasets::block_rows) {
                  std::ranges::fill(values, 0.0F);
              }
          });
    out.back().needs = "a last tile of 2 to 63 rows";
    out.back().visible = has_tail;
    wrong("one_element_off", "one element errs by a sixteenth of itself", products(),
          [](Op, Rows& rows, std::vector<float>& values, std::int64_t) {
              if (rows.begin == 0 && rows.head <= 0) {
                  *std::ranges::max_element(values, {}, [](float v) { return std::abs(v); }) *= 1.0625F;
              }
          });
    return out;
}

// What another check than the bound sees.
std::vector<Fault> other_sink_faults() {
    std::vector<Fault> out;
    out.push_back(sink_fault("one_element_infinite", "one element is infinite", Quantity::nonfinite,
                             every_op(), pushed([](Op, Rows& rows, std::vector<float>& values, std::int64_t) {
                                 if (rows.begin == 0 && rows.head <= 0) {
                                     values.back() = std::numeric_limits<float>::infinity();
                                 }
                             })));
    out.push_back(sink_fault("store_left_in_fp32", "results come back with more bits than bf16 holds",
                             Quantity::store_format, every_op(),
                             pushed([](Op, Rows&, std::vector<float>& values, std::int64_t) {
                                 for (float& value : values) {
                                     value *= 1 + 0x1p-20F;
                                 }
                             })));
    out.back().needs = "a store to bf16";
    out.back().visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(scene.place.last).store == datasets::DType::bf16;
    };
    out.push_back(sink_fault("block_missing", "a block of 64 rows is never delivered", Quantity::coverage,
                             every_op(),
                             [](datasets::Sink& sink) { return std::make_unique<Miscounting>(sink, 0); }));
    out.push_back(sink_fault("block_delivered_twice", "a block of 64 rows is delivered twice",
                             Quantity::coverage, every_op(),
                             [](datasets::Sink& sink) { return std::make_unique<Miscounting>(sink, 2); }));
    return out;
}

}  // namespace

std::vector<Fault> stream_faults() {
    std::vector<Fault> out = source_faults();
    std::ranges::move(sink_faults(), std::back_inserter(out));
    std::ranges::move(other_sink_faults(), std::back_inserter(out));
    return out;
}

}  // namespace harness
