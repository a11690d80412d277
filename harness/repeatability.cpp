#include "harness/repeatability.hpp"

#include <algorithm>
#include <bit>

#include "harness/interrupt.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

// Rows of `inner`, last row first.
class ReversedSource final : public datasets::Source {
public:
    ReversedSource(const datasets::Source& inner, std::int64_t context) : inner_(inner), context_(context) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override {
        if (rows.count == 0) {
            return;
        }
        inner_.rows(op, {rows.head, context_ - rows.begin - rows.count, rows.count}, out);
        const auto columns = static_cast<std::ptrdiff_t>(out.size()) / rows.count;
        for (std::int64_t row = 0; row < rows.count / 2; ++row) {
            std::swap_ranges(out.begin() + row * columns, out.begin() + (row + 1) * columns,
                             out.begin() + (rows.count - 1 - row) * columns);
        }
    }

private:
    const datasets::Source& inner_;
    std::int64_t context_;
};

// Wants every op, so that B comes back to the host as A does, and looks at none.
class FetchedSink final : public datasets::Sink {
public:
    bool wants(datasets::Op) const override { return true; }
    bool looks() const override { return false; }
    void accept(datasets::Op, datasets::Rows, const datasets::TensorView&) override {
        throw_if_interrupted();
    }
};

}  // namespace

void BitSink::accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) {
    throw_if_interrupted();
    // Eight interleaved FNV-1a lanes over the float bits: any changed bit changes the checksum of its lane.
    constexpr std::size_t lanes = 8;
    std::uint64_t lane[lanes];
    for (std::size_t i = 0; i < lanes; ++i) {
        lane[i] = 1469598103934665603ULL + i;
    }
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const auto data = values.row(row);
        for (std::size_t c = 0; c < data.size(); ++c) {
            std::uint64_t& hash = lane[c % lanes];
            hash = (hash ^ std::bit_cast<std::uint32_t>(data[c])) * 1099511628211ULL;
        }
    }
    Print print{0, rows.count * values.columns};
    for (const std::uint64_t hash : lane) {
        print.checksum = (print.checksum ^ hash) * 1099511628211ULL;
    }
    {
        const std::scoped_lock lock(mutex_);
        prints_[{op, rows.head, rows.begin}] = print;
    }
    if (onward_ != nullptr) {
        onward_->accept(op, rows, values);
    }
}

Repeatability check_repeatability(datasets::PreparedLayer& prepared, const datasets::Source& upstream,
                                  std::int64_t context, datasets::Work work, const BitSink& first) {
    const ReversedSource reversed(upstream, context);
    BitSink last(nullptr);
    FetchedSink between;
    Repeatability out;
    try {
        prepared.compute(work, reversed, between);
        prepared.compute(work, upstream, last);
    } catch (const npu_impl::IntegrityError& error) {
        out.guard_violation = error.what();
        return out;
    }
    for (const auto& [key, print] : first.prints()) {
        out.elements += print.elements;
        const auto again = last.prints().find(key);
        if (again == last.prints().end() || again->second != print) {
            out.differing += print.elements;
        }
    }
    return out;
}

}  // namespace harness
