// Faults of what the device is asked to do: launches edited between plan and device.
#include <algorithm>
#include <memory>
#include <variant>

#include "harness/self_check/decorated_device.hpp"
#include "harness/self_check/faults.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::OpRange;
using npu_impl::AttentionJob;
using npu_impl::Job;
using npu_impl::Launch;
using npu_impl::MatmulJob;
using npu_impl::SoftmaxJob;

using Edit = EditedLaunches::Edit;

constexpr std::int64_t bf16_row = tile_side * 2;

const std::vector<OpRange> stored_bf16 = each_of({Op::query, Op::key, Op::value, Op::context});

// Edits the work of every job that is a `Work`.
template <typename Work>
Edit each(std::function<void(Work&)> edit) {
    return [edit](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* work = std::get_if<Work>(&job.work)) {
                edit(*work);
            }
        }
    };
}

Edit both(Edit first, Edit second) {
    return [first = std::move(first), second = std::move(second)](Launch& launch) {
        first(launch);
        second(launch);
    };
}

Fault launch_fault(std::string name, std::string says, Quantity own, std::vector<OpRange> places, Edit edit) {
    Fault fault{std::move(name), std::move(says), Seam::launch, own, std::move(places), {}};
    fault.plant.device = [edit = std::move(edit)](npu_impl::Device& device) {
        return std::make_unique<EditedLaunches>(device, edit);
    };
    return fault;
}

const datasets::Arithmetic& declared(const Setting& scene) {
    return scene.design.arithmetic_of(scene.place.last);
}

bool summed_on_core(const Setting& scene) {
    return declared(scene).tile_sum != datasets::TileSum::on_host;
}

bool fused(const Setting& scene) {
    return scene.place.last == Op::context && scene.design.fused();
}

bool has_padding(const Setting& scene) {
    return scene.ground.layer.shape.context % tile_side != 0;
}

// Jobs that one launch feeds, at least.
bool many_jobs(const Setting& scene) {
    const auto& step = scene.design.step_of(scene.place.last);
    return step.tiles_per_launch != 1 && scene.ground.layer.shape.context > tile_side;
}

std::vector<Fault> scale_and_bias_faults() {
    std::vector<Fault> out;
    const auto scaled = [](float factor) {
        return both(each<MatmulJob>([factor](MatmulJob& w) { w.scale *= w.scale == 1 ? 1 : factor; }),
                    each<AttentionJob>([factor](AttentionJob& w) { w.scale *= factor; }));
    };
    const auto places = each_of({Op::scores, Op::context});
    const auto scales = [](const Setting& scene) {
        return scene.place.last == Op::context ? scene.design.fused() : summed_on_core(scene);
    };
    for (const auto& [name, says, factor] :
         {std::tuple{"scale_missing", "the scores are not divided by 8", 8.0F},
          std::tuple{"scale_halved", "the scores are divided by 16", 0.5F},
          std::tuple{"scale_negated", "the scores have the wrong sign", -1.0F}}) {
        out.push_back(launch_fault(name, says, Quantity::bound, places, scaled(factor)));
        restrict(out.back(), "a step whose kernel scales", scales);
    }
    out.push_back(launch_fault("scale_of_63_channels", "the scores are divided by the root of 63",
                               Quantity::probe_deep_keys, each_of({Op::context}), scaled(1.0079053F)));
    restrict(out.back(), "a fused step whose kernel scales", scales);
    Fault in_chain = launch_fault("scale_missing_in_a_chain",
                                  "the scores are not divided by 8, and all that follows reads them",
                                  Quantity::context_rms, {datasets::attention_ops}, scaled(8.0F));
    in_chain.input = Input::chained;
    in_chain.judged = {Op::context};
    restrict(in_chain, "a fused step whose kernel scales",
             [](const Setting& scene) { return scene.design.fused(); });
    out.push_back(std::move(in_chain));
    out.push_back(launch_fault("bias_missing", "the accumulator starts without the bias", Quantity::bound,
                               each_of({Op::query, Op::value, Op::output, Op::fc1, Op::fc2}),
                               each<MatmulJob>([](MatmulJob& w) { w.bias.reset(); })));
    restrict(out.back(), "a kernel that adds the bias", summed_on_core);
    out.push_back(launch_fault(
        "bias_of_the_first_tile", "every tile starts with the bias of the first 64 channels", Quantity::bound,
        each_of({Op::query, Op::value, Op::output, Op::fc1, Op::fc2}), each<MatmulJob>([](MatmulJob& w) {
            if (w.bias) {
                w.bias->offset = 0;
            }
        })));
    restrict(out.back(), "a kernel that adds the bias", summed_on_core);
    return out;
}

