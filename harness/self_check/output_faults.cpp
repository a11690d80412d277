// Faults of the tiles that come back, and of the transfers and launches that bring them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "harness/self_check/decorated_device.hpp"
#include "harness/self_check/faults.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using Output = EditedOutputs::Output;

const std::vector<OpRange> stored_f32 = each_of({Op::scores, Op::output, Op::fc1, Op::fc2});

// One output tile as floats, [64, 64].
using Tile = std::vector<float>;

std::size_t at(std::int64_t row, std::int64_t column) {
    return static_cast<std::size_t>(row * tile_side + column);
}

// Edits the tile as floats, and puts it back in the output's type.
void edit_tile(const Output& output, const std::function<void(Tile&)>& edit) {
    Tile tile(at(tile_side, 0));
    const bool wide = output.store == kernels::Store::f32;
    for (std::int64_t row = 0; row < tile_side; ++row) {
        const std::byte* from = output.tile + row * output.region.stride;
        for (std::int64_t column = 0; column < tile_side; ++column) {
            std::uint16_t bits = 0;
            std::memcpy(&bits, from + column * 2, sizeof bits);
            tile[at(row, column)] = datasets::to_float({bits});
        }
        if (wide) {
            std::memcpy(&tile[at(row, 0)], from, tile_side * sizeof(float));
        }
    }
    edit(tile);
    for (std::int64_t row = 0; row < tile_side; ++row) {
        std::byte* to = output.tile + row * output.region.stride;
        if (wide) {
            std::memcpy(to, &tile[at(row, 0)], tile_side * sizeof(float));
            continue;
        }
        for (std::int64_t column = 0; column < tile_side; ++column) {
            const auto bits = datasets::to_bf16(tile[at(row, column)], datasets::Rounding::nearest_even).bits;
            std::memcpy(to + column * 2, &bits, sizeof bits);
        }
    }
}

Fault output_fault(std::string name, std::string says, Quantity own, std::vector<OpRange> places,
                   EditedOutputs::Edit edit) {
    Fault fault{std::move(name), std::move(says), Seam::output, own, std::move(places), {}};
    fault.plant.device = [edit = std::move(edit)](npu_impl::Device& device) {
        return std::make_unique<EditedOutputs>(device, edit);
    };
    return fault;
}

EditedOutputs::Edit first_tile(std::function<void(Tile&)> edit) {
    return [edit = std::move(edit)](const Output& output) {
        if (output.job.tile == 0) {
            edit_tile(output, edit);
        }
    };
}

EditedOutputs::Edit gain(float factor) {
    return [factor](const Output& output) {
        edit_tile(output, [factor](Tile& tile) {
            std::ranges::for_each(tile, [factor](float& value) { value *= factor; });
        });
    };
}

// Multiplies what one core makes.
EditedOutputs::Edit gain_of_core(int core, float factor) {
    return [core, edit = gain(factor)](const Output& output) {
        if (output.job.core == core) {
            edit(output);
        }
    };
}

bool exponentials(const Setting& scene) {
    return scene.place.last == Op::probabilities || (scene.place.last == Op::context && scene.design.fused());
}

bool several_cores(const Setting& scene) {
    return scene.design.step_of(scene.place.last).cores > 1 && scene.ground.layer.shape.context > tile_side;
}

