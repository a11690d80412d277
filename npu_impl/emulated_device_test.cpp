#include "npu_impl/emulated_device.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cstring>

#include "datasets/bf16.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_core.hpp"

namespace npu_impl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr std::int64_t tile_bytes = 64 * 64 * 2;

// One product of 64x64x64 of ones: three buffers, one launch.
class OneProduct : public ::testing::Test {
protected:
    OneProduct() : device(kernels::tile_kernels()) {
        const Design& design = *find_design("unfused");
        const KernelDesign& kernel = design.step_of(datasets::Op::scores).kernel;
        launch.design = "unfused";
        launch.kernel = kernel.name;
        launch.stack_bytes = design.stack_bytes;
        launch.core_memory = kernel.core_memory;
        launch.buffers = {device.allocate(tile_bytes), device.allocate(tile_bytes),
                          device.allocate(2 * tile_bytes)};
        MatmulJob product;
        product.left = {0, 0, 128};
        product.right = {1, 0, 128};
        product.out = {2, 0, 256};
        launch.jobs = {{0, -1, 0, product}};
        for (const int argument : {0, 1}) {
            fill(argument, 0x3F80);
            device.sync(buffer(argument), Direction::to_device, 0, tile_bytes);
        }
    }

    Buffer buffer(int argument) { return launch.buffers[static_cast<std::size_t>(argument)]; }

    void fill(int argument, std::uint16_t word) {
        const auto bytes = device.map(buffer(argument));
        std::fill_n(reinterpret_cast<std::uint16_t*>(bytes.data()), bytes.size() / 2, word);
    }

    MatmulJob& product() { return std::get<MatmulJob>(launch.jobs[0].work); }

    void run() {
        device.submit(std::span(&launch, 1));
        device.wait();
    }

    float result(std::int64_t index) {
        float value = 0;
        std::memcpy(&value, device.map(buffer(2)).data() + index * 4, 4);
        return value;
    }

    void fetch() { device.sync(buffer(2), Direction::from_device, 0, 2 * tile_bytes); }

    auto refuses(const std::string& what) {
        return ThrowsMessage<DeviceError>(AllOf(HasSubstr("launch 0"), HasSubstr("job 0"), HasSubstr(what)));
    }

    EmulatedDevice device;
    Launch launch;
};

TEST_F(OneProduct, ComputesAndCounts) {
    const Counters before = device.counters();
    EXPECT_EQ(before, (Counters{0, 0, 2 * tile_bytes, 0}));
    run();
    fetch();
    EXPECT_EQ(result(0), 64);
    EXPECT_EQ(result(64 * 64 - 1), 64);
    EXPECT_EQ(device.counters(), (Counters{1, 1, 2 * tile_bytes, 2 * tile_bytes}));
}

TEST_F(OneProduct, AMissingTransferShowsAsNaN) {
    run();
    EXPECT_TRUE(std::isnan(result(0))) << "not brought back";
    device.sync(buffer(2), Direction::from_device, 0, 4);
    EXPECT_EQ(result(0), 64);
    EXPECT_TRUE(std::isnan(result(1))) << "brought back too little";
    launch.buffers[1] = device.allocate(tile_bytes);
    fill(1, 0x3F80);
    device.sync(buffer(1), Direction::to_device, 0, tile_bytes - 2);
    run();
    fetch();
    EXPECT_EQ(result(0), 64);
    EXPECT_TRUE(std::isnan(result(63))) << "one operand short";
}

// Forwards what a device must do by itself, so that its fill is the one that every device has by default.
class PlainDevice final : public Device {
public:
    explicit PlainDevice(Device& inner) : inner_(inner) {}

    std::string_view name() const override { return inner_.name(); }
    int cores() const override { return inner_.cores(); }
    datasets::Emulation emulation() const override { return inner_.emulation(); }
    Buffer allocate(std::int64_t bytes) override { return inner_.allocate(bytes); }
    void release(Buffer buffer) override { inner_.release(buffer); }
    std::span<std::byte> map(Buffer buffer) override { return inner_.map(buffer); }
    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override {
        inner_.sync(buffer, direction, offset, bytes);
    }
    void submit(std::span<const Launch> launches) override { inner_.submit(launches); }
    void wait() override { inner_.wait(); }
    Counters counters() const override { return inner_.counters(); }

private:
    Device& inner_;
};

