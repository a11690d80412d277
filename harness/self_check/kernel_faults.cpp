// Faults inside a core: functions of its kernels exchanged or wrapped.
#include <algorithm>
#include <array>

#include "harness/self_check/faults.hpp"
#include "harness/self_check/plain_kernels.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using kernels::KernelTable;
using kernels::Right;
using kernels::Store;

constexpr std::size_t row_length = kernels::tile;

const std::vector<OpRange> softmaxes = each_of({Op::probabilities, Op::context});
const std::vector<OpRange> norms = each_of({Op::attention_norm, Op::mlp_norm, Op::encoder});

using Rule = std::function<bool(const Setting&)>;

Fault kernel_fault(std::string name, std::string says, Quantity own, std::vector<OpRange> places,
                   std::function<void(KernelTable&)> edit) {
    Fault fault{std::move(name), std::move(says), Seam::kernels, own, std::move(places), {}};
    fault.plant.kernels = std::move(edit);
    return fault;
}

bool is_product(const Setting& scene) {
    return scene.place.last != Op::context || !scene.design.fused();
}

// A step with the softmax's kernels in it.
bool has_softmax(const Setting& scene) {
    return scene.place.last == Op::probabilities || scene.design.fused();
}

Rule both(Rule first, Rule second) {
    return [first = std::move(first), second = std::move(second)](const Setting& scene) {
        return first(scene) && second(scene);
    };
}

using Left = std::array<std::uint16_t, row_length * row_length>;

// Calls both products with an edited copy of the left tile.
void edit_left(KernelTable& table, const std::function<void(Left&)>& edit) {
    const auto edited = [edit](const std::uint16_t* left) {
        Left copy;
        std::copy_n(left, copy.size(), copy.begin());
        edit(copy);
        return copy;
    };
    table.multiply = [edited, inner = table.multiply](const std::uint16_t* left, const std::uint16_t* right,
                                                      Right layout, float* sum) {
        inner(edited(left).data(), right, layout, sum);
    };
    table.multiply_stored = [edited, inner = table.multiply_stored](const std::uint16_t* left,
                                                                    const std::uint16_t* right, Right layout,
                                                                    Store store, std::uint16_t* c) {
        inner(edited(left).data(), right, layout, store, c);
    };
}

void round_accumulator(KernelTable& table) {
    table.multiply = [inner = table.multiply](const std::uint16_t* left, const std::uint16_t* right,
                                              Right layout, float* sum) {
        inner(left, right, layout, sum);
        std::transform(sum, sum + row_length * row_length, sum, [](float value) {
            return datasets::round_to_bf16(value, datasets::Rounding::nearest_even);
        });
    };
}

std::vector<Fault> product_faults() {
    std::vector<Fault> out;
    const auto left = [](std::function<void(std::uint16_t*)> edit_row) {
        return [edit_row](KernelTable& table) {
            edit_left(table, [edit_row](Left& tile) {
                for (std::size_t row = 0; row < row_length; ++row) {
                    edit_row(tile.data() + row * row_length);
                }
            });
        };
    };
    out.push_back(kernel_fault("last_vmac_dropped", "the last 8 of each tile's 64 products are left out",
                               Quantity::bound, products(), left([](std::uint16_t* row) {
                                   std::fill_n(row + row_length - 8, 8, std::uint16_t{0});
                               })));
    restrict(out.back(), "a product kernel", is_product);
    out.push_back(kernel_fault(
        "vmac_operands_shifted", "each tile's rows start one product late", Quantity::bound, products(),
        left([](std::uint16_t* row) { std::rotate(row, row + 1, row + row_length); })));
    restrict(out.back(), "a product kernel", is_product);
    out.push_back(kernel_fault("operand_sign_bit_lost", "the left operand's signs are lost", Quantity::bound,
                               each_of({Op::query, Op::key, Op::value, Op::scores, Op::output, Op::fc1}),
                               left([](std::uint16_t* row) {
                                   std::transform(row, row + row_length, row, [](std::uint16_t bits) {
                                       return static_cast<std::uint16_t>(bits & 0x7FFFU);
                                   });
                               })));
    out.push_back(kernel_fault("bf16_accumulator",
                               "the accumulator is rounded to bf16 after every 64 products", Quantity::bound,
                               products(), round_accumulator));
    restrict(out.back(), "a sum that is declared fp32 from tile to tile",
             both(is_product, [](const Setting& scene) {
                 const datasets::Arithmetic& a = scene.design.arithmetic_of(scene.place.last);
                 return a.tile_sum == datasets::TileSum::on_core ||
                        (a.tile_sum == datasets::TileSum::on_host && a.tile_store == datasets::DType::f32);
             }));
    out.push_back(kernel_fault(
        "accumulator_not_cleared", "sums without a bias start with what the core held", Quantity::nonfinite,
        each_of({Op::key, Op::scores, Op::context}), [](KernelTable& table) {
            table.start = [inner = table.start](const std::uint16_t* bias, float* sum) {
                if (bias != nullptr) {
                    inner(bias, sum);
                }
            };
        }));
    restrict(out.back(), "a product kernel that keeps its sum", both(is_product, [](const Setting& scene) {
                 return scene.design.arithmetic_of(scene.place.last).tile_sum != datasets::TileSum::rounded;
             }));
    return out;
}

