// Blocks of rows that were computed lately, for many threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "datasets/path.hpp"

namespace reference {

// Remembers the blocks of one square tensor that were asked for last, by their rows: a wave of them, but no
// more than about 16 MiB unless a single block is larger. Thread-safe; what two threads ask for at once may
// be made twice.
class RecentBlocks {
public:
    using Values = std::shared_ptr<const float[]>;

    // Null where the block is not remembered.
    [[nodiscard]] Values find(datasets::Rows rows) {
        const std::scoped_lock lock(mutex_);
        const auto found = std::ranges::find(blocks_, rows, &Block::rows);
        return found == blocks_.end() ? nullptr : found->values;
    }

    // The block of so many elements, filled by `make(std::span<float>)` where it is not remembered. What
    // `make` throws leaves nothing behind.
    template <typename Make>
    Values get(datasets::Rows rows, std::size_t elements, const Make& make) {
        if (Values known = find(rows)) {
            return known;
        }
        const std::shared_ptr<float[]> values = std::make_shared_for_overwrite<float[]>(elements);
        make(std::span<float>(values.get(), elements));
        const std::scoped_lock lock(mutex_);
        blocks_[next_] = {rows, values};
        next_ = (next_ + 1) % kept(elements);
        return values;
    }

private:
    struct Block {
        datasets::Rows rows{};  // count 0: none
        Values values;
    };

    // A wave of the NPU: 16 pairs of head and row block.
    static constexpr std::size_t most_blocks = 16;
    static constexpr std::size_t most_elements = (std::size_t{16} << 20U) / sizeof(float);

    static std::size_t kept(std::size_t elements) {
        return std::clamp<std::size_t>(most_elements / std::max<std::size_t>(elements, 1), 1, most_blocks);
    }

    std::mutex mutex_;
    std::array<Block, most_blocks> blocks_;
    std::size_t next_ = 0;
};

}  // namespace reference
