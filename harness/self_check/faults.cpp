#include "harness/self_check/faults.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <utility>

#include "datasets/bf16.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rows;
using npu_impl::AttentionJob;
using npu_impl::Job;
using npu_impl::Launch;
using npu_impl::MatmulJob;
using npu_impl::SoftmaxJob;

constexpr std::int64_t side = kernels::tile;

std::int64_t element_bytes(kernels::Store store) {
    return store == kernels::Store::f32 ? 4 : 2;
}

const npu_impl::Region& output_of(const Job& job) {
    return std::visit([](const auto& work) -> const npu_impl::Region& { return work.out; }, job.work);
}

kernels::Store store_of(const Job& job) {
    return std::visit([](const auto& work) { return work.store; }, job.work);
}

// Calls `edit` on every output row of 64 elements, as floats, and puts it back in the output's type.
void edit_rows(const EditedOutputs::Output& output,
               const std::function<void(std::int64_t, std::span<float>)>& edit) {
    std::vector<float> row(static_cast<std::size_t>(side));
    for (std::int64_t r = 0; r < side; ++r) {
        std::byte* at = output.tile + r * output.region.stride;
        if (output.store == kernels::Store::f32) {
            std::memcpy(row.data(), at, row.size() * 4);
            edit(r, row);
            std::memcpy(at, row.data(), row.size() * 4);
            continue;
        }
        std::vector<std::uint16_t> bits(row.size());
        std::memcpy(bits.data(), at, bits.size() * 2);
        std::ranges::transform(bits, row.begin(), [](std::uint16_t b) { return datasets::to_float({b}); });
        edit(r, row);
        std::ranges::transform(row, bits.begin(), [](float value) {
            return datasets::to_bf16(value, datasets::Rounding::nearest_even).bits;
        });
        std::memcpy(at, bits.data(), bits.size() * 2);
    }
}

Fault launch_fault(std::string name, EditedLaunches::Edit edit) {
    return {std::move(name),
            "launch",
            [edit = std::move(edit)](npu_impl::Device& device) {
                return std::make_unique<EditedLaunches>(device, edit);
            },
            {}};
}

// Edits the work of every job that is a `Work`.
template <typename Work>
EditedLaunches::Edit each(std::function<void(Work&)> edit) {
    return [edit](Launch& launch) {
        for (Job& job : launch.jobs) {
            if (auto* work = std::get_if<Work>(&job.work)) {
                edit(*work);
            }
        }
    };
}

EditedLaunches::Edit both(EditedLaunches::Edit first, EditedLaunches::Edit second) {
    return [first = std::move(first), second = std::move(second)](Launch& launch) {
        first(launch);
        second(launch);
    };
}

Fault output_fault(std::string name, EditedOutputs::Edit edit) {
    return {std::move(name),
            "output",
            [edit = std::move(edit)](npu_impl::Device& device) {
                return std::make_unique<EditedOutputs>(device, edit);
            },
            {}};
}

Fault layer_fault(std::string name, FaultyPath::EditLayer edit) {
    return {std::move(name), "layer", {}, [edit = std::move(edit)](datasets::Path& path) {
                return std::make_unique<FaultyPath>(path, edit, FaultyPath::EditSink{});
            }};
}

// A sink that edits a copy of what passes through.
class EditingSink final : public datasets::Sink {
public:
    using Edit = std::function<void(Op, Rows&, std::vector<float>&, std::int64_t columns)>;

    EditingSink(datasets::Sink& inner, Edit edit) : inner_(inner), edit_(std::move(edit)) {}

    bool wants(Op op) const override { return inner_.wants(op); }
    void accept(Op op, Rows rows, const datasets::TensorView& values) override {
        std::vector<float> copy;
        for (std::int64_t row = 0; row < values.rows; ++row) {
            const auto from = values.row(row);
            copy.insert(copy.end(), from.begin(), from.end());
        }
        edit_(op, rows, copy, values.columns);
        inner_.accept(op, rows, {copy.data(), values.rows, values.columns, values.columns});
    }

private:
    datasets::Sink& inner_;
    Edit edit_;
};