const std::string softmax_needed = "a step with the softmax's kernels";

Fault softmax_fault(std::string name, std::string says, SoftmaxFlaw flaw) {
    Fault fault = kernel_fault(std::move(name), std::move(says), Quantity::bound, softmaxes,
                               [flaw](KernelTable& table) { replace_softmax(table, flaw); });
    restrict(fault, softmax_needed, has_softmax);
    return fault;
}

std::vector<Fault> softmax_faults() {
    std::vector<Fault> out;
    const auto add = [&](std::string name, std::string says, SoftmaxFlaw flaw, const std::string& needs,
                         Rule seen) {
        out.push_back(softmax_fault(std::move(name), std::move(says), flaw));
        restrict(out.back(), needs.empty() ? softmax_needed : needs, both(has_softmax, std::move(seen)));
    };
    add("softmax_without_max", "exp of the scores as they are", SoftmaxFlaw::no_max, "a logit over 89",
        [](const Setting& scene) { return scene.ground.traits.largest_logit > 89; });
    out.back().own = Quantity::nonfinite;
    const auto in_range = [](const Traits& traits) {
        return traits.largest_logit < 60 && traits.largest_logit - traits.deepest_row > -20;
    };
    add("softmax_without_max_in_range", "exp of the scores as they are, all within exp's range",
        SoftmaxFlaw::no_max, "logits of -20 .. 60, and no context judged, which would be probed",
        [in_range](const Setting& scene) {
            return in_range(scene.ground.traits) && scene.place.last == Op::probabilities;
        });
    out.back().equivalent = "a softmax does not change when all of a row's logits do by the same amount";
    add("softmax_without_max_unseen_by_data", "exp of the scores as they are, all within exp's range",
        SoftmaxFlaw::no_max, "logits of -20 .. 60, and a fused context, which is probed with raised keys",
        [in_range](const Setting& scene) {
            return in_range(scene.ground.traits) && scene.place.last == Op::context;
        });
    out.back().own = Quantity::probe_raised_keys;
    add("softmax_maximum_shared", "a row also takes the maxima of the rows above it in its tile",
        SoftmaxFlaw::shared_max, "a fused context, which is probed with raised keys",
        [](const Setting& scene) { return scene.place.last == Op::context; });
    out.back().own = Quantity::probe_raised_keys;
    add("softmax_without_rescale", "sums keep the scale of an earlier, smaller maximum",
        SoftmaxFlaw::no_rescale, "a row whose maximum grows behind its first tile",
        [](const Setting& scene) { return scene.ground.traits.latest_growth > 2; });
    add("softmax_sum_per_tile", "the sum starts anew with each tile of keys", SoftmaxFlaw::sum_per_tile,
        "a row with weight in two tiles",
        [](const Setting& scene) { return scene.ground.traits.effective_keys > 64; });
    add("softmax_lanes_unsummed", "the last 16 keys of each tile are not added to the sum",
        SoftmaxFlaw::lanes_unsummed, "", [](const Setting&) { return true; });
    add("softmax_bf16_sum", "the running sum is a bf16: small terms vanish", SoftmaxFlaw::bf16_sum,
        "a row with 200 effective keys or more",
        [](const Setting& scene) { return scene.ground.traits.effective_keys > 200; });
    add("exponent_range_lost", "exp of what lies 16 below the maximum comes out e^16 too large",
        SoftmaxFlaw::exponent_wraps, "a row whose logits span 20 or more",
        [](const Setting& scene) { return scene.ground.traits.deepest_row > 20; });
    add("exp_to_base_two", "2^d instead of e^d", SoftmaxFlaw::base_two, "",
        [](const Setting&) { return true; });
    add("reciprocal_cut_to_bf16", "the reciprocal of the sum is cut to bf16, less than exp itself may err by",
        SoftmaxFlaw::cut_reciprocal, "probabilities that are emitted, not rounded down", shows_row_sums);
    out.back().own = Quantity::row_sum;
    return out;
}