std::vector<Fault> key_faults() {
    std::vector<Fault> out;
    const auto places = each_of({Op::probabilities, Op::context});
    const auto takes_keys = [](const Setting& scene) {
        return scene.place.last != Op::context || fused(scene);
    };
    out.push_back(
        launch_fault("padded_keys_unmasked", "the padded keys get probability", Quantity::bound, places,
                     both(each<SoftmaxJob>([](SoftmaxJob& w) { w.keys = w.key_tiles * tile_side; }),
                          each<AttentionJob>([](AttentionJob& w) { w.keys = w.key_tiles * tile_side; }))));
    restrict(out.back(),
             "T % 64 != 0 and a row (all-negative or broad head) where logits of 0 take more than 10%",
             [takes_keys](const Setting& scene) {
                 return takes_keys(scene) && scene.ground.traits.padding_share > 0.1;
             });
    Fault nil = out.back();
    nil.name = "padded_keys_unmasked_on_peaked_rows";
    nil.says = "the padded keys get probability, where every row is so peaked that they take none";
    nil.equivalent =
        "exp(0 - max) of a padded key is under 1e-9 of every row's sum, far below one rounding of p";
    const auto unseen_by_data = [takes_keys](const Setting& scene) {
        return takes_keys(scene) && has_padding(scene) && scene.ground.traits.padding_share < 1e-9;
    };
    Fault probed = nil;
    restrict(nil, "T % 64 != 0, rows where logits of 0 take less than 1e-9, and no context judged",
             [unseen_by_data](const Setting& scene) {
                 return unseen_by_data(scene) && scene.place.last == Op::probabilities;
             });
    out.push_back(std::move(nil));
    probed.name = "padded_keys_unmasked_unseen_by_data";
    probed.equivalent.clear();
    probed.own = Quantity::probe_ones;
    restrict(probed, "T % 64 != 0, rows where logits of 0 take less than 1e-9, and a fused context",
             [unseen_by_data](const Setting& scene) {
                 return unseen_by_data(scene) && scene.place.last == Op::context;
             });
    out.push_back(std::move(probed));
    out.push_back(launch_fault("last_key_dropped", "the last key is masked as if it were padding",
                               Quantity::bound, places,
                               both(each<SoftmaxJob>([](SoftmaxJob& w) { --w.keys; }),
                                    each<AttentionJob>([](AttentionJob& w) { --w.keys; }))));
    restrict(out.back(), "T % 64 != 1, and, fused, a row that gives the last key more than 10%",
             [takes_keys](const Setting& scene) {
                 const bool seen = !fused(scene) || scene.ground.traits.last_key_share > 0.1;
                 return takes_keys(scene) && scene.ground.layer.shape.context % tile_side != 1 && seen;
             });
    return out;
}

std::vector<Fault> slice_faults() {
    std::vector<Fault> out;
    const auto deep = each_of({Op::query, Op::key, Op::value, Op::context, Op::output, Op::fc1, Op::fc2});
    const auto has_depth = [](const Setting& scene) {
        const bool in_context = scene.place.last != Op::context ||
                                (!scene.design.fused() && scene.ground.traits.last_tile_share > 0.1);
        return summed_on_core(scene) && in_context;
    };
    const std::string needs =
        "products of several k tiles on the core; of context, a row with weight on the last";
    out.push_back(launch_fault(
        "last_k_step_dropped", "the last 64 products of every sum are left out", Quantity::bound, deep,
        each<MatmulJob>([](MatmulJob& w) { w.k_tiles = std::max<std::int64_t>(1, w.k_tiles - 1); })));
    restrict(out.back(), needs, has_depth);
    out.push_back(launch_fault("wrong_k_slice", "rows are read one k tile late against the weights",
                               Quantity::bound, deep, each<MatmulJob>([](MatmulJob& w) {
                                   if (w.k_tiles > 1) {
                                       --w.k_tiles;
                                       w.left.offset += bf16_row;
                                   }
                               })));
    restrict(out.back(), needs, has_depth);
    return out;
}