TEST_F(OneProduct, FillReachesTheDeviceJustWhereItShould) {
    PlainDevice plain(device);
    for (Device* filled : {static_cast<Device*>(&device), static_cast<Device*>(&plain)}) {
        run();
        const Counters before = device.counters();
        filled->fill(buffer(2), 0x1234, 8, 4096);
        EXPECT_EQ(device.counters().bytes_to_device, before.bytes_to_device + 4096);
        fetch();
        for (std::int64_t i = 0; i < 64 * 64; ++i) {
            const bool inside = i >= 2 && i < 2 + 1024;
            EXPECT_EQ(result(i), inside ? std::bit_cast<float>(0x12341234U) : 64.0F) << i;
        }
    }
    struct Range {
        std::int64_t offset, bytes;
    };
    for (const Range range : {Range{-2, 4}, Range{0, 2 * tile_bytes + 2}, Range{4, -2}}) {
        const auto fill_range = [&] { device.fill(buffer(2), 0, range.offset, range.bytes); };
        EXPECT_THAT(fill_range, ThrowsMessage<DeviceError>(HasSubstr("fill of bytes")));
    }
    device.submit(std::span(&launch, 1));
    EXPECT_THAT([&] { device.fill(buffer(2), 0, 0, 4); },
                ThrowsMessage<DeviceError>(HasSubstr("while a launch uses it")));
    device.wait();
}

TEST_F(OneProduct, RunsOnlyWhenWaitedFor) {
    device.submit(std::span(&launch, 1));
    EXPECT_THAT([&] { fetch(); }, ThrowsMessage<DeviceError>(HasSubstr("while a launch uses it")));
    EXPECT_THAT([&] { device.release(buffer(0)); }, ThrowsMessage<DeviceError>(HasSubstr("in flight")));
    EXPECT_EQ(device.counters().launches, 0);
    device.wait();
    EXPECT_EQ(device.counters().launches, 1);
    device.wait();
    EXPECT_EQ(device.counters().launches, 1);
}

TEST_F(OneProduct, RefusesJobsOutOfBounds) {
    const Launch healthy = launch;
    const auto broken = [&](auto edit, const std::string& what) {
        launch = healthy;
        edit();
        EXPECT_THAT([&] { run(); }, refuses(what));
    };
    broken([&] { product().left.offset = 4; }, "left spans bytes");
    broken([&] { product().left.offset = -4; }, "left spans bytes");
    broken([&] { product().k_tiles = 2; }, "left spans bytes");
    broken([&] { product().right.stride = 132; }, "right spans bytes");
    broken([&] { product().left.stride = 124; }, "left spans bytes");
    broken([&] { product().out.offset = 4; }, "out spans bytes");
    broken([&] { product().out.offset = 2; }, "words of 4 bytes");
    broken([&] { product().bias = Region{0, tile_bytes - 64, 0}; }, "bias spans bytes");
    broken([&] { product().out.argument = 3; }, "argument 3 of 3");
    broken([&] { launch.jobs[0].core = 16; }, "core 16 of 16");
    broken([&] { launch.jobs[0].core = -1; }, "core -1 of 16");
    broken([&] { product().k_tiles = -1; }, "tiles do not fit");
    launch = healthy;
    EXPECT_NO_THROW(run());
    EXPECT_EQ(device.counters().launches, 1) << "nothing refused was run";
}

TEST_F(OneProduct, RefusesWhatDoesNotFitTheCore) {
    for (CoreBuffer& buffer : launch.core_memory) {
        buffer.copies = 2;
    }
    EXPECT_THAT([&] { run(); },
                ThrowsMessage<DeviceError>(
                    AllOf(HasSubstr("design unfused"), HasSubstr("needs 69120 bytes"), HasSubstr("65536"))));
    launch.core_memory = find_design("unfused")->step_of(datasets::Op::scores).kernel.core_memory;
    launch.stack_bytes = 32768;
    EXPECT_THAT([&] { run(); }, ThrowsMessage<DeviceError>(HasSubstr("with its stack")));
    launch.stack_bytes = 0xD00;
    std::erase_if(launch.core_memory, [](const CoreBuffer& buffer) { return buffer.name == "right"; });
    EXPECT_THAT([&] { run(); }, ThrowsMessage<DeviceError>(HasSubstr("core memory 'right' of 8192 bytes")));
}

