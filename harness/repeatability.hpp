// A, B, A: the same inputs must give the same bits, whatever the device computed in between. Finds results
// that depend on what a buffer held before, and devices that do not repeat themselves.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "datasets/path.hpp"

namespace harness {

// Keeps a checksum over the bits of every block that a path emits, and passes the block on.
class BitSink final : public datasets::Sink {
public:
    // `onward` (null: nobody) must outlive this.
    explicit BitSink(datasets::Sink* onward) : onward_(onward) {}

    bool wants(datasets::Op) const override { return true; }
    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override;

    struct Key {
        datasets::Op op{};
        int head = -1;
        std::int64_t begin = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Print {
        std::uint64_t checksum = 0;
        std::int64_t elements = 0;
        bool operator==(const Print&) const = default;
    };

    [[nodiscard]] const std::map<Key, Print>& prints() const { return prints_; }

private:
    datasets::Sink* onward_;
    std::mutex mutex_;
    std::map<Key, Print> prints_;
};

struct Repeatability {
    std::int64_t elements = 0;    // compared
    std::int64_t differing = 0;   // elements in blocks whose bits differ
    std::string guard_violation;  // of B or of the second A, which ended there; empty: guards intact
};

// `first` saw A. Computes B (every upstream tensor with its rows in reverse order), fetched as A was, so that
// what a fetch left behind cannot pass for A, and A once more, and compares, unless either writes where it
// must not. `upstream` serves what `work` reads from before its
// range; `context` is its number of rows.
Repeatability check_repeatability(datasets::PreparedLayer& prepared, const datasets::Source& upstream,
                                  std::int64_t context, datasets::Work work, const BitSink& first);

}  // namespace harness