std::vector<Fault> value_faults() {
    std::vector<Fault> out;
    const auto wrong = [&](std::string name, std::string says, std::vector<OpRange> places,
                           std::function<void(Tile&)> edit) {
        out.push_back(output_fault(std::move(name), std::move(says), Quantity::bound, std::move(places),
                                   first_tile(std::move(edit))));
    };
    wrong("zero_tile", "one tile is all zeros", every_op(),
          [](Tile& tile) { std::ranges::fill(tile, 0.0F); });
    wrong("constant_tile", "one tile holds its first element everywhere", every_op(),
          [](Tile& tile) { std::ranges::fill(tile, tile.front()); });
    wrong("transposed_tile", "one tile is transposed", every_op(), [](Tile& tile) {
        for (std::int64_t i = 0; i < tile_side; ++i) {
            for (std::int64_t j = 0; j < i; ++j) {
                std::swap(tile[at(i, j)], tile[at(j, i)]);
            }
        }
    });
    wrong("tile_rows_shifted_by_one", "one tile is one row late", every_op(),
          [](Tile& tile) { std::ranges::rotate(tile, tile.end() - tile_side); });
    wrong("tile_columns_shifted_by_one", "one tile is one column late", every_op(),
          [](Tile& tile) { std::ranges::rotate(tile, tile.end() - 1); });
    wrong("halves_of_a_tile_exchanged", "the left half of one tile stands in the place of the right",
          every_op(), [](Tile& tile) {
              for (std::int64_t row = 0; row < tile_side; ++row) {
                  std::swap_ranges(tile.begin() + row * tile_side,
                                   tile.begin() + row * tile_side + tile_side / 2,
                                   tile.begin() + row * tile_side + tile_side / 2);
              }
          });
    wrong("sign_lost", "one tile holds magnitudes",
          each_of({Op::query, Op::key, Op::value, Op::scores, Op::context, Op::output, Op::fc1, Op::fc2,
                   Op::mlp_norm}),
          [](Tile& tile) { std::ranges::for_each(tile, [](float& value) { value = std::abs(value); }); });
    wrong("fp32_result_cut_to_bf16", "one tile passes through bf16 where fp32 is declared", stored_f32,
          [](Tile& tile) {
              std::ranges::for_each(tile, [](float& value) {
                  value = datasets::round_to_bf16(value, datasets::Rounding::nearest_even);
              });
          });
    out.back().needs = "results that are declared fp32 to the last tile";
    out.back().visible = [](const Setting& scene) {
        const datasets::Arithmetic& a = scene.design.arithmetic_of(scene.place.last);
        return a.store == datasets::DType::f32 &&
               (a.tile_sum != datasets::TileSum::on_host || a.tile_store == datasets::DType::f32);
    };
    return out;
}

std::vector<Fault> core_faults() {
    std::vector<Fault> out;
    out.push_back(output_fault("core_half_a_percent_off", "one core's results are 0.5% too large",
                               Quantity::bound, every_op(), gain_of_core(1, 1.005F)));
    out.back().needs =
        "several cores, and neither an exponential nor sums rounded on the way, which hide 0.5%";
    out.back().visible = [](const Setting& scene) {
        return several_cores(scene) && !exponentials(scene) &&
               scene.design.arithmetic_of(scene.place.last).tile_sum != datasets::TileSum::rounded;
    };
    out.push_back(output_fault("core_tenth_off", "one core's results are 10% too large", Quantity::bound,
                               every_op(), gain_of_core(1, 1.1F)));
    out.back().needs = "several cores";
    out.back().visible = several_cores;
    out.push_back(output_fault("gain_within_rounding",
                               "one core's probabilities are 0.1% too large, and rounded again",
                               Quantity::bound, each_of({Op::probabilities}), gain_of_core(1, 1.001F)));
    out.back().equivalent =
        "0.1% is less than half the least spacing of bf16, 0.195% of a number: to nearest, each is what it "
        "was";
    out.back().needs = "several cores, an op behind an exponential, stored to nearest";
    out.back().visible = [](const Setting& scene) {
        const datasets::Arithmetic& a = scene.design.arithmetic_of(scene.place.last);
        return several_cores(scene) && exponentials(scene) &&
               a.store_rounding == datasets::Rounding::nearest_even;
    };
    out.push_back(output_fault("probabilities_an_eightieth_off",
                               "all probabilities are 1.25% too large, less than exp and its sum may err by",
                               Quantity::row_sum, each_of({Op::probabilities}), gain(1.0125F)));
    out.back().needs = "probabilities that are emitted, not rounded down";
    out.back().visible = shows_row_sums;
    out.push_back(output_fault("context_a_hundredth_off",
                               "all of a context is 1% too large, less than exp may err by", Quantity::bound,
                               each_of({Op::context}), gain(1.01F)));
    out.back().needs = "a fused step";
    out.back().visible = [](const Setting& scene) { return scene.design.fused(); };
    return out;
}