// Asks the function for floor where it was asked for nearest.
std::vector<Fault> rounding_faults() {
    std::vector<Fault> out;
    const auto floored = [](Store store) {
        return store == Store::bf16_nearest_even ? Store::bf16_floor : Store::bf16_nearest_even;
    };
    out.push_back(kernel_fault(
        "rounding_mode_not_set", "a norm stores in another rounding mode than declared",
        Quantity::store_rounding, norms, [floored](KernelTable& table) {
            table.layer_norm = [floored, inner = table.layer_norm](
                                   const float* x, const std::uint16_t* gain, const std::uint16_t* bias,
                                   int rows, int columns, Store store, std::uint16_t* to) {
                inner(x, gain, bias, rows, columns, floored(store), to);
            };
        }));
    // The polynomial's own error hides the direction of some stores, the bound does not.
    out.push_back(
        kernel_fault("gelu_rounding_mode_not_set", "GELU stores in another rounding mode than declared",
                     Quantity::bound, each_of({Op::gelu}), [floored](KernelTable& table) {
                         table.gelu = [floored, inner = table.gelu](const float* x, int count, Store store,
                                                                    std::uint16_t* to) {
                             inner(x, count, floored(store), to);
                         };
                     }));
    restrict(out.back(), "a GELU that is declared to round to nearest", [](const Setting& scene) {
        return scene.design.arithmetic_of(Op::gelu).store_rounding == datasets::Rounding::nearest_even;
    });
    return out;
}

std::vector<Fault> row_faults() {
    std::vector<Fault> out;
    const auto norm = [&](std::string name, std::string says, NormFlaw flaw) {
        out.push_back(kernel_fault(std::move(name), std::move(says), Quantity::bound, norms,
                                   [flaw](KernelTable& table) { replace_layer_norm(table, flaw); }));
    };
    norm("norm_mean_kept", "the mean is not subtracted", NormFlaw::mean_kept);
    norm("norm_variance_about_twice_the_mean", "the variance is taken about twice the mean",
         NormFlaw::mean_square_twice);
    norm("norm_without_root", "divides by the variance, not its root", NormFlaw::no_root);
    norm("norm_bf16_sums", "mean and variance are summed in bf16", NormFlaw::bf16_sums);
    const auto activation = [&](std::string name, std::string says, GeluFlaw flaw) {
        out.push_back(kernel_fault(std::move(name), std::move(says), Quantity::bound, each_of({Op::gelu}),
                                   [flaw](KernelTable& table) { replace_gelu(table, flaw); }));
    };
    activation("gelu_in_tanh_form", "GELU by its tanh approximation, up to 4.7e-4 off", GeluFlaw::tanh_form);
    activation("gelu_in_sigmoid_form", "GELU by x sigmoid(1.702 x)", GeluFlaw::sigmoid_form);
    activation("gelu_is_relu", "max(x, 0) instead of GELU", GeluFlaw::relu);
    return out;
}

}  // namespace

std::vector<Fault> kernel_faults() {
    std::vector<Fault> out;
    for (auto* group : {&product_faults, &softmax_faults, &rounding_faults, &row_faults}) {
        std::ranges::move(group(), std::back_inserter(out));
    }
    return out;
}

}  // namespace harness
