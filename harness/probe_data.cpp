#include "harness/probe_data.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "harness/index.hpp"

namespace harness {
namespace {

using datasets::head_width;
constexpr double code_amplitude = 8;

// Bits of an index below `keys`, at least one.
int code_bits(std::int64_t keys) {
    return std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(keys - 1))));
}

// At least `value` > 0, with 7 significant bits.
double rounded_up(double value) {
    const double step = std::exp2(std::floor(std::log2(value)) - 6);
    return std::ceil(value / step) * step;
}

float small_integer(std::uint64_t purpose, int head, std::int64_t row, int channel) {
    const auto position = static_cast<std::uint64_t>(row * head_width + channel);
    return static_cast<float>(static_cast<int>(mixed(purpose, std::uint64_t(head), position) % 5) - 2);
}

}  // namespace

// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
std::uint64_t mixed(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    std::uint64_t z = a * 0x9E3779B97F4A7C15ULL + b * 0xD1B54A32D192ED03ULL + (c + 1) * 0x8CB92BA72F3D8DD7ULL;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
}

void EditedSource::rows(datasets::Op op, datasets::Rows rows, std::span<float> out) const {
    if (rows.count == 0) {
        return;
    }
    if (upstream_ != nullptr) {
        upstream_->rows(op, rows, out);
    } else {
        std::ranges::fill(out, 0.0F);
    }
    const std::size_t columns = out.size() / index(rows.count);
    const bool all_heads = rows.head < 0 && datasets::has_heads(op);
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const std::span<float> values = out.subspan(index(row) * columns, columns);
        if (!all_heads) {
            edit_(op, rows.head, rows.begin + row, values);
            continue;
        }
        for (std::size_t head = 0; head < columns / head_width; ++head) {
            edit_(op, static_cast<int>(head), rows.begin + row,
                  values.subspan(head * head_width, head_width));
        }
    }
}

Shift shift_of(std::span<const float> query, std::span<const float> key, LogitMaxima maxima, ShiftTo to,
               double margin) {
    const auto largest = [](std::span<const float> matrix, int channel) {
        double out = 0;
        for (std::size_t i = index(channel); i < matrix.size(); i += head_width) {
            out = std::max(out, std::abs(double{matrix[i]}));
        }
        return out;
    };
    Shift shift;
    double share = std::numeric_limits<double>::infinity();
    for (int channel = 0; channel < head_width; ++channel) {
        const double product = largest(query, channel) * largest(key, channel) / 8;
        if (product < share) {
            share = product;
            shift.channel = channel;
        }
    }
    const double distance = to == ShiftTo::below ? margin + std::max(0.0, maxima.highest + share)
                                                 : margin - std::min(0.0, maxima.lowest - share);
    constexpr double query_side = 16;
    const double key_side = rounded_up(distance * 8 / query_side);
    shift.query = static_cast<float>(query_side);
    shift.key = static_cast<float>(to == ShiftTo::below ? -key_side : key_side);
    shift.alternates = to == ShiftTo::above;
    return shift;
}

std::int64_t hot_key(std::int64_t row, std::int64_t keys) {
    // Near the golden section of all keys, so that neighbours lie far apart; prime to them.
    auto step = static_cast<std::int64_t>(0.618 * double(keys));
    step = std::max<std::int64_t>(step, 1);
    while (std::gcd(step, keys) != 1) {
        ++step;
    }
    return (row * step + keys / 2) % keys;
}

float code(std::int64_t index, std::int64_t keys, int channel) {
    const int bits = code_bits(keys);
    if (channel >= head_width / bits * bits) {
        return 0;
    }
    const bool set = ((index >> (channel % bits)) & 1) != 0;
    return static_cast<float>(set ? code_amplitude : -code_amplitude);
}

double code_margin(std::int64_t keys) {
    const int repeats = head_width / code_bits(keys);
    return 2 * code_amplitude * code_amplitude * repeats / 8;
}

float index_value(int head, std::int64_t row, int channel) {
    constexpr std::int64_t most = 128;
    switch (channel % 4) {
        case 0:
            return static_cast<float>(row / datasets::block_rows % most + 1);
        case 1:
            return static_cast<float>(row % datasets::block_rows + 1);
        case 2:
            return static_cast<float>(channel + 1);
        default:
            return static_cast<float>(head + 1);
    }
}

int depth_class(int head, std::int64_t key) {
    return static_cast<int>(mixed(5, std::uint64_t(head), std::uint64_t(key)) % depths);
}

float depth_query(int head, std::int64_t row, int channel) {
    return -static_cast<float>((row % depth_orders + head + channel) % depths);
}

float depth_key(int head, std::int64_t row, int channel) {
    return row == 0 ? -depth_lead : 8 * depth_value(head, row, channel);
}

float depth_value(int head, std::int64_t row, int channel) {
    return row > 0 && depth_class(head, row) == channel ? 1.0F : 0.0F;
}

float integer_query(int head, std::int64_t row, int channel) {
    return small_integer(1, head, row % query_period, channel);
}

float integer_key(int head, std::int64_t row, int channel) {
    return small_integer(2, head, row % key_period, channel);
}

float integer_value(int head, std::int64_t row, int channel) {
    return small_integer(3, head, row % key_period, channel);
}

std::vector<std::int64_t> integer_keys(std::int64_t row, std::int64_t keys) {
    const std::int64_t count = std::min<std::int64_t>(64, keys);
    std::vector<std::int64_t> out;
    for (std::int64_t n = 0; n < count; ++n) {
        out.push_back((row + n * keys / count) % keys);
    }
    return out;
}

}  // namespace harness
