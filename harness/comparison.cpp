#include "harness/comparison.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "harness/index.hpp"
#include "harness/row_comparison.hpp"

namespace harness {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// bf16 0x7FC0 widened, and fp32 0x7FC07FC0: what output buffers hold before a launch.
bool is_poison(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return bits == 0x7FC00000U || bits == 0x7FC07FC0U;
}

// Finite ones that have more bits than bf16.
std::int64_t count_beyond_bf16(std::span<const float> values) {
    std::int64_t count = 0;
    for (const float value : values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        count += (bits & 0xFFFFU) != 0 && (bits & 0x7F800000U) != 0x7F800000U ? 1 : 0;
    }
    return count;
}

double sum_of(std::span<const float> values) {
    std::array<double, 8> sums{};
    std::size_t i = 0;
    for (; i + sums.size() <= values.size(); i += sums.size()) {
        for (std::size_t lane = 0; lane < sums.size(); ++lane) {
            sums[lane] += double{values[i + lane]};
        }
    }
    double sum = 0;
    for (; i < values.size(); ++i) {
        sum += double{values[i]};
    }
    return std::accumulate(sums.begin(), sums.end(), sum);
}

double mean(double energy, std::int64_t count) {
    return count > 0 ? energy / static_cast<double>(count) : 0.0;
}

}  // namespace

Comparison::Comparison(datasets::Op op, const datasets::LayerShape& shape, int only_head,
                       datasets::DType store)
    : shape_(shape),
      first_head_(datasets::has_heads(op) && only_head >= 0 ? only_head : 0),
      heads_(datasets::has_heads(op) && only_head < 0 ? shape.heads : 1),
      headed_(datasets::has_heads(op)),
      store_(store),
      blocks_(index(heads_ * shape.blocks())) {}

std::size_t Comparison::slot(datasets::Rows rows) const {
    const int head = headed_ ? rows.head - first_head_ : 0;
    const bool aligned = rows.begin % datasets::block_rows == 0 && rows.begin >= 0;
    const bool whole =
        rows.count == std::min(datasets::block_rows, shape_.context - rows.begin) && rows.count > 0;
    if (head < 0 || head >= heads_ || !aligned || !whole) {
        throw std::logic_error("a path pushed a block that is not one of the op's 64-row blocks");
    }
    return index(head * shape_.blocks() + rows.block());
}

void Comparison::add_faulty(Block& block, const Element& element, double ratio) {
    const bool first = block.outside + block.misrounded == 0;
    if (first) {
        block.first = element;
        block.faulty_row_begin = element.row;
    }
    if (first || ratio > block.worst_ratio) {
        block.worst = element;
        block.worst_ratio = ratio;
    }
    block.faulty_row_end = element.row;
}

void Comparison::add_outlying(Block& block, datasets::Rows rows, std::int64_t row, const Tile& tile) {
    Energy& row_energy = block.rows[index(row)];
    double& rho = block.tile_rho[tile.first_column / datasets::block_rows];
    for (std::size_t c = 0; c < tile.got.size(); ++c) {
        const double value{tile.got[c]};
        const double reference = tile.expected[c];
        const double bound = tile.bound[c];
        const double b{tile.golden[c]};
        const double error = std::abs(value - reference);
        const Element element{rows.head, rows.begin + row, std::int64_t(tile.first_column + c),
                              value,     reference,        bound};
        // Written so that a NaN or an infinite bound fails.
        if (!(error <= bound) || !(bound < infinity)) {
            const double ratio = std::isfinite(value) && bound < infinity ? error / bound : infinity;
            add_faulty(block, element, ratio);
            rho = std::max(rho, ratio);
            ++block.outside;
            if (!std::isfinite(value)) {
                ++block.nonfinite;
                block.poisoned += is_poison(tile.got[c]) ? 1 : 0;
            }
        } else if (error > 0) {
            rho = std::max(rho, error / bound);
            if (tile.store && !store_range(reference, bound, *tile.store).allows(value)) {
                add_faulty(block, element, error / bound);
                ++block.misrounded;
                block.misrounded_below += value < reference ? 1 : 0;
                block.misrounded_shrunk += std::abs(value) < std::abs(reference) ? 1 : 0;
            }
        }
        const double difference = value - b;
        Energy& energy = block.tiles[tile.first_column / datasets::block_rows];
        energy.error += difference * difference;
        energy.golden += b * b;
        row_energy.error += difference * difference;
        row_energy.golden += b * b;
        block.got += value * value;
        block.product += value * b;
        block.column_sums[tile.first_column + c] += b;
        block.max_abs_error = std::max(block.max_abs_error, std::abs(difference));
    }
}