Fault sink_fault(std::string name, EditingSink::Edit edit) {
    const FaultyPath::EditSink wrap = [edit = std::move(edit)](datasets::Sink& sink) {
        return std::make_unique<EditingSink>(sink, edit);
    };
    return {std::move(name), "sink", {}, [wrap](datasets::Path& path) {
                return std::make_unique<FaultyPath>(path, FaultyPath::EditLayer{}, wrap);
            }};
}

class FaultyLayer final : public datasets::PreparedLayer {
public:
    FaultyLayer(std::unique_ptr<datasets::LayerCase> layer, datasets::Path& path,
                FaultyPath::EditSink edit_sink)
        : layer_(std::move(layer)), inner_(path.prepare(*layer_)), edit_sink_(std::move(edit_sink)) {}

    std::vector<datasets::Part> compute(datasets::Work work, const datasets::Source& source,
                                        datasets::Sink& sink) override {
        const auto edited = edit_sink_ ? edit_sink_(sink) : nullptr;
        return inner_->compute(work, source, edited ? *edited : sink);
    }
    [[nodiscard]] std::vector<datasets::Part> planned(datasets::Work work) const override {
        return inner_->planned(work);
    }
    [[nodiscard]] std::optional<datasets::Site> locate(Op op, int head, std::int64_t row,
                                                       std::int64_t column) const override {
        return inner_->locate(op, head, row, column);
    }

private:
    std::unique_ptr<datasets::LayerCase> layer_;
    std::unique_ptr<datasets::PreparedLayer> inner_;
    FaultyPath::EditSink edit_sink_;
};

void truncate_to_bf16(std::vector<float>& values) {
    for (float& value : values) {
        value = datasets::round_to_bf16(value, datasets::Rounding::toward_zero);
    }
}

std::vector<Fault> launch_faults() {
    std::vector<Fault> out;
    out.push_back(
        launch_fault("scale_missing", both(each<MatmulJob>([](MatmulJob& w) { w.scale = 1; }),
                                           each<AttentionJob>([](AttentionJob& w) { w.scale = 1; }))));
    out.push_back(launch_fault("bias_missing", each<MatmulJob>([](MatmulJob& w) { w.bias.reset(); })));
    out.push_back(
        launch_fault("padded_keys_unmasked",
                     both(each<SoftmaxJob>([](SoftmaxJob& w) { w.keys = w.key_tiles * side; }),
                          each<AttentionJob>([](AttentionJob& w) { w.keys = w.key_tiles * side; }))));
    out.push_back(
        launch_fault("last_key_dropped", both(each<SoftmaxJob>([](SoftmaxJob& w) { --w.keys; }),
                                              each<AttentionJob>([](AttentionJob& w) { --w.keys; }))));
    out.push_back(launch_fault("last_k_step_dropped", each<MatmulJob>([](MatmulJob& w) {
                                   w.k_tiles = std::max<std::int64_t>(1, w.k_tiles - 1);
                               })));
    // The AIE kernels have no such store, so no job may be left to them.
    const auto unsampled = [](Launch& launch) {
        std::ranges::for_each(launch.jobs, [](Job& job) { job.sampled = false; });
    };
    out.push_back(launch_fault("truncating_store", both(unsampled, each<MatmulJob>([](MatmulJob& w) {
                                                            if (w.store != kernels::Store::f32) {
                                                                w.store = kernels::Store::bf16_toward_zero;
                                                            }
                                                        }))));
    out.push_back(launch_fault("floor_store", each<MatmulJob>([](MatmulJob& w) {
                                   if (w.store != kernels::Store::f32) {
                                       w.store = kernels::Store::bf16_floor;
                                   }
                               })));
    out.push_back(launch_fault("core_silent", [](Launch& launch) {
        std::erase_if(launch.jobs, [](const Job& job) { return job.core == 5; });
    }));
    out.push_back(launch_fault("tiles_exchanged", [](Launch& launch) {
        if (launch.jobs.size() > 1) {
            std::visit(
                [&](auto& first) {
                    if (auto* second = std::get_if<std::decay_t<decltype(first)>>(&launch.jobs[1].work)) {
                        std::swap(first.out, second->out);
                    }
                },
                launch.jobs[0].work);
        }
    }));
    out.push_back(launch_fault("store_past_the_end", [](Launch& launch) {
        std::visit([](auto& work) { work.out.offset += 64; }, launch.jobs.back().work);
    }));
    return out;
}

