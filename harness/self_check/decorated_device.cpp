#include "harness/self_check/decorated_device.hpp"

#include <algorithm>
#include <cstring>
#include <variant>

#include "npu_impl/guarded_output.hpp"

namespace harness {
namespace {

using npu_impl::AttentionJob;
using npu_impl::Buffer;
using npu_impl::Direction;
using npu_impl::Job;
using npu_impl::Launch;
using npu_impl::MatmulJob;

// What fills outputs and the guard behind them before a launch is no operand.
bool ends_in_filling(std::span<const std::byte> sent) {
    std::uint16_t last = 0;
    std::memcpy(&last, sent.data() + sent.size() - sizeof last, sizeof last);
    return last == npu_impl::poison_word || last == npu_impl::guard_word;
}

}  // namespace

const npu_impl::Region& output_of(const Job& job) {
    return std::visit([](const auto& work) -> const npu_impl::Region& { return work.out; }, job.work);
}

kernels::Store store_of(const Job& job) {
    return std::visit([](const auto& work) { return work.store; }, job.work);
}

void EditedLaunches::submit(std::span<const Launch> launches) {
    std::vector<Launch> edited(launches.begin(), launches.end());
    for (Launch& launch : edited) {
        edit_(launch);
    }
    DeviceDecorator::submit(edited);
}

void MiscountedLaunches::submit(std::span<const Launch> launches) {
    if (kind_ == Kind::last_skipped) {
        DeviceDecorator::submit(launches.first(launches.size() - 1));
        return;
    }
    DeviceDecorator::submit(launches);
    DeviceDecorator::submit(launches.last(1));
}

void EditedOutputs::submit(std::span<const Launch> launches) {
    last_.assign(launches.begin(), launches.end());
    DeviceDecorator::submit(launches);
}

void EditedOutputs::sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) {
    DeviceDecorator::sync(buffer, direction, offset, bytes);
    if (direction != Direction::from_device) {
        return;
    }
    const std::span<std::byte> host = map(buffer);
    const std::vector<std::byte> arrived(host.begin(), host.end());
    const auto known = previous_.try_emplace(buffer.id, arrived).first;
    for (const Launch& launch : last_) {
        for (const Job& job : launch.jobs) {
            const npu_impl::Region& region = output_of(job);
            const bool inside = region.offset >= offset && region.offset < offset + bytes;
            if (launch.buffers.at(static_cast<std::size_t>(region.argument)) == buffer && inside) {
                edit_({job, region, store_of(job), host.data() + region.offset,
                       known->second.data() + region.offset});
            }
        }
    }
    // What else the image holds may be an edited tile of an earlier transfer.
    std::copy_n(arrived.begin() + offset, bytes, known->second.begin() + offset);
}

void FaultyTransfers::sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) {
    const bool sent = direction == Direction::to_device;
    const std::int64_t half = bytes / 8 * 4;
    if (sent && ends_in_filling(map(buffer).subspan(0, static_cast<std::size_t>(offset + bytes)))) {
        DeviceDecorator::sync(buffer, direction, offset, bytes);
        return;
    }
    if (kind_ == Kind::one_behind && !sent) {
        fetch_one_behind(buffer, offset, bytes);
    } else if ((kind_ == Kind::half_sent && sent) || (kind_ == Kind::half_fetched && !sent)) {
        DeviceDecorator::sync(buffer, direction, offset, half);
    } else {
        DeviceDecorator::sync(buffer, direction, offset, bytes);
    }
}

void FaultyTransfers::fetch_one_behind(Buffer buffer, std::int64_t offset, std::int64_t bytes) {
    const auto image = [&] {
        return map(buffer).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
    };
    const std::vector<std::byte> before(image().begin(), image().end());
    const auto known = held_.find(buffer.id);
    const bool fits = known != held_.end() && known->second.size() == before.size();
    const std::vector<std::byte> late = fits ? known->second : before;
    DeviceDecorator::sync(buffer, Direction::from_device, offset, bytes);
    held_[buffer.id].assign(image().begin(), image().end());
    std::ranges::copy(late, image().begin());
}

void TransposedValues::transpose(Buffer buffer, const npu_impl::Region& region) {
    const std::span<std::byte> host = map(buffer);
    const auto element = [&](std::int64_t row, std::int64_t column) {
        return reinterpret_cast<std::uint16_t*>(host.data() + region.offset + row * region.stride) + column;
    };
    for (std::int64_t i = 0; i < kernels::tile; ++i) {
        for (std::int64_t j = 0; j < i; ++j) {
            std::swap(*element(i, j), *element(j, i));
        }
    }
    for (std::int64_t row = 0; row < kernels::tile; ++row) {
        sync(buffer, Direction::to_device, region.offset + row * region.stride, kernels::tile * 2);
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
        const Buffer buffer = launch.buffers.at(static_cast<std::size_t>(values->argument));
        transpose(buffer, *values);
        DeviceDecorator::submit({&launch, 1});
        wait();
        transpose(buffer, *values);
    }
}

}  // namespace harness