void Comparison::add_row(Block& block, datasets::Rows rows, std::int64_t row, std::span<const float> got,
                         const Bounded& expected, std::span<const float> golden) {
    constexpr std::size_t side = datasets::block_rows;
    const auto offset = index(row * expected.columns);
    Energy& row_energy = block.rows[index(row)];
    for (std::size_t first = 0; first < got.size(); first += side) {
        const std::size_t count = std::min(side, got.size() - first);
        const Tile tile{first,
                        got.subspan(first, count),
                        std::span(expected.value).subspan(offset + first, count),
                        std::span(expected.bound).subspan(offset + first, count),
                        expected.store,
                        golden.subspan(offset + first, count)};
        const TileComparison sums = compare_tile(tile.got, tile.expected, tile.bound, tile.store, tile.golden,
                                                 std::span(block.column_sums).subspan(first, count));
        if (!sums.inside) {
            add_outlying(block, rows, row, tile);
            continue;
        }
        double& rho = block.tile_rho[first / side];
        rho = std::max(rho, sums.rho);
        Energy& energy = block.tiles[first / side];
        energy.error += sums.error;
        energy.golden += sums.golden;
        row_energy.error += sums.error;
        row_energy.golden += sums.golden;
        block.got += sums.got;
        block.product += sums.product;
        block.max_abs_error = std::max(block.max_abs_error, sums.max_abs_error);
    }
    block.error += row_energy.error;
    block.golden += row_energy.golden;
}

// A row that is not finite is told of as such.
void Comparison::add_row_sum(Block& block, datasets::Rows rows, std::int64_t row, std::span<const float> got,
                             double bound) {
    const double ratio = std::abs(sum_of(got) - 1) / bound;
    if (!std::isfinite(ratio)) {
        return;
    }
    block.row_sums_outside += ratio > 1 ? 1 : 0;
    if (!block.row_sum || ratio > *block.row_sum) {
        block.row_sum = ratio;
        block.row_sum_row = rows.begin + row;
    }
}

void Comparison::add(datasets::Rows rows, const datasets::TensorView& got, const Bounded& expected,
                     std::span<const float> golden, const Predicted* predicted) {
    Block& block = blocks_[slot(rows)];
    if (++block.seen > 1) {
        return;
    }
    block.rows.resize(index(rows.count));
    block.tiles.resize(index((expected.columns + datasets::block_rows - 1) / datasets::block_rows));
    block.tile_rho.resize(block.tiles.size());
    block.column_sums.resize(index(expected.columns));
    block.elements = rows.count * expected.columns;
    for (std::int64_t row = 0; row < rows.count; ++row) {
        add_row(block, rows, row, got.row(row), expected, golden);
        if (store_ == datasets::DType::bf16) {
            block.unrepresentable += count_beyond_bf16(got.row(row));
        }
        if (!expected.row_sum.empty()) {
            add_row_sum(block, rows, row, got.row(row), expected.row_sum[index(row)]);
        }
    }
    block.rho = std::ranges::max(block.tile_rho);
    if (predicted != nullptr) {
        block.z.emplace().add(got, golden, *predicted);
    }
}

bool Comparison::repeats(datasets::Rows rows) {
    Block& block = blocks_[slot(rows)];
    if (block.seen == 0) {
        return false;
    }
    ++block.seen;
    return true;
}

void Comparison::find_row_sum(OpStatistics& out) const {
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
        const Block& block = blocks_[b];
        out.row_sums_outside += block.row_sums_outside;
        if (block.row_sum && (!out.row_sum || *block.row_sum > *out.row_sum)) {
            out.row_sum = block.row_sum;
            out.row_sum_head = head_of(std::int64_t(b));
            out.row_sum_row = block.row_sum_row;
        }
    }
}

void Comparison::sum_energies(OpStatistics& out) const {
    double error = 0;
    double golden = 0;
    double got = 0;
    double product = 0;
    double mean_energy = 0;
    std::vector<double> columns;
    for (int head = 0; head < heads_; ++head) {
        columns.clear();
        for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
            const Block& block = blocks_[index(head * shape_.blocks() + b)];
            error += block.error;
            golden += block.golden;
            got += block.got;
            product += block.product;
            columns.resize(std::max(columns.size(), block.column_sums.size()));
            for (std::size_t c = 0; c < block.column_sums.size(); ++c) {
                columns[c] += block.column_sums[c];
            }
        }
        for (const double sum : columns) {
            mean_energy += sum * sum / static_cast<double>(shape_.context);
        }
    }
    const double centred = golden - mean_energy;
    out.match_percent = 100 * (1 - error / centred);
    out.centred_energy = golden > 0 ? centred / golden : 0.0;
    out.relative_error = golden > 0 ? std::sqrt(error / golden) : (error > 0 ? infinity : 0.0);
    out.cosine = got > 0 && golden > 0 ? product / std::sqrt(got * golden) : 0.0;
}