std::vector<Fault> written_faults() {
    std::vector<Fault> out;
    const auto last_element = [](std::uint32_t word) {
        return [word](const Output& output) {
            const bool wide = output.store == kernels::Store::f32;
            if (output.job.tile == 0) {
                std::memcpy(output.tile, &word, wide ? 4 : 2);
            }
        };
    };
    out.push_back(output_fault("poison_left", "one element keeps what the buffer held before the launch",
                               Quantity::unwritten, every_op(), last_element(0x7FC07FC0)));
    out.back().needs = "results that the host does not add up";
    out.back().visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(scene.place.last).tile_sum != datasets::TileSum::on_host;
    };
    out.push_back(output_fault("one_element_nan", "one element is not a number", Quantity::nonfinite,
                               every_op(), last_element(0xFFFFFFFF)));
    // The input's rows come reversed in between, so that what was there before belongs to other data.
    out.push_back(output_fault(
        "stale_tile", "one tile is that of the launch before", Quantity::repeatability, every_op(),
        [](const Output& output) {
            const std::int64_t bytes = npu_impl::bytes_of(output.store) * tile_side;
            for (std::int64_t row = 0; output.job.tile == 0 && row < tile_side; ++row) {
                const std::int64_t from = row * output.region.stride;
                std::memcpy(output.tile + from, output.previous + from, static_cast<std::size_t>(bytes));
            }
        }));
    out.back().input = Input::chained;
    return out;
}

Fault flipping_bit() {
    Fault fault{"bit_not_deterministic",
                "the last bit of one element flips now and then, within every bound",
                Seam::output,
                Quantity::repeatability,
                stored_f32,
                {}};
    fault.input = Input::chained;
    fault.needs = "fp32 results, whose last bit lies within the bound";
    fault.visible = [](const Setting& scene) {
        return scene.design.arithmetic_of(scene.place.last).tile_sum == datasets::TileSum::on_core;
    };
    fault.plant.device = [](npu_impl::Device& device) {
        const auto flipped = std::make_shared<bool>(false);
        return std::make_unique<EditedOutputs>(device, [flipped](const Output& output) {
            if (output.job.tile == 0 && !*flipped) {
                output.tile[0] ^= std::byte{1};
                *flipped = true;
            }
        });
    };
    return fault;
}

template <typename Decorator>
Fault device_fault(std::string name, std::string says, Quantity own, typename Decorator::Kind kind) {
    Fault fault{std::move(name), std::move(says), Seam::device, own, every_op(), {}};
    fault.plant.device = [kind](npu_impl::Device& device) {
        return std::make_unique<Decorator>(device, kind);
    };
    return fault;
}

}  // namespace

bool shows_row_sums(const Setting& scene) {
    const datasets::Arithmetic& a = scene.design.arithmetic_of(scene.place.last);
    return scene.place.last == Op::probabilities &&
           (a.store == datasets::DType::f32 || a.store_rounding == datasets::Rounding::nearest_even);
}

std::vector<Fault> output_faults() {
    std::vector<Fault> out = value_faults();
    for (auto* group : {&core_faults, &written_faults}) {
        std::ranges::move(group(), std::back_inserter(out));
    }
    out.push_back(flipping_bit());
    return out;
}

std::vector<Fault> device_faults() {
    std::vector<Fault> out;
    out.push_back(device_fault<FaultyTransfers>("half_of_the_output_fetched",
                                                "the second half of every result stays on the device",
                                                Quantity::unwritten, FaultyTransfers::Kind::half_fetched));
    out.push_back(device_fault<FaultyTransfers>("half_of_the_input_sent",
                                                "the second half of every operand stays on the host",
                                                Quantity::nonfinite, FaultyTransfers::Kind::half_sent));
    out.push_back(device_fault<FaultyTransfers>(
        "output_of_the_previous_launch", "what comes back is what the launch before should have brought",
        Quantity::unwritten, FaultyTransfers::Kind::one_behind));
    out.push_back(
        device_fault<MiscountedLaunches>("launch_skipped", "the last launch never reaches the device",
                                         Quantity::launches, MiscountedLaunches::Kind::last_skipped));
    out.push_back(device_fault<MiscountedLaunches>("launch_repeated", "the last launch runs twice",
                                                   Quantity::launches,
                                                   MiscountedLaunches::Kind::last_repeated));
    return out;
}

}  // namespace harness
