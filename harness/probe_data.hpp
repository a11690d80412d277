// The operands of the probes (level 3 of the gate): Sources that stand in front of a candidate's steps and
// replace some of what they read. All that is replaced is exact in bf16.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "datasets/path.hpp"

namespace harness {

// Serves `upstream` (null: zeros), one row at a time through `edit`.
class EditedSource final : public datasets::Source {
public:
    // `values`: the row of `op`, of one head (head >= 0, 64 channels or all keys) or of an op without heads.
    using Edit = std::function<void(datasets::Op op, int head, std::int64_t row, std::span<float> values)>;

    // `upstream` must outlive this.
    EditedSource(const datasets::Source* upstream, Edit edit) : upstream_(upstream), edit_(std::move(edit)) {}

    void rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const override;

private:
    const datasets::Source* upstream_;
    Edit edit_;
};

// What bounds the rows' largest scaled logits of one head.
struct LogitMaxima {
    double lowest = 0;
    double highest = 0;
};

// One channel of one head, replaced in queries and keys so that every scaled logit moves by the same amount,
// exactly, after that channel's own share was taken out.
struct Shift {
    int channel = 0;
    float query = 0;
    float key = 0;
    bool alternates = false;  // odd rows move as far the other way

    // What replaces the query of a row.
    [[nodiscard]] float query_of(std::int64_t row) const {
        return alternates && row % 2 != 0 ? -query : query;
    }
};

// The shift of one head by which every row's largest logit becomes at most -`margin` (below) or at least
// +`margin` (above), where odd rows move down instead: rows that share a tile share no maximum. `query` and
// `key`: [time, 64]. The channel is that whose share moves the logits least.
enum class ShiftTo : std::uint8_t { below, above };
Shift shift_of(std::span<const float> query, std::span<const float> key, LogitMaxima maxima, ShiftTo to,
               double margin);

// Row i of a one-hot probe attends to key `hot_key(i, keys)`: a permutation that scatters neighbours.
std::int64_t hot_key(std::int64_t row, std::int64_t keys);

// Entry of the code of an index, +-8: bit b of the index, each repeated as often as fits into 64 channels. A
// query with the code of j has its largest logit at key j, by at least `code_margin` over any other.
float code(std::int64_t index, std::int64_t keys, int channel);
double code_margin(std::int64_t keys);

// Value of a channel that says where it belongs: by channel mod 4 the tile of its row, the row in its tile,
// its channel, its head; each + 1 and at most 128.
float index_value(int head, std::int64_t row, int channel);

// Keys by depth: a key holds 8 in the channel of its class, a query minus the depth 0..63 of each class, in
// one of 63 orders by its row, so that scaled logits are -0..-63, exactly. Value is 1 in the channel of the
// key's class, else 0: channel c of context is what all keys of class c weigh. Key 0 has no class and no
// value: it leads every row by 2 - 2^-5, so that no maximum of a later tile ties with it, and no bound has to
// allow a rescaling that need not be. At T = 1 there is nothing else, and context is 0.
inline constexpr std::int64_t depths = datasets::head_width;
inline constexpr std::int64_t depth_orders = depths - 1;
inline constexpr float depth_lead = 0x1p-7F;  // key 0 holds minus that, which meets the sum of all depths
int depth_class(int head, std::int64_t key);
float depth_query(int head, std::int64_t row, int channel);
float depth_key(int head, std::int64_t row, int channel);
float depth_value(int head, std::int64_t row, int channel);

// Small integers. Query and key lie in -2..2 and repeat after `query_period` and `key_period` rows, of which
// 64 is no multiple; scores are sums of 64 products over 8. Value lies in -2..2, repeats like the key.
inline constexpr std::int64_t query_period = 67;
inline constexpr std::int64_t key_period = 61;
float integer_query(int head, std::int64_t row, int channel);
float integer_key(int head, std::int64_t row, int channel);
float integer_value(int head, std::int64_t row, int channel);

// The keys that row `row` weights with 1 in the integer probe, all others with 0: up to 64, ascending from
// the row's own, spread over all key tiles.
std::vector<std::int64_t> integer_keys(std::int64_t row, std::int64_t keys);

// Uniform bits that depend on all arguments.
std::uint64_t mixed(std::uint64_t a, std::uint64_t b, std::uint64_t c);

}  // namespace harness