std::vector<Fault> output_faults() {
    std::vector<Fault> out;
    out.push_back(output_fault("zero_tile", [](const EditedOutputs::Output& o) {
        if (o.job.tile == 1) {
            edit_rows(o, [](std::int64_t, std::span<float> row) { std::ranges::fill(row, 0.0F); });
        }
    }));
    out.push_back(output_fault("stale_tile", [](const EditedOutputs::Output& o) {
        // The input's rows come reversed in between, so that what was there before belongs to other data.
        for (std::int64_t r = 0; o.job.tile == 0 && r < side; ++r) {
            const std::int64_t at = r * o.region.stride;
            std::memcpy(o.tile + at, o.previous + at, std::size_t(side * element_bytes(o.store)));
        }
    }));
    out.push_back(output_fault("core_half_a_percent_off", [](const EditedOutputs::Output& o) {
        if (o.job.core == 3) {
            edit_rows(o, [](std::int64_t, std::span<float> row) {
                std::ranges::for_each(row, [](float& value) { value *= 1.005F; });
            });
        }
    }));
    out.push_back(output_fault("rows_shifted_by_one", [](const EditedOutputs::Output& o) {
        if (o.job.tile == 0) {
            std::vector<float> before(static_cast<std::size_t>(side), 0.0F);
            edit_rows(o, [&](std::int64_t, std::span<float> row) {
                std::vector<float> current(row.begin(), row.end());
                std::ranges::copy(before, row.begin());
                before = std::move(current);
            });
        }
    }));
    // A last bit that flips now and then: within every bound, but never twice the same.
    const auto calls = std::make_shared<std::atomic<std::uint32_t>>(0);
    out.push_back(output_fault("bit_not_deterministic", [calls](const EditedOutputs::Output& o) {
        if (o.job.tile == 0 && o.store == kernels::Store::f32 && (*calls)++ / 2 % 2 == 0) {
            o.tile[0] ^= std::byte{1};
        }
    }));
    return out;
}

std::vector<Fault> path_faults() {
    std::vector<Fault> out;
    out.push_back(layer_fault("query_bias_missing", [](datasets::LayerCase& layer) {
        std::ranges::fill(layer.weights.attention.query.bias, 0.0F);
    }));
    out.push_back(layer_fault("weights_transposed", [](datasets::LayerCase& layer) {
        auto& weight = layer.weights.attention.value.weight;
        const auto width = static_cast<std::size_t>(layer.shape.width());
        for (std::size_t i = 0; i < width; ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                std::swap(weight[i * width + j], weight[j * width + i]);
            }
        }
    }));
    out.push_back(layer_fault("operands_truncated", [](datasets::LayerCase& layer) {
        truncate_to_bf16(layer.weights.attention.query.weight);
    }));
    out.push_back(sink_fault("heads_swapped", [](Op op, Rows& rows, std::vector<float>&, std::int64_t) {
        if (op == Op::context && rows.head >= 0 && rows.head < 2) {
            rows.head = 1 - rows.head;
        }
    }));
    out.push_back({"value_tile_transposed",
                   "operand",
                   [](npu_impl::Device& device) { return std::make_unique<TransposedValues>(device); },
                   {}});
    out.push_back(
        sink_fault("one_element_infinite", [](Op op, Rows& rows, std::vector<float>& values, std::int64_t) {
            if (op == Op::output && rows.begin == 0) {
                values.back() = std::numeric_limits<float>::infinity();
            }
        }));
    return out;
}

}  // namespace