// Square operands: their tiles are one k tile deep.
std::vector<Fault> operand_faults() {
    std::vector<Fault> out;
    const auto places = each_of({Op::scores, Op::context});
    const auto scores_or_fused = [](const Setting& scene) {
        return scene.place.last == Op::scores || scene.design.fused();
    };
    out.push_back(launch_fault("wrong_head_read", "the first head reads the keys of the second",
                               Quantity::bound, places, [](Launch& launch) {
                                   for (Job& job : launch.jobs) {
                                       auto* scores = std::get_if<MatmulJob>(&job.work);
                                       auto* whole = std::get_if<AttentionJob>(&job.work);
                                       if (job.head == 0 && (scores != nullptr || whole != nullptr)) {
                                           (scores != nullptr ? scores->right : whole->key).offset +=
                                               bf16_row;
                                       }
                                   }
                               }));
    restrict(out.back(), "two heads", scores_or_fused);
    out.push_back(launch_fault(
        "wrong_head_stride", "queries are read as if a row held one head only", Quantity::bound, places,
        both(each<MatmulJob>([](MatmulJob& w) { w.left.stride = w.k_tiles * bf16_row; }),
             each<AttentionJob>([](AttentionJob& w) { w.query.stride = bf16_row; }))));
    restrict(out.back(), "two heads", scores_or_fused);
    out.push_back(launch_fault("key_tile_transposed", "[channel, key] is taken for [key, channel]",
                               Quantity::bound, each_of({Op::scores}),
                               each<MatmulJob>([](MatmulJob& w) { w.layout = kernels::Right::k_by_n; })));
    Fault values{"value_tile_transposed",
                 "the first tile of values is transposed",
                 Seam::launch,
                 Quantity::bound,
                 each_of({Op::context}),
                 {}};
    values.plant.device = [](npu_impl::Device& device) { return std::make_unique<TransposedValues>(device); };
    out.push_back(std::move(values));
    return out;
}

std::vector<Fault> store_faults() {
    std::vector<Fault> out;
    const auto stores = [](datasets::Rounding rounding) {
        return [rounding](const Setting& scene) {
            const datasets::Arithmetic& a = declared(scene);
            return !fused(scene) && a.store == datasets::DType::bf16 && a.store_rounding == rounding &&
                   a.tile_sum == datasets::TileSum::on_core;
        };
    };
    const auto store_as = [](kernels::Store store) {
        return each<MatmulJob>(
            [store](MatmulJob& w) { w.store = w.store == kernels::Store::f32 ? w.store : store; });
    };
    // The AIE kernels have no such store, so no job may be left to them.
    const auto unsampled = [](Launch& launch) {
        std::ranges::for_each(launch.jobs, [](Job& job) { job.sampled = false; });
    };
    const std::string nearest = "products that are stored as bf16 to nearest";
    out.push_back(launch_fault("truncating_store", "results are cut to bf16 instead of rounded",
                               Quantity::store_rounding, stored_bf16,
                               both(unsampled, store_as(kernels::Store::bf16_toward_zero))));
    restrict(out.back(), nearest + ", fast emulation",
             [of = stores(datasets::Rounding::nearest_even)](const Setting& scene) {
                 return scene.emulation == datasets::Emulation::fast && of(scene);
             });
    out.push_back(launch_fault("floor_store", "the core keeps its rounding mode after reset, floor",
                               Quantity::store_rounding, stored_bf16, store_as(kernels::Store::bf16_floor)));
    restrict(out.back(), nearest, stores(datasets::Rounding::nearest_even));
    out.push_back(launch_fault("nearest_store", "results round to nearest where floor is declared",
                               Quantity::store_rounding, stored_bf16,
                               store_as(kernels::Store::bf16_nearest_even)));
    restrict(out.back(), "products that are stored as bf16 by floor", stores(datasets::Rounding::floor));
    return out;
}