Comparison::Worst Comparison::worst_of(std::vector<Energy> Block::*parts, double mean_energy) const {
    Worst worst;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
        const std::vector<Energy>& energies = blocks_[b].*parts;
        for (std::size_t i = 0; i < energies.size(); ++i) {
            const Energy& energy = energies[i];
            const double ratio =
                energy.error == 0 ? 0.0 : energy.error / std::max(energy.golden, mean_energy);
            // A NaN is the worst there is, and stays.
            if (!std::isnan(worst.ratio) && !(ratio <= worst.ratio)) {
                worst = {ratio, std::int64_t(b), std::int64_t(i)};
            }
        }
    }
    return worst;
}

int Comparison::head_of(std::int64_t block) const {
    return headed_ ? first_head_ + static_cast<int>(block / shape_.blocks()) : -1;
}

void Comparison::find_worst(OpStatistics& out, double mean_row_energy, double mean_tile_energy) const {
    const Worst row = worst_of(&Block::rows, mean_row_energy);
    out.worst_row = std::sqrt(row.ratio);
    out.worst_row_head = head_of(row.block);
    out.worst_row_index = row.block % shape_.blocks() * datasets::block_rows + row.index;
    const Worst tile = worst_of(&Block::tiles, mean_tile_energy);
    out.worst_tile = std::sqrt(tile.ratio);
    out.worst_tile_head = head_of(tile.block);
    out.worst_tile_row = tile.block % shape_.blocks();
    out.worst_tile_column = tile.index;
}

void Comparison::locate_damage(OpStatistics& out) const {
    double worst_ratio = 0;
    for (const Block& block : blocks_) {
        if (block.outside + block.misrounded == 0) {
            continue;
        }
        const bool first = !out.damage;
        if (first) {
            out.damage = Damage{block.first, {}, 0, 0, 0, {}};
        }
        Damage& damage = *out.damage;
        ++damage.blocks;
        if (first || block.worst_ratio > worst_ratio) {
            worst_ratio = block.worst_ratio;
            damage.worst = block.worst;
            damage.row_begin = block.faulty_row_begin;
            damage.row_end = block.faulty_row_end;
        }
        const int head = block.first.head;
        if (headed_ && (damage.heads.empty() || damage.heads.back() != head)) {
            damage.heads.push_back(head);
        }
    }
}

HeadErrorMap Comparison::error_map(int head) const {
    HeadErrorMap map;
    map.head = headed_ ? first_head_ + head : -1;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
        const Block& block = blocks_[index(head * shape_.blocks() + b)];
        map.rho = std::max(map.rho, block.rho);
        std::string& line = map.tiles.emplace_back();
        std::ranges::transform(block.tile_rho, std::back_inserter(line), error_letter);
    }
    return map;
}

std::vector<HeadErrorMap> Comparison::error_maps(std::size_t most) const {
    std::vector<HeadErrorMap> maps;
    for (int head = 0; head < heads_; ++head) {
        maps.push_back(error_map(head));
    }
    std::ranges::stable_sort(maps, std::greater<>(), &HeadErrorMap::rho);
    const auto beyond = std::ranges::count_if(maps, [](const HeadErrorMap& map) { return map.rho > 1; });
    maps.resize(std::min({maps.size(), most, std::max(index(beyond), std::size_t{1})}));
    return maps;
}

void Comparison::sum_z(OpStatistics& out) const {
    static const ZBlock missing;
    std::vector<const ZBlock*> parts;
    bool any = false;
    for (const Block& block : blocks_) {
        any = any || block.z;
        parts.push_back(block.z ? &*block.z : &missing);
    }
    if (any) {
        out.z = sum_blocks(parts, shape_.blocks(), headed_ ? first_head_ : -1, out.centred_energy);
    }
}

OpStatistics Comparison::finish() const {
    OpStatistics out;
    out.blocks_expected = std::int64_t(blocks_.size());
    std::int64_t rows = 0;
    std::int64_t tiles = 0;
    double energy = 0;
    locate_damage(out);
    for (const Block& block : blocks_) {
        out.blocks_seen += block.seen > 0 ? 1 : 0;
        out.blocks_repeated += block.seen > 1 ? 1 : 0;
        out.elements += block.elements;
        out.nonfinite += block.nonfinite;
        out.poisoned += block.poisoned;
        out.outside += block.outside;
        out.misrounded += block.misrounded;
        out.misrounded_below += block.misrounded_below;
        out.misrounded_shrunk += block.misrounded_shrunk;
        out.unrepresentable += block.unrepresentable;
        out.rho = std::max(out.rho, block.rho);
        out.max_abs_error = std::max(out.max_abs_error, block.max_abs_error);
        rows += std::int64_t(block.rows.size());
        tiles += std::int64_t(block.tiles.size());
        energy += block.golden;
    }
    find_row_sum(out);
    sum_energies(out);
    find_worst(out, mean(energy, rows), mean(energy, tiles));
    sum_z(out);
    return out;
}

}  // namespace harness
