// The shared interface of the golden and the NPU path, and the words it is spoken in.
//
// A path computes a contiguous range of ops of one piece of the encoder: its stem, a layer, its end. What
// lies upstream of the range it pulls from a `Source`; what it computes it pushes to a `Sink`, in blocks of
// at most 64 rows. Square tensors (T x T per head) therefore never exist whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/clock.hpp"
#include "datasets/layer_case.hpp"
#include "datasets/op.hpp"

namespace datasets {

// A read-only matrix of floats; `stride` counts floats from one row to the next.
struct TensorView {
    const float* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t stride = 0;

    [[nodiscard]] std::span<const float> row(std::int64_t index) const {
        return {data + index * stride, static_cast<std::size_t>(columns)};
    }
};

// Rows of one op. `head` selects the 64 columns of a head of an op with heads; -1: all heads, concatenated
// (not for square ops), or an op without heads. `begin` is a multiple of 64.
struct Rows {
    int head = -1;
    std::int64_t begin = 0;
    std::int64_t count = 0;

    [[nodiscard]] std::int64_t block() const { return begin / block_rows; }
    bool operator==(const Rows&) const = default;
};

// What to compute: a range of ops, of one head or (-1) of all. A single head excludes ops without heads.
struct Work {
    OpRange ops = attention_ops;
    int head = -1;
};

// Dense rows to read, and what keeps them where it is set.
struct RowsView {
    std::span<const float> values;
    std::shared_ptr<const void> owner{};
};

// Gives upstream rows on demand. Thread-safe. `out` is dense: count x the op's row width (x heads where
// head is -1 and the op has heads). Any `count` is allowed.
class Source {
public:
    virtual ~Source() = default;
    virtual void rows(Op op, Rows rows, std::span<float> out) const = 0;
    // The same rows where the source holds them dense, else copied into `room`, which has their size.
    virtual RowsView view(Op op, Rows rows, std::span<float> room) const {
        this->rows(op, rows, room);
        return {room};
    }
};

// Takes results. A block (head, begin) arrives op by op in dataflow order, each at most 64 rows and exactly
// once; different blocks may arrive in any order and concurrently. Ops with heads arrive per head. An op
// arrives whole before the first block of an op that reads all of its rows (key before scores, value before
// context).
class Sink {
public:
    virtual ~Sink() = default;
    virtual bool wants(Op op) const = 0;
    // Whether the values mean anything to it. Where not, an emulation may compute them as fast as it can.
    virtual bool looks() const { return true; }
    virtual void accept(Op op, Rows rows, const TensorView& values) = 0;
};

// Discards everything; for timing.
class NullSink final : public Sink {
public:
    bool wants(Op) const override { return false; }
    void accept(Op, Rows, const TensorView&) override {}
};

// What one step cost. Launches, tiles and bytes are counted by the device (0 on a path without one).
struct Part {
    OpRange ops{};
    std::int64_t launches = 0;
    std::int64_t tiles = 0;
    std::int64_t bytes = 0;
    double seconds = 0;
    Clock clock = Clock::none;
    DeviceTime device{};  // what `seconds` are made of, where a device with a clock measured them
};

// Where an element was made.
struct Site {
    std::int64_t tile = 0;    // index of the output tile within its op and head, row-major
    std::int64_t launch = 0;  // index of the launch within the step
    int core = 0;
    bool ran = true;  // false: where the declared design makes it; who computed it may have another plan
};

// A path prepared for one piece: packed weights, plan, buffers.
class PreparedLayer {
public:
    virtual ~PreparedLayer() = default;

    // Computes `work.ops`, which must begin and end at step borders. Ops before the range come from `source`.
    virtual std::vector<Part> compute(Work work, const Source& source, Sink& sink) = 0;

    // What `compute` would count for a sink that wants every op, with modelled time where the path has a cost
    // model.
    virtual std::vector<Part> planned(Work work) const = 0;

    virtual std::optional<Site> locate(Op op, int head, std::int64_t row, std::int64_t column) const = 0;
};

class Path {
public:
    virtual ~Path() = default;
    virtual std::string_view name() const = 0;

    // The smallest separately callable ranges, in order.
    virtual std::span<const OpRange> steps() const = 0;

    // False for an op inside a fused step: it never leaves the core.
    virtual bool emits(Op op) const = 0;

    virtual Arithmetic arithmetic(Op op) const = 0;

    // The piece must outlive what is returned. Of a layer whose norms and MLP are unknown only the attention
    // can be computed. Throw std::invalid_argument for a piece that this path does not have.
    virtual std::unique_ptr<PreparedLayer> prepare(const LayerCase& layer) = 0;
    virtual std::unique_ptr<PreparedLayer> prepare(const StemCase& stem);
    virtual std::unique_ptr<PreparedLayer> prepare(const EndCase& end);
};

}  // namespace datasets