void copy_inputs(Job& from, Job& to) {
    std::visit(
        [&](auto& target) {
            if (const auto* source = std::get_if<std::decay_t<decltype(target)>>(&from.work)) {
                const npu_impl::Region out = target.out;
                target = *source;
                target.out = out;
            }
        },
        to.work);
}

std::int64_t row_offset(const Job& job) {
    return output_of(job).offset / output_of(job).stride;
}

std::vector<Fault> tile_faults() {
    std::vector<Fault> out;
    out.push_back(launch_fault("tiles_exchanged",
                               "the first two tiles of a launch are stored in each other's place",
                               Quantity::bound, every_op(), [](Launch& launch) {
                                   if (launch.jobs.size() < 2) {
                                       return;
                                   }
                                   const npu_impl::Region first = output_of(launch.jobs[0]);
                                   const npu_impl::Region second = output_of(launch.jobs[1]);
                                   std::visit([&](auto& work) { work.out = second; }, launch.jobs[0].work);
                                   std::visit([&](auto& work) { work.out = first; }, launch.jobs[1].work);
                               }));
    restrict(out.back(), "several tiles in a launch", many_jobs);
    out.push_back(launch_fault("tile_duplicated",
                               "the second tile of a launch is computed from the first one's inputs",
                               Quantity::bound, every_op(), [](Launch& launch) {
                                   if (launch.jobs.size() > 1) {
                                       copy_inputs(launch.jobs[0], launch.jobs[1]);
                                   }
                               }));
    restrict(out.back(), "several tiles in a launch", many_jobs);
    out.push_back(launch_fault(
        "core_silent", "one core does none of its work", Quantity::unwritten, every_op(),
        [](Launch& launch) { std::erase_if(launch.jobs, [](const Job& job) { return job.core == 1; }); }));
    restrict(out.back(), "several cores and tiles", many_jobs);
    out.push_back(launch_fault("last_row_block_dropped", "the last, ragged block of rows is never computed",
                               Quantity::unwritten, every_op(), [](Launch& launch) {
                                   std::int64_t last = 0;
                                   for (const Job& job : launch.jobs) {
                                       last = std::max(last, row_offset(job));
                                   }
                                   std::erase_if(launch.jobs,
                                                 [&](const Job& job) { return row_offset(job) == last; });
                               }));
    restrict(out.back(), "several tiles in a launch", many_jobs);
    out.push_back(
        launch_fault("output_stride_of_one_tile", "rows are stored as if the tensor were one tile wide",
                     Quantity::unwritten, every_op(), [](Launch& launch) {
                         for (Job& job : launch.jobs) {
                             std::visit(
                                 [&](auto& work) {
                                     const std::int64_t bytes = npu_impl::bytes_of(work.store);
                                     work.out.stride = npu_impl::output_tiles(job) * tile_side * bytes;
                                 },
                                 job.work);
                         }
                     }));
    restrict(out.back(), "an output of several tiles a row, made by several jobs", [](const Setting& scene) {
        const Op op = scene.place.last;
        const bool whole_rows = op == Op::probabilities || op == Op::attention_norm || op == Op::mlp_norm;
        return !whole_rows && summed_on_core(scene);
    });
    out.push_back(launch_fault("store_past_the_end", "the last tile of a launch is stored 64 bytes late",
                               Quantity::guards, every_op(), [](Launch& launch) {
                                   Job& last = *std::ranges::max_element(
                                       launch.jobs, {}, [](const Job& job) { return output_of(job).offset; });
                                   std::visit([](auto& work) { work.out.offset += 64; }, last.work);
                               }));
    return out;
}

}  // namespace

std::vector<Fault> launch_faults() {
    std::vector<Fault> out;
    for (auto* group :
         {&scale_and_bias_faults, &key_faults, &slice_faults, &operand_faults, &store_faults, &tile_faults}) {
        std::ranges::move(group(), std::back_inserter(out));
    }
    return out;
}

}  // namespace harness
