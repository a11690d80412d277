#include "npu_impl/pass_through.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "npu_impl/device_decorator.hpp"
#include "npu_impl/emulated_device.hpp"

namespace npu_impl {
namespace {

// Edits the launch, or the device's memory behind it.
class Faulty final : public DeviceDecorator {
public:
    using Edit = std::function<void(MatmulJob&)>;
    Faulty(Device& inner, Edit edit) : DeviceDecorator(inner), edit_(std::move(edit)) {}

    void submit(std::span<const Launch> launches) override {
        std::vector<Launch> edited(launches.begin(), launches.end());
        edit_(std::get<MatmulJob>(edited.front().jobs.front().work));
        DeviceDecorator::submit(edited);
    }

private:
    Edit edit_;
};

class Silent final : public DeviceDecorator {
public:
    using DeviceDecorator::DeviceDecorator;
    void submit(std::span<const Launch> /*launches*/) override {}
};

TEST(PassThrough, ComesBackBitForBit) {
    for (const auto emulation : {datasets::Emulation::exact, datasets::Emulation::fast}) {
        const auto device = open_device("emulated", emulation);
        EXPECT_EQ(pass_through(*device), 0);
        EXPECT_EQ(device->counters().launches, 1);
        EXPECT_EQ(device->counters().tiles, 1);
    }
}

TEST(PassThrough, CountsWhatANpuDoesOtherwise) {
    const auto device = open_device("emulated", datasets::Emulation::exact);
    Silent silent(*device);
    EXPECT_EQ(pass_through(silent), 4096);
    Faulty turned(*device, [](MatmulJob& job) { job.layout = kernels::Right::k_by_n; });
    EXPECT_EQ(pass_through(turned), 4096);
    Faulty swapped(*device, [](MatmulJob& job) { std::swap(job.left, job.right); });
    EXPECT_GT(pass_through(swapped), 4000);
    Faulty scaled(*device, [](MatmulJob& job) { job.scale = 2; });
    EXPECT_EQ(pass_through(scaled), 4096);
    EXPECT_EQ(pass_through(*device), 0);
}

// Hands out the same buffers again, with what they hold; runs nothing when told so.
class Reusing final : public DeviceDecorator {
public:
    using DeviceDecorator::DeviceDecorator;
    Buffer allocate(std::int64_t bytes) override {
        for (auto& [buffer, size, free] : buffers_) {
            if (free && size == bytes) {
                free = false;
                return buffer;
            }
        }
        buffers_.push_back({DeviceDecorator::allocate(bytes), bytes, false});
        return buffers_.back().buffer;
    }
    void release(Buffer buffer) override { std::ranges::find(buffers_, buffer, &Kept::buffer)->free = true; }
    void submit(std::span<const Launch> launches) override {
        if (!silent) {
            DeviceDecorator::submit(launches);
        }
    }

    bool silent = false;

private:
    struct Kept {
        Buffer buffer;
        std::int64_t bytes = 0;
        bool free = false;
    };
    std::vector<Kept> buffers_;
};

TEST(PassThrough, TakesNoResultOfBefore) {
    const auto device = open_device("emulated", datasets::Emulation::exact);
    Reusing reusing(*device);
    EXPECT_EQ(pass_through(reusing), 0);
    reusing.silent = true;
    EXPECT_EQ(pass_through(reusing), pass_through_elements);
}

TEST(PassThrough, IsFiledUnderAnIdentity) {
    EXPECT_EQ(pass_through_program().size(), 64U);
}

}  // namespace
}  // namespace npu_impl