TEST_F(OneProduct, RefusesUnknownBuffersAndRanges) {
    EXPECT_THROW(device.map({99}), DeviceError);
    EXPECT_THROW(device.map({-1}), DeviceError);
    EXPECT_THROW(device.allocate(0), DeviceError);
    EXPECT_THROW(device.sync(buffer(0), Direction::to_device, 0, tile_bytes + 1), DeviceError);
    EXPECT_THROW(device.sync(buffer(0), Direction::to_device, -1, 1), DeviceError);
    EXPECT_THROW(device.sync(buffer(0), Direction::to_device, tile_bytes + 1, 0), DeviceError);
    device.release(buffer(1));
    EXPECT_THAT([&] { run(); }, ThrowsMessage<DeviceError>(HasSubstr("there is no buffer")));
    EXPECT_THROW(EmulatedDevice(kernels::tile_kernels(), 0), DeviceError);
}

TEST(EmulatedDevice, RefusesKeysThatDoNotReachTheLastTile) {
    EmulatedDevice device(kernels::tile_kernels());
    const KernelDesign& kernel = find_design("unfused")->step_of(datasets::Op::probabilities).kernel;
    Launch launch{
        "unfused", kernel.name, 0xD00, kernel.core_memory, {device.allocate(65536), device.allocate(65536)},
        {}};
    SoftmaxJob softmax{{0, 0, 512}, 2, 64, kernels::Store::bf16_nearest_even, {1, 0, 256}};
    for (const std::int64_t keys : {0, 64, 129}) {
        softmax.keys = keys;
        launch.jobs = {{0, 0, 0, softmax}};
        EXPECT_THROW(device.submit(std::span(&launch, 1)), DeviceError) << keys;
    }
    softmax.keys = 65;
    launch.jobs = {{0, 0, 0, softmax}};
    device.submit(std::span(&launch, 1));
    device.wait();
    EXPECT_EQ(device.counters().tiles, 2) << "a softmax makes a row of tiles";
}

// One row block of 128 channels normed, and one tile of GELU: x, weights, out.
class OneRowBlock : public ::testing::Test {
protected:
    OneRowBlock() : device(kernels::tile_kernels()) {
        const Design& design = *find_design("unfused");
        const auto launch_of = [&](datasets::Op op) {
            const KernelDesign& kernel = design.step_of(op).kernel;
            return Launch{"unfused",
                          kernel.name,
                          design.stack_bytes,
                          kernel.core_memory,
                          {device.allocate(4 * tile_bytes), device.allocate(256), device.allocate(256),
                           device.allocate(2 * tile_bytes)},
                          {}};
        };
        norm_launch = launch_of(datasets::Op::mlp_norm);
        norm_launch.jobs = {
            {0, -1, 0,
             NormJob{{0, 0, 512}, {1, 0, 0}, {2, 0, 0}, 2, kernels::Store::bf16_nearest_even, {3, 0, 256}}}};
        gelu_launch = launch_of(datasets::Op::gelu);
        gelu_launch.jobs = {{0, -1, 0, GeluJob{{0, 0, 512}, kernels::Store::bf16_nearest_even, {3, 0, 256}}}};
    }

    NormJob& norm() { return std::get<NormJob>(norm_launch.jobs[0].work); }
    GeluJob& gelu() { return std::get<GeluJob>(gelu_launch.jobs[0].work); }

    void run(const Launch& launch) {
        device.submit(std::span(&launch, 1));
        device.wait();
    }

    template <typename Edit>
    void refuses(Launch& launch, Edit edit, const std::string& what) {
        const Launch healthy = launch;
        edit();
        EXPECT_THAT([&] { run(launch); }, ThrowsMessage<DeviceError>(HasSubstr(what)));
        launch = healthy;
    }