void EditedLaunches::submit(std::span<const Launch> launches) {
    std::vector<Launch> edited(launches.begin(), launches.end());
    for (Launch& launch : edited) {
        edit_(launch);
    }
    DeviceDecorator::submit(edited);
}

void EditedOutputs::submit(std::span<const Launch> launches) {
    last_.assign(launches.begin(), launches.end());
    DeviceDecorator::submit(launches);
}

void EditedOutputs::sync(npu_impl::Buffer buffer, npu_impl::Direction direction, std::int64_t offset,
                         std::int64_t bytes) {
    DeviceDecorator::sync(buffer, direction, offset, bytes);
    if (direction != npu_impl::Direction::from_device) {
        return;
    }
    const std::span<std::byte> host = map(buffer);
    auto known = std::ranges::find(previous_, buffer.id, &std::pair<int, std::vector<std::byte>>::first);
    if (known == previous_.end()) {
        previous_.emplace_back(buffer.id, std::vector<std::byte>(host.begin(), host.end()));
        known = std::prev(previous_.end());
    }
    const std::vector<std::byte> arrived(host.begin(), host.end());
    for (const Launch& launch : last_) {
        for (const Job& job : launch.jobs) {
            const npu_impl::Region& region = output_of(job);
            const bool inside = region.offset >= offset && region.offset < offset + bytes;
            if (launch.buffers.at(std::size_t(region.argument)) == buffer && inside) {
                edit_({job, region, store_of(job), host.data() + region.offset,
                       known->second.data() + region.offset});
            }
        }
    }
    known->second = arrived;
}

void TransposedValues::transpose(npu_impl::Buffer buffer, const npu_impl::Region& region) {
    const std::span<std::byte> host = map(buffer);
    const auto element = [&](std::int64_t row, std::int64_t column) {
        return reinterpret_cast<std::uint16_t*>(host.data() + region.offset + row * region.stride) + column;
    };
    for (std::int64_t i = 0; i < side; ++i) {
        for (std::int64_t j = 0; j < i; ++j) {
            std::swap(*element(i, j), *element(j, i));
        }
    }
    for (std::int64_t row = 0; row < side; ++row) {
        sync(buffer, npu_impl::Direction::to_device, region.offset + row * region.stride, side * 2);
    }
}

void TransposedValues::submit(std::span<const Launch> launches) {
    for (const Launch& launch : launches) {
        const npu_impl::Region* values = nullptr;
        for (const Job& job : launch.jobs) {
            if (const auto* work = std::get_if<MatmulJob>(&job.work);
                work != nullptr && work->layout == kernels::Right::k_by_n) {
                values = &work->right;
            } else if (const auto* fused = std::get_if<AttentionJob>(&job.work); fused != nullptr) {
                values = &fused->value;
            }
        }
        if (values == nullptr) {
            DeviceDecorator::submit({&launch, 1});
            continue;
        }
        const npu_impl::Buffer buffer = launch.buffers.at(static_cast<std::size_t>(values->argument));
        transpose(buffer, *values);
        DeviceDecorator::submit({&launch, 1});
        wait();
        transpose(buffer, *values);
    }
}

FaultyPath::FaultyPath(datasets::Path& inner, EditLayer edit_layer, EditSink edit_sink)
    : inner_(inner), edit_layer_(std::move(edit_layer)), edit_sink_(std::move(edit_sink)) {}

std::unique_ptr<datasets::PreparedLayer> FaultyPath::prepare(const datasets::LayerCase& layer) {
    auto copy = std::make_unique<datasets::LayerCase>(layer);
    if (edit_layer_) {
        edit_layer_(*copy);
    }
    return std::make_unique<FaultyLayer>(std::move(copy), inner_, edit_sink_);
}

std::vector<Fault> planted_faults() {
    std::vector<Fault> out = launch_faults();
    for (auto* more : {&output_faults, &path_faults}) {
        std::ranges::move(more(), std::back_inserter(out));
    }
    return out;
}

}  // namespace harness