    EmulatedDevice device;
    Launch norm_launch;
    Launch gelu_launch;
};

TEST_F(OneRowBlock, RunsInBounds) {
    run(norm_launch);
    EXPECT_EQ(device.counters().tiles, 2) << "a norm makes a row of tiles";
    run(gelu_launch);
    EXPECT_EQ(device.counters().tiles, 3);
    EXPECT_EQ(device.counters().launches, 2);
}

TEST_F(OneRowBlock, RefusesAccessesOutOfBounds) {
    refuses(
        norm_launch, [&] { norm().tiles = 3; }, "x spans bytes");
    refuses(
        norm_launch, [&] { norm().tiles = 0; }, "0 tiles do not fit");
    refuses(
        norm_launch, [&] { norm().x.offset = 4; }, "x spans bytes");
    refuses(
        norm_launch, [&] { norm().gain.offset = 4; }, "gain spans bytes");
    refuses(
        norm_launch, [&] { norm().bias.argument = 4; }, "bias is argument 4 of 4");
    refuses(
        norm_launch, [&] { norm().out.stride = 252; }, "out spans bytes");
    refuses(
        gelu_launch, [&] { gelu().x.offset = 260; }, "x spans bytes");
    refuses(
        gelu_launch, [&] { gelu().out.offset = 132; }, "out spans bytes");
    EXPECT_EQ(device.counters().launches, 0);
}

TEST_F(OneRowBlock, RefusesWhatDoesNotFitTheCore) {
    refuses(
        norm_launch, [&] { norm_launch.stack_bytes = 48000; }, "with its stack");
    refuses(
        norm_launch, [&] { norm_launch.core_memory[0].bytes = 256; }, "'x' of 512 bytes");
    refuses(
        norm_launch, [&] { norm_launch.core_memory[1].name = "gamma"; }, "'gain' of 256 bytes");
    refuses(
        norm_launch, [&] { norm().store = kernels::Store::f32; }, "a norm leaves the core as bf16");
    refuses(
        gelu_launch, [&] { gelu_launch.core_memory[1].bytes = 4096; }, "'out' of 8192 bytes");
    refuses(
        gelu_launch, [&] { gelu_launch.core_memory[0].copies = 4; }, "bytes of core memory");
    refuses(
        gelu_launch, [&] { gelu().store = kernels::Store::f32; }, "a GELU leaves the core as bf16");
}

TEST(EmulatedDevice, FreshMemoryIsNaNAndHostDiffersFromDevice) {
    EmulatedDevice device(kernels::tile_kernels());
    const Buffer buffer = device.allocate(64);
    const auto read = [&] {
        std::uint16_t word = 0;
        std::memcpy(&word, device.map(buffer).data(), 2);
        return word;
    };
    const std::uint16_t host = read();
    device.sync(buffer, Direction::from_device, 0, 64);
    const std::uint16_t on_device = read();
    EXPECT_NE(host, on_device);
    EXPECT_TRUE(std::isnan(datasets::to_float({host})));
    EXPECT_TRUE(std::isnan(datasets::to_float({on_device})));
}

// This program has no NPU, whether or not it was built with XRT: nothing else is opened in its place.
TEST(OpenDevice, OpensTheEmulatedDeviceAndNothingInsteadOfXrt) {
    const auto device = open_device("emulated");
    EXPECT_EQ(device->name(), "emulated");
    EXPECT_EQ(device->cores(), 16);
    EXPECT_THAT([] { open_device("xrt"); }, ThrowsMessage<DeviceError>(HasSubstr("device xrt: ")));
    EXPECT_THAT([] { open_device("gpu"); }, ThrowsMessage<DeviceError>(HasSubstr("emulated, xrt")));
    EXPECT_EQ(device_options()[0].name, "emulated");
    EXPECT_TRUE(device_options()[0].available);
    EXPECT_EQ(device_options()[1].name, "xrt");
    EXPECT_EQ(device_options()[1].available, built_with_xrt());
}

}  // namespace
}  // namespace npu_impl
